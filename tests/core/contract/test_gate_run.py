"""How far a run of the gate is."""

from __future__ import annotations

from gateway.core.contract.gate_run import GateProgress


def progress(done: int, stopped: str = "") -> GateProgress:
    """A run of ten answers."""
    return GateProgress("gate_1", "a", "c", "i", 10, done, 0, {}, {}, {}, 0, 0, 0, 0, 0, stopped, "")


def test_a_run_is_over_when_nothing_is_to_be_asked() -> None:
    """All is answered, or no more may be asked."""
    assert [each.over for each in (progress(9), progress(10), progress(3, "budget"))] == [False, True, True]
