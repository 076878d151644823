"""Rollouts in any phase, as values, and aliases that have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState
from gateway.core.contract.journal import Event, Exposure
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


@dataclass
class Theatre:
    """A desk with a clock of its own, and the traffic that live workers would report."""

    desk: Desk
    now_ms: int = 1_700_000_000_000
    units: int = 0

    async def desks(self) -> Desk:
        """What a conductor is given: a desk of now."""
        return replace(self.desk, actor="trivet", now_ms=self.now_ms)

    def later(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now_ms += milliseconds

    async def serve(self, canary: int, stable: int = 0, *, bad: Sequence[str] = (), alias: str = "agent") -> None:
        """So many new runs of each arm, each with one request, as the state in force binds them; `bad` is of the canary's."""
        state = await self.desk.alias(alias)
        split = state.split
        assert split is not None
        keys = self.desk.store.keys
        commands: list[tuple[str | bytes, ...]] = []
        for arm in ["canary"] * canary + ["stable"] * stable:
            self.units += 1
            run, at_ms = f"run-{self.units}", self.now_ms
            for lane, weight in split.weights.items():
                release = split.candidate if arm == "canary" else state.lanes[lane].release
                told = (run, release, arm, at_ms, weight, lane, run, state.version)
                exposure = Exposure(run, "default", alias, *told[1:3], weight, split.salt, at_ms, lane, run, told[7])
                event = Event(*told, tuple(bad) if arm == "canary" else ())
                commands += [
                    ("XADD", keys.exposures(alias), "*", "entry", msgspec.json.encode(exposure)),
                    ("XADD", keys.events(alias), "*", "entry", msgspec.json.encode(event)),
                ]
        await self.desk.store.read_many(commands)

    async def due(self, alias: str = "agent") -> None:
        """Time and runs enough for the stage in force, in the proportion of its weight."""
        state = await self.desk.alias(alias)
        assert state.rollout is not None
        stage = machine.stage(state.rollout)
        assert stage is not None
        self.later(stage.bake_ms)
        await self.serve(stage.runs, round(stage.runs * (10_000 - stage.weight) / stage.weight), alias=alias)

    async def phase(self, alias: str = "agent") -> tuple[str, int]:
        """Phase and stage as stored."""
        found = (await self.desk.alias(alias)).rollout
        assert found is not None
        return found.phase.value, found.at


class Numbered:
    """Stands for `secrets` where rollouts get their ids: the same sequence of orders binds the same runs to the same arms."""

    count = 0

    def token_hex(self, size: int) -> str:
        """So many bytes in hex."""
        self.count += 1
        return f"{self.count:0{2 * size}x}"
