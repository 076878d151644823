"""What operations of a rollout answer with."""

from __future__ import annotations

import msgspec

from gateway.core.contract.alias import Lane, Stakes
from gateway.core.contract.rolling import RolloutStatus, Wait
from gateway.core.contract.rollout import Facts, Guardrail, Plan, Rollout, Stage, Word


def test_a_status_is_whole_by_itself() -> None:
    """It reads back equal, with the rollout, the facts and what it waits for inside."""
    stage = Stage("*", 100, 60_000, 50)
    found = RolloutStatus(
        alias="agent",
        version=3,
        stakes=Stakes.LOW,
        at_ms=5,
        rollout=Rollout("0" * 16, "rel_b", "rel_a", ("*",), Plan((stage,), stage, (Guardrail("error"),))),
        lanes={"*": Lane("rel_a")},
        split=None,
        barred={},
        models={},
        facts=Facts(now_ms=5),
        waits=(Wait("a person", "trivet rollout approve agent"),),
        possible=(Word.ABORT,),
        conductor="host",
        heard_ms=12,
    )
    assert msgspec.json.decode(msgspec.json.encode(found), type=RolloutStatus) == found
