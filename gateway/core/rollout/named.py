"""Which releases an alias names, and as what: everything that a change of the model behind them concerns."""

from __future__ import annotations

from gateway.core.contract.alias import AliasState

STABLE, CANDIDATE, WARM = "stable", "candidate", "warm"


def named(state: AliasState) -> tuple[tuple[str, str], ...]:
    """(role, release): stable ones, candidates of a rollout in progress and of shadows, then warm ones, newest first.

    A release is listed once, in the first role that it has.
    """
    found: dict[str, str] = {lane.release: STABLE for lane in state.lanes.values()}
    if state.rollout is not None and not state.rollout.ended:
        found.setdefault(state.rollout.candidate, CANDIDATE)
    if state.split is not None:
        found.setdefault(state.split.candidate, CANDIDATE)
    for shadow in state.shadows:
        found.setdefault(shadow.candidate, CANDIDATE)
    for lane in state.lanes.values():
        for release in lane.previous:
            found.setdefault(release, WARM)
    return tuple((role, release) for release, role in found.items())
