"""What `trivet gate run` says; that it runs is tested on a gateway in tests/control/test_gate.py."""

from __future__ import annotations

import pytest

from gateway.admin.gate_asks import GateWork
from gateway.cli import gate_run
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


class Away:
    """A gateway that is away for some calls."""

    json = direct = False

    def __init__(self, lost: int, done: int) -> None:
        self.lost = lost
        self.done = done

    def call(self, name: str, _ask: object) -> GateProgress:
        """Work fails at first, then all is done; before that `done` is."""
        if name == "gate.show":
            return progress(self.done)
        if self.lost:
            self.lost -= 1
            raise Failed(Exit.UNREACHABLE, "away")
        return progress(10)


def progress(done: int) -> GateProgress:
    """A run of ten answers."""
    return GateProgress("gate_1", "a", "c", "i", 10, done, 0, {}, {}, {}, 0, 0, 0, 0, 0, "", "")


def test_a_gateway_that_starts_anew_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once something was answered it is asked for again for a while; a run that never began says at once what is wrong."""
    monkeypatch.setattr(gate_run, "AGAIN_SECONDS", 0.0)
    monkeypatch.setattr(gate_run, "AGAIN", 3)
    ask = GateWork("gate_1")
    assert gate_run._next(Away(3, 1), ask).done == 10  # type: ignore[arg-type]
    for lost, done in ((4, 1), (1, 0)):
        with pytest.raises(Failed, match="away"):
            gate_run._next(Away(lost, done), ask)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words",
    [{}, {"release": "r", "resume": "g"}, {"release": "r", "budget": -1.0}, {"release": "r", "url": "http://x"}],
)
def test_words_that_contradict_each_other_are_usage(words: dict[str, object]) -> None:
    """A release or a run to go on with; no budget below none; another data port only from this machine."""
    with pytest.raises(Failed) as caught:
        run("a", reach=Reach(admin="http://127.0.0.1:9"), **words)  # type: ignore[arg-type]
    assert caught.value.code == Exit.USAGE
