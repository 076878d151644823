"""How a lane's pointer moves. Pure: a promotion by hand, a rollback and the end of a rollout move it alike.

Rule of the file: a lane remembers the releases that were stable in it, newest first, as many as the alias keeps warm;
rollback takes only those.
"""

from __future__ import annotations

from gateway.core.contract.alias import Lane


def forward(lane: Lane, release: str, warm: int) -> Lane:
    """The lane after `release` became stable in it."""
    if lane.release == release:
        return lane
    kept = [lane.release, *(old for old in lane.previous if old not in (release, lane.release))]
    return Lane(release=release, previous=tuple(kept[:warm]))


def backward(lane: Lane, release: str) -> Lane:
    """The lane after it was rolled back to `release`: what it is rolled back from stays warm, as the last choice."""
    if lane.release == release:
        return lane
    others = [old for old in lane.previous if old != release]
    return Lane(release=release, previous=(*others, lane.release), rolled_back=lane.release)
