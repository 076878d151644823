"""The demo from end to end, as `make demo` runs it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.demo.story import demo


@pytest.mark.timeout(240)
def test_every_claim_holds_and_nothing_is_left(tmp_path: Path) -> None:
    """All scenes on a real gateway and store: exit code 0, rollback under a second, what the gate and the canary said, no process and no file left."""
    with demo(tmp_path, "--fast", "--seed", "11") as told:
        told.until("2. 56 runs")
        assert len(told.look()) >= 5  # supervisor, two workers, background, store
        assert told.end(180) == 0, told.text
        text = told.text
        assert told.left() == []
    assert "\u2717" not in text
    assert "58 of 58 claims held" in text
    assert re.search(r"direct: 8 runs changed model", text)
    assert re.search(r"Trivet: 0 of 56 runs changed model", text)
    assert "x-trivet-bound: resumed" in text
    found = re.search(r"rolled back in one write, rel_\w+ to rel_\w+; all 2 workers had it within (\d+) ms", text)
    assert found is not None and int(found[1]) < 1000
    assert "noticed after" in text and "worse beyond noise in 1 thing: invalid_arguments" in text
    assert re.search(r"of 133 texts that try to give orders it resists \d+", text)
    assert "NO-GO: builtin/safety@1 is NO-GO" in text and "refused: the gate says NO-GO" in text
    assert "8 runs in flight over the promotion kept what they began with" in text
    assert "rolled_back by trivet" in text and "its signature holds" in text
    assert "2 windows, 144 calls" in text and "drift:openai/gpt-5-mini-2025-08-07@2" in text
    assert "no longer counts: INSUFFICIENT" in text and "the way back it offers" in text
    assert "OPENAI_BASE_URL" in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGINT, "1. gpt-4o"), (signal.SIGTERM, "was measured"), (signal.SIGHUP, "was measured")],
    ids=["ctrl-C while agents work", "SIGTERM while it starts", "SIGHUP while it starts"],
)
def test_told_to_end_it_leaves_nothing(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    """Ctrl-C, SIGTERM and a closed terminal end the demo with 130, and every process it started."""
    with demo(tmp_path, "--fast") as told:
        told.until(moment)
        told.look()
        told.process.send_signal(number)
        assert told.end(30) == 130, told.text
        assert told.left() == []
    assert list(tmp_path.iterdir()) == []


def test_killed_it_takes_its_gateway_along(tmp_path: Path) -> None:
    """kill -9 lets the demo tidy up nothing, and still no process of its gateway is left."""
    with demo(tmp_path, "--fast") as told:
        told.until("1. gpt-4o")
        assert len(told.look()) >= 5
        told.process.kill()
        assert told.end(5) == -signal.SIGKILL
        assert told.left(10) == []
