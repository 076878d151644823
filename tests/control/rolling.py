"""Rollouts in any phase, as values, and aliases that have one."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState
from gateway.core.contract.rollout import Guardrail, Phase, Plan, Rollout, Stage
from gateway.core.rollout import machine
from gateway.store import aliases

SECOND = 1000
PLAN = Plan(
    stages=(Stage("*", 500, SECOND, 10), Stage("*", 2500, SECOND, 20)),
    promoting=Stage("*", 9500, SECOND, 30),
    guardrails=(Guardrail("error"),),
    trios=5,
)
"""Two stages of a second each, then promoting; only errors are watched."""
AT = {Phase.CANARY: 0, Phase.AWAITING_APPROVAL: 0, Phase.FROZEN: 0, Phase.PROMOTING: 2, Phase.COMPLETED: 2}
"""Stage of a phase; -1 for the others."""


def rollout(candidate: str, incumbent: str, phase: Phase = Phase.CANARY, **more: Any) -> Rollout:
    """A rollout of PLAN in this phase."""
    made = Rollout("0123456789abcdef", candidate, incumbent, ("*",), PLAN, phase, AT.get(phase, -1))
    if phase is Phase.FROZEN:
        made = msgspec.structs.replace(made, frozen_from=Phase.CANARY, causes=("operator",))
    return msgspec.structs.replace(made, **more)


async def rolling(desk: Desk, state: AliasState, candidate: str, phase: Phase, **more: Any) -> AliasState:
    """Put the alias into a rollout of the candidate in this phase, as the loop would have left it."""
    at_ms = desk.now_ms
    made = rollout(
        candidate, state.lanes["*"].release, phase, since_ms=at_ms, started_ms=at_ms, version=state.version + 1, **more
    )
    after = machine.state_after(state, made, 3)
    return await aliases.write(desk.store, state, after, desk.entry("rollout_start", "test"))
