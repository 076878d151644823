"""The cases beside the contestants: what they print of what they measured, and, with `-m slow`, a short run of each."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import pytest

from bench import build, capture, legs, shadow
from bench.__main__ import CASES, options
from bench.dialects import SPOKEN
from bench.measure import Scenario, get_json
from bench.stage import Stage


def measured_legs() -> legs.Measured:
    """Three rounds in which Trivet costs three times nginx as sent and four times served."""
    measured = legs.Measured()
    for spoken in SPOKEN:
        measured.inside[spoken.name] = {"serve": 30.0, "verify": 20.0}
        for way, cost in (("nginx", 10.0), ("sent", 30.0), ("served", 40.0)):
            for machine in (1, 7, 1):
                measured.note(spoken.name, way, {"ok": 1, "errors": 0, "cpu_us": cost * machine})
    return measured


def test_legs_are_compared_within_a_round() -> None:
    """A dialect's line has both ratios to nginx and the one to the same agent as sent."""
    text = legs.section(measured_legs())
    assert "| gemini | 10.0 | 30.0 | 3.00 | 40.0 | 4.00 | 1.33 | 30.0 | 20.0 |" in text
    assert "| 30.0 | met |" in text


def test_a_slow_splice_is_told() -> None:
    """The goal is held by the dearest dialect and mode."""
    measured = measured_legs()
    measured.inside["anthropic"]["verify"] = 151.0
    assert "| 151.0 | NOT met |" in legs.section(measured)


def measured_capture(on: float, mirror: float, *, captured: int = 500) -> capture.Measured:
    """Rounds in which the worker costs 100 µs, and so much when everything is captured."""
    measured = capture.Measured(asked=500, captured=captured)
    for way, cost in (("nginx", 20.0), ("nginx with mirror", mirror), ("off", 100.0), ("on", on)):
        for machine in (1, 1.5, 1):
            cost_ = cost * machine
            capture.note(measured, way, {"ok": 1, "errors": 0, "cpu_us": cost_, "worker_us": cost_, "store_us": 1.0})
    return measured


def test_capture_is_the_difference_within_a_round() -> None:
    """What capture adds, and whether the whole costs less than nginx with its mirror, are said with their bounds."""
    text = capture.section(measured_capture(106.0, 120.0))
    assert "| 6.0 (6.0 to 9.0) | met |" in text
    assert "| 0.88 x (0.88 to 0.88) | met |" in text
    text = capture.section(measured_capture(111.0, 80.0))
    assert text.count("NOT met") == 2


def test_capture_that_lost_something_proves_nothing() -> None:
    """Unless every exchange was captured, the goals count as not measured."""
    text = capture.section(measured_capture(101.0, 120.0, captured=499))
    assert text.count("not measured") == 2
    assert "499 of 500" in text


def measured_shadow(p99: float) -> shadow.Measured:
    """Five rounds in which every condition but `off` has this p99 (ms), where `off` has 10."""
    measured = shadow.Measured(before_mb=30.0, after_mb=30.5, dropped=0.0)
    for name, row in measured.rows.items():
        for values, value in (
            (row.cpu, 100.0),
            (row.worker, 90.0),
            (row.p50, 1.0),
            (row.p99, 10.0 if name == "off" else p99),
            (row.pss, 30.0),
            (row.shadow_cpu, 0.5),
        ):
            values.extend([value] * 5)
        row.digests = {"a", "b"}
        row.ended = {"pair:identical": 3, "pair:divergent": 1, "skip:stopped": 2, "dead": 1}
    return measured


def test_a_shadow_that_nobody_notices_meets_its_goals() -> None:
    """A p99 within 5 % or 2 ms of `off`, the same bytes and the same memory are met in every condition."""
    text = shadow.section(measured_shadow(11.9))
    assert "NOT met" not in text
    assert text.count("| met |") == len(shadow.CONDITIONS) - 1 + 2
    assert "| +1.90 (+1.90) | identical | 30.0 | 0 | 4 | 2 | 1 | 50% | 0 |" in text


def test_a_shadow_that_is_noticed_does_not() -> None:
    """A higher p99, one other byte or a worker that holds more each shows."""
    assert shadow.section(measured_shadow(12.1)).count("NOT met") == len(shadow.CONDITIONS) - 1
    measured = measured_shadow(10.0)
    measured.rows["10 %"].different = 1
    assert "| DIFFERENT |" in shadow.section(measured)
    assert "1 rows differ | NOT met |" in shadow.section(measured)
    measured = measured_shadow(10.0)
    measured.rows["10 %"].pss = [33.0] * 5
    assert "| +3.0 MB | NOT met |" in shadow.section(measured)


def test_a_shadow_without_its_worker_says_why() -> None:
    """No table is better than one of a shadow that did nothing."""
    measured = shadow.Measured(missing="the shadow worker does not start: it says nothing")
    assert "does not start" in shadow.section(measured)
    assert math.isnan(measured.more("10 %").high)


def test_naming_contestants_is_naming_their_case() -> None:
    """All cases run unless some are named; `--only` names contestants, so it leaves just theirs."""
    assert options([]).cases == ["peers", *CASES]
    assert options(["--only", "nginx,trivet"]).cases == ["peers"]
    assert options(["--only", "nginx", "--cases", "legs"]).cases == ["legs"]
    with pytest.raises(SystemExit):
        options(["--cases", "leg"])


def test_nginx_mirrors_every_request(tmp_path: Path) -> None:
    """The peer of the capture case sends each request twice, and its clients notice nothing."""
    build.compile_native()
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, tmp_path / "stage", 0.1, warm=0.0)
        (stage.loader.bodies / "small.json").write_bytes(b'{"model":"m"}')
        second = stage.provider("second")
        try:
            port, _ = stage.nginx("mirror", mirror=second)
        except build.Missing as why:
            pytest.skip(str(why))
        before = get_json(second)["requests"]
        found = stage.loader.run(Scenario("mirror", "small", conns=4), port)
        assert found["errors"] == 0
        assert get_json(second)["requests"] - before == found["requests"] > 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_short_run_of_each_case(name: str, tmp_path: Path) -> None:
    """Every case starts what it needs, gets only whole answers, and prints its section."""
    build.compile_native()
    measured = CASES[name].run(tmp_path / name, 1, 0.3)
    text = CASES[name].section(measured)
    assert text.startswith("## ")
    assert "not measured" not in text
    errors = [row.errors for row in measured.rows.values()] if name == "shadow" else [measured.errors]
    assert not any(errors)
