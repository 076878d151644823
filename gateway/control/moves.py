"""What promote, rollback and apply share: how a lane's pointer moves, and how the answer is put together.

Rule of the file: pure but for `finished`, which waits for the workers. Lanes move as `core.rollout.lanes` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
import msgspec

from gateway.control.desk import FOLLOW_SECONDS, Desk
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Acknowledgement, Moved
from gateway.core.contract.release import Release
from gateway.core.rollout.lanes import backward, forward
from gateway.store.workers import acknowledged

__all__ = ["Move", "backward", "callable_or_fault", "finished", "forward", "now", "unchanged", "with_lanes"]


@dataclass(frozen=True, slots=True)
class Move:
    """A pointer write that has been made, and when it was begun (anyio.current_time)."""

    action: str
    before: AliasState
    after: AliasState
    begun: float
    warnings: tuple[str, ...] = ()
    override: str = ""


def unchanged(action: str, state: AliasState, *warnings: str) -> Moved:
    """The answer when there was nothing to do."""
    return Moved(
        alias=state.name,
        action=action,
        changed=False,
        version=state.version,
        before=state.lanes,
        after=state.lanes,
        split_before=state.split,
        split_after=state.split,
        warnings=warnings,
        override="",
        acknowledged=Acknowledgement(version=state.version, milliseconds={}, silent=()),
    )


async def finished(desk: Desk, move: Move, timeout: float = FOLLOW_SECONDS) -> Moved:
    """Wait until every worker follows, at most `timeout` seconds; name the silent ones."""
    name, version = move.after.name, move.after.version
    heard = await acknowledged(desk.store, name, version, timeout, since=move.begun)
    silent = (f"silent: {', '.join(heard.silent)}; they may still bind by an older version",) if heard.silent else ()
    if not heard.milliseconds and not heard.silent:
        silent = ("no live worker has a heartbeat in the store: nobody said that it follows",)
    return Moved(
        alias=name,
        action=move.action,
        changed=True,
        version=version,
        before=move.before.lanes,
        after=move.after.lanes,
        split_before=move.before.split,
        split_after=move.after.split,
        warnings=(*move.warnings, *silent),
        override=move.override,
        acknowledged=heard,
    )


def callable_or_fault(desk: Desk, release: Release, warm: str = "") -> None:
    """Raises Fault when runs of a release could not be answered: it is blocked, or its provider is not configured."""
    if release.blocked:
        message = f"release {release.id} is blocked ({release.blocked}); `trivet release unblock` lifts it{warm}"
        raise Fault(Kind.CONFLICT, "release_blocked", message, param="release")
    provider = release.snapshot.provider
    if provider not in desk.settings.providers:
        message = f"release {release.id} needs provider {provider}, which is not configured{warm}"
        raise Fault(Kind.CONFLICT, "release_dead", message, param="release")


def candidate_of(state: AliasState) -> str:
    """The candidate of the rollout in progress; empty when there is none."""
    if state.rollout is not None and not state.rollout.ended:
        return state.rollout.candidate
    return state.split.candidate if state.split is not None else ""


def no_rollout(state: AliasState) -> None:
    """Raises Fault `rollout_active` while a rollout may still move the lanes."""
    candidate = candidate_of(state)
    if candidate:
        message = f"alias {state.name} has a rollout of {candidate} in progress; end it first: `trivet rollout abort`"
        raise Fault(Kind.CONFLICT, "rollout_active", message, param="alias")


def not_barred(state: AliasState, release: str) -> None:
    """Raises Fault `candidate_barred` for a release that a rollout took back: nothing brings it in again by itself."""
    if release in state.barred:
        message = (
            f"release {release} is barred: {state.barred[release]}. `trivet rollout retry` lifts that, with a reason."
        )
        raise Fault(Kind.CONFLICT, "candidate_barred", message, param="release")


def with_lanes(state: AliasState, lanes: Mapping[str, Lane]) -> AliasState:
    """The state with these lanes and everything else as it was."""
    return msgspec.structs.replace(state, lanes=dict(lanes))


def now() -> float:
    """When a write is begun; what `finished` counts milliseconds from."""
    return anyio.current_time()
