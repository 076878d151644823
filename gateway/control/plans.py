"""What a rollout would take, before it is started: the traffic of the last day, and a forecast for each stage.

Rule of the file: a forecast rests on what was measured and says how much that was; where nothing is known it refuses nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from gateway.control.baseline import LEAST, baseline
from gateway.control.desk import Desk
from gateway.core.contract.alias import EVERYONE, AliasState
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.journal import Step
from gateway.core.contract.records import Record
from gateway.core.contract.rollout import Action, Plan, Rollout
from gateway.core.contract.run import Source, Stamp, run_digest
from gateway.core.rollout.planning import BASE_RATE, Forecast, forecast
from gateway.store import runs

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SAMPLE = 2000
"""Newest runs, and newest requests without a run, that are looked at."""
KNOWN = 100
"""Runs below which the share of bad ones is not measured but taken from the table."""
READ = 300
"""Newest runs with a name whose journals are read for that."""


class RolloutPlan(Record, frozen=True):
    """Answer of `rollout plan`."""

    alias: str
    candidate: str
    plan: Plan
    """The manifest with every default filled in."""
    forecast: Forecast
    runs_a_day: dict[str, float]
    """New eligible units a day by lane, measured over the last day."""
    base_rate: float
    """Share of the incumbent's runs with a request that fails, 0 to 1; a request that names no run is one."""
    refused: tuple[str, ...]
    """Why it would not be started."""
    warnings: tuple[str, ...]


async def planned(desk: Desk, alias: str, candidate: str, plan: Plan) -> RolloutPlan:
    """The forecast of a plan; nothing is written. Raises Fault 404 for unknown names."""
    state = await desk.alias(alias)
    await desk.release(candidate)
    lanes = tuple(dict.fromkeys(stage.lane for stage in plan.stages))
    since = desk.now_ms - DAY_MS
    stamps: list[Stamp] = []
    for release in dict.fromkeys(pointer.release for pointer in state.lanes.values()):
        found = await runs.of_release(desk.store, release, since_ms=since, limit=SAMPLE)
        stamps += [stamp for stamp in found if stamp.alias == alias and stamp.source is not Source.NONE]
    steps, _ = await runs.of_one_request(desk.store, alias, since_ms=since, limit=SAMPLE)
    a_day = rates(lanes, stamps, steps, plan.by, desk.now_ms)
    named = [await _steps(desk, alias, stamp, since) for stamp in _newest(stamps)]
    base = base_rate(steps, named, of=len(stamps))
    told = forecast(plan, a_day, base_rate=base)
    refused, unknown = _ruled(state, told, a_day)
    unseen = await _unseen(desk, state, candidate, plan)
    return RolloutPlan(
        alias=alias,
        candidate=candidate,
        plan=plan,
        forecast=told,
        runs_a_day=a_day,
        base_rate=base,
        refused=refused,
        warnings=(*told.warnings, *unknown, *unseen, *_aside(state, lanes)),
    )


def _aside(state: AliasState, lanes: Iterable[str]) -> list[str]:
    """A warning of lanes with a pointer of their own that the plan leaves out: also one of an earlier rollout that was ended."""
    left = {name: pointer.release for name, pointer in state.lanes.items() if name not in lanes}
    told = ", ".join(f"{name} on {release}" for name, release in left.items())
    return [f"lanes with a release of their own have no part in this and stay where they are: {told}"] if left else []


async def _unseen(desk: Desk, state: AliasState, candidate: str, plan: Plan) -> list[str]:
    """Warnings of metrics that act and whose threshold the incumbent has not been observed often enough for."""
    lanes = tuple(dict.fromkeys(stage.lane for stage in plan.stages))
    pointer = next((state.lanes[lane] for lane in (*lanes, EVERYONE) if lane in state.lanes), None)
    acting = tuple(guardrail for guardrail in plan.guardrails if guardrail.action is not Action.OBSERVE)
    if pointer is None or not any(
        (isinstance(g.above, str) and g.above) or (isinstance(g.below, str) and g.below) for g in acting
    ):
        return []
    watched = msgspec.structs.replace(plan, guardrails=acting)
    try:
        missing = (await baseline(desk, state.name, Rollout("", candidate, pointer.release, lanes, watched))).missing
    except Fault as fault:
        return [f"what the incumbent does could not be read, so nothing is said of thresholds: {fault.message}"]
    return [
        f"{metric}: the incumbent was observed {count} times of the {LEAST} that its threshold takes. Where that is so when the canary "
        f"begins, its first stage ends frozen (no_data:{metric}); give it a number as its limit, or `observe`"
        for metric, count in missing.items()
    ]


def refuse(found: RolloutPlan) -> None:
    """Raises Fault 409 `plan_refused` for a plan that cannot be finished in its own time."""
    if found.refused:
        message = f"{'; '.join(found.refused)}. Give it a longer `deadline`, fewer `runs` or larger weights."
        raise Fault(Kind.CONFLICT, "plan_refused", message)


def rates(
    lanes: Iterable[str], stamps: Iterable[Stamp], steps: Iterable[Step], by: str, now_ms: int
) -> dict[str, float]:
    """New units a day in each lane. A request without a run has no lane of its own and counts for everybody."""
    wanted = tuple(lanes)
    seen: dict[str, list[tuple[int, str]]] = {lane: [] for lane in wanted}
    for stamp in stamps:
        if stamp.lane in seen:
            seen[stamp.lane].append((stamp.at_ms, stamp.tenant if by == "tenant" else f"{stamp.tenant}\0{stamp.run}"))
    if EVERYONE in seen:
        seen[EVERYONE] += [(step.at_ms, step.request) for step in steps] if by != "tenant" else []
    return {lane: _a_day(found, now_ms) for lane, found in seen.items()}


def base_rate(steps: Iterable[Step], named: Collection[Iterable[Step]] = (), *, of: int = 0) -> float:
    """Share of runs in which a request failed; the customary rate where too few are known, or none failed. `steps` are requests
    without a run, each one of its own; `named` the requests of each run that was read, of so many: each stands for its part."""
    units, bad, known = 0.0, 0.0, 0
    for runs_of, each in ((([step] for step in steps), 1.0), (named, of / len(named) if of and named else 1.0)):
        told = [failed for failed in map(_failed, runs_of) if failed is not None]
        known, units, bad = known + len(told), units + each * len(told), bad + each * sum(told)
    return min(bad / units, 0.5) if known >= KNOWN and bad else BASE_RATE


def _failed(steps: Iterable[Step]) -> bool | None:
    """Whether a request of a run failed; None where nothing is known but that its client left."""
    found = [step.outcome for step in steps if step.outcome not in (Outcome.CLIENT_GONE, Outcome.SLOW_CLIENT)]
    return any(outcome is not Outcome.OK for outcome in found) if found else None


def _newest(stamps: Iterable[Stamp]) -> list[Stamp]:
    return sorted(stamps, key=lambda stamp: stamp.at_ms, reverse=True)[:READ]


async def _steps(desk: Desk, alias: str, stamp: Stamp, since_ms: int) -> list[Step]:
    """The requests of a run to an alias since then. Raises Fault."""
    kept = await runs.journal(desk.store, run_digest(stamp.tenant, stamp.run))
    return [step for step in kept.steps if step.alias == alias and step.at_ms >= since_ms]


def _a_day(found: list[tuple[int, str]], now_ms: int) -> float:
    """Units a day from a sample of at most a day; at least an hour is taken as its length."""
    if not found:
        return 0.0
    span = min(max(now_ms - min(at_ms for at_ms, _ in found), HOUR_MS), DAY_MS)
    return len({unit for _, unit in found}) * DAY_MS / span


def _ruled(state: AliasState, told: Forecast, a_day: Mapping[str, float]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What refuses a plan, and what is only said because nothing is known of the traffic."""
    if not any(a_day.values()):
        return (), ("no runs in the last day: nothing can be said of how long it takes, or of what it sees",)
    known = {lane for lane in a_day if lane in state.lanes}
    refused: list[str] = []
    unknown: list[str] = []
    for line in told.refused:
        lane = next(
            (each.lane for each in told.stages if line.startswith(f"{each.weight / 100:g} % of {each.lane}:")), ""
        )
        (refused if lane in known else unknown).append(line)
    return tuple(refused), tuple(unknown)
