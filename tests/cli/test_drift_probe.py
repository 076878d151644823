"""`trivet drift probe`: runs a window to its end, tells how far it is, and says by its exit code what came of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.cli import drift_probe
from gateway.cli.reach import Reach
from gateway.core.contract.probing import ProbeProgress, Window

DONE = ProbeProgress(
    alias="agent",
    release="rel_1",
    snapshot="openai/gpt-5",
    prompts=4,
    samples=5,
    done=0,
    failed=0,
    going=False,
    reference_ms=5,
    windows=(Window(6, 0.01, 0.4, 20),),
    discarded=0,
    calls=40,
    chances=True,
    chances_past=(0.01, 0.02),
    epoch=1,
    alarm="",
    told="statistic 0.0100, p 0.4000: as the reference",
)
GOING = msgspec.structs.replace(DONE, going=True, done=7, calls=27, told="")


def say(monkeypatch: pytest.MonkeyPatch, *answers: ProbeProgress) -> list[Any]:
    """Answer calls so, one after the other, the last one again and again; what was asked."""
    asked: list[Any] = []

    def call(_self: Reach, _name: str, ask: Any) -> ProbeProgress:
        asked.append(ask)
        return answers[min(len(asked), len(answers)) - 1]

    monkeypatch.setattr(Reach, "call", call)
    monkeypatch.setattr(drift_probe, "PAUSE_SECONDS", 0.0)
    return asked


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ({}, 0),
        ({"windows": ()}, 0),
        ({"windows": (Window(6, 0.3, 0.001, 20),)}, 1),
        ({"alarm": "probe"}, 1),
        ({"discarded": 1}, 1),
        ({"going": True, "told": "status 429"}, 1),
    ],
)
def test_the_exit_code_says_what_came_of_it(monkeypatch: pytest.MonkeyPatch, last: dict[str, Any], code: int) -> None:
    """It begins one window, goes on until that is over, and gives up where nothing moves."""
    asked = say(monkeypatch, GOING, msgspec.structs.replace(DONE, **last))
    assert drift_probe.probe("agent", reach=Reach(json=True)) == code
    assert [each.begin for each in asked][:2] == [True, False]
    assert not any(each.begin for each in asked[1:])
    assert len(asked) == 2 if not last.get("going") else len(asked) <= drift_probe.STUCK + 3


def test_people_read_the_windows(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Progress while it goes on; then each window, the log-probabilities, and what to do."""
    say(monkeypatch, GOING, msgspec.structs.replace(DONE, alarm="probe", told="ALARM: MMD", discarded=2))
    drift_probe.probe("agent")
    out, err = capfd.readouterr()
    for word in ("rel_1", "4 prompts", "0.4000", "discarded", "2"):
        assert word in out
    assert [line.split() for line in out.splitlines() if "window" in line and "0.0" in line] == [
        ["window", "-1", "0.010", "│"], ["last", "window", "0.020", "│"],
    ]  # fmt: skip
    assert "1970-01-01 00:00     0.4000  ━━━━━" in out, "a bar per window, against the mark"
    for word in ("7 of 20 answers", "ALARM: MMD", "trivet drift status openai/gpt-5"):
        assert word in err
