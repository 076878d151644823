"""Block and unblock a release: its runs in flight get 409 `release_blocked`, never another model.

Workers learn of it by the versions of the aliases that may have runs of it: each is written anew with the same pointers,
so `followed` means the same as after a rollback.
"""

from __future__ import annotations

from gateway.control.desk import FOLLOW_SECONDS, Desk, checked_reason
from gateway.control.moves import candidate_of, now
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Acknowledgement, BlockResult
from gateway.core.contract.rollout import Word
from gateway.core.rollout import machine
from gateway.store import aliases, releases, runs
from gateway.store.aliases import PointerMoved
from gateway.store.workers import acknowledged

ATTEMPTS = 20
RECENT_RUNS = 1000
"""Runs looked at to find aliases that no longer name the release."""


async def block(desk: Desk, release: str, reason: str, *, timeout: float = FOLLOW_SECONDS) -> BlockResult:
    """Stop every run of a release. Asking twice is harmless, and tells the workers again. Raises Fault 404 when unknown."""
    return await set_blocked(desk, release, checked_reason(reason), timeout)


async def unblock(desk: Desk, release: str, reason: str, *, timeout: float = FOLLOW_SECONDS) -> BlockResult:
    """Let runs of a release go on. Raises Fault 404 when it is unknown."""
    return await set_blocked(desk, release, "", timeout, told=checked_reason(reason))


async def set_blocked(desk: Desk, release: str, blocked: str, timeout: float, *, told: str = "") -> BlockResult:
    """Write `blocked` and wait until every worker of every alias concerned has read it."""
    kept, changed = await releases.block(desk.store, release, blocked)
    action = "block" if blocked else "unblock"
    acks: dict[str, Acknowledgement] = {}
    serving: list[str] = []
    for name, state in (await _concerned(desk, release)).items():
        begun = now()
        version = await _retold(desk, state, action, release, f"{release}: {told or blocked}")
        acks[name] = await acknowledged(desk.store, name, version, timeout, since=begun)
        serving += [f"{name} {lane}" for lane, pointer in state.lanes.items() if pointer.release == release]
    note = f"still stable for {', '.join(serving)}: new runs get 409 until it is rolled back" if serving else ""
    return BlockResult(
        release=release,
        blocked=kept.blocked,
        changed=changed,
        aliases=tuple(acks),
        acknowledged=acks,
        note=note if blocked else "",
    )


async def _concerned(desk: Desk, release: str) -> dict[str, AliasState]:
    """Aliases that name the release in any way, or have stored runs of it."""
    states = await aliases.every(desk.store)
    bound = {stamp.alias for stamp in await runs.of_release(desk.store, release, limit=RECENT_RUNS)}
    return {name: state for name, state in states.items() if name in bound or release in _named(state)}


def _named(state: AliasState) -> set[str]:
    found = {name for lane in state.lanes.values() for name in (lane.release, *lane.previous, lane.rolled_back)}
    return found | {candidate_of(state)}


def _without(desk: Desk, state: AliasState, release: str, reason: str) -> AliasState:
    """The state with the rollout of this candidate rolled back: whoever gets it would only get a refusal."""
    rollout = state.rollout
    if rollout is None or rollout.ended or rollout.candidate != release:
        return state
    stakes = desk.stakes(state)
    ended = machine.turn(
        rollout, Word.ROLLBACK, now_ms=desk.now_ms, stakes=stakes, actor=desk.actor, reason=f"blocked: {reason}"
    )
    return machine.state_after(state, ended, desk.warm(state.name))


async def _retold(desk: Desk, state: AliasState, action: str, release: str, reason: str) -> int:
    """Write the alias one version up: as it is, or, where a candidate is blocked, with its rollout ended."""
    entry = desk.entry(action, reason)
    for _ in range(ATTEMPTS):
        after = _without(desk, state, release, reason) if action == "block" else state
        try:
            return (await aliases.write(desk.store, state, after, entry)).version
        except PointerMoved:
            state = await desk.alias(state.name)
    raise Fault(
        Kind.CONFLICT, "pointer_moved", f"alias {state.name} keeps being changed by others; try again", retry=True
    )
