"""What `trivet gate run` says; that it runs is tested on a gateway in tests/control/test_gate.py."""

from __future__ import annotations

import pytest

from gateway.cli.exits import Exit
from gateway.cli.gate_run import run, show_plan, show_progress
from gateway.cli.reach import Failed, Reach
from gateway.core.contract.gate_run import GatePlan, GateProgress, GateSuite
from gateway.core.contract.suite import SuiteKind


def test_a_plan_and_a_progress_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What it asks, about what that costs, what is not known, and what came of it so far."""
    suite = GateSuite("s@1", SuiteKind.TASK, "d" * 64, 10, 1, 20, "enough")
    show_plan(GatePlan("a", "c", "p/c", "i", "p/i", (suite,), 20, 4, 100, 50, None, None, 0, (), ("look out",)))
    told = capsys.readouterr()
    for part in ("s@1", "20, and 4 of the judge at most", "not known", "no limit", "c (p/c) against i (p/i)"):
        assert part in told.out
    assert "look out" in told.err
    passed, failed = {"candidate": 3}, {"candidate": 1, "incumbent": 2}
    show_progress(
        GateProgress("gate_1", "a", "c", "i", 10, 7, 0, passed, failed, {"timeout": 1}, 5, 2, 9, 8, 0, "", "")
    )
    told = capsys.readouterr()
    for part in ("7 of 10", "3 of 4", "0 of 2", "timeout 1", "2 calls of unknown price"):
        assert part in told.out


@pytest.mark.parametrize(
    "words",
    [{}, {"release": "r", "resume": "g"}, {"release": "r", "budget": -1.0}, {"release": "r", "url": "http://x"}],
)
def test_words_that_contradict_each_other_are_usage(words: dict[str, object]) -> None:
    """A release or a run to go on with; no budget below none; another data port only from this machine."""
    with pytest.raises(Failed) as caught:
        run("a", reach=Reach(admin="http://127.0.0.1:9"), **words)  # type: ignore[arg-type]
    assert caught.value.code == Exit.USAGE
