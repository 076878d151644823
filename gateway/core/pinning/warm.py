"""Whether a release can be called, from what its calls came to, one after the other. Pure.

Rule of the file: only a provider's own word makes a release dead: the model is gone, or its credential is refused, several times and
over a while. A provider that is busy, slow or failing proves nothing, neither way.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import msgspec

from gateway.core.contract.sentinel import Callable, Proof

REFUSALS = 3
"""Refusals in a row that make a release dead,"""
OVER_MS = 60_000
"""if the first and the last are at least so far apart."""
TROUBLES = 3
"""Calls in a row that came to nothing after which a proof no longer counts; one is enough where somebody asked on purpose."""
AGAIN_MS = 30_000
"""Time between two probes while a provider refuses, until it is certain."""
BUSY_MS = 15 * 60_000
"""The same while it is busy or fails."""
WARM_MS = 6 * 3_600_000
"""Age of a proof when the configuration switches probes off."""


class Sign(StrEnum):
    """What a call says of its release."""

    WORKED = "worked"
    GONE = "gone"
    """The provider no longer has the model."""
    REFUSED = "refused"
    """The provider does not take the gateway's own credential."""
    TROUBLE = "trouble"
    """429, 5xx, no answer in time, no connection: of the release it says nothing."""


class Seen(NamedTuple):
    """A call and what came of it. `at_ms` is wall clock; `source` is live, probe, gate or shadow."""

    at_ms: int
    sign: Sign
    source: str
    why: str = ""


def unseen(release: str) -> Callable:
    """What is known of a release that was never called."""
    return Callable(release, Proof.UNPROVEN, 0, "", "nothing has called it yet")


def learn(known: Callable, seen: Seen) -> Callable:
    """What is known with another call in it. One that is older than what is known changes nothing."""
    if seen.at_ms <= known.seen_ms:
        return known
    after = msgspec.structs.replace(known, seen_ms=seen.at_ms)
    replace = msgspec.structs.replace
    if seen.sign is Sign.WORKED:
        return replace(
            after,
            proof=Proof.PROVEN,
            at_ms=seen.at_ms,
            source=seen.source,
            why="",
            refusals=0,
            refused_ms=0,
            troubles=0,
        )
    if seen.sign is Sign.TROUBLE:
        after = replace(after, troubles=known.troubles + 1)
        doubted = known.proof is Proof.PROVEN and (after.troubles >= TROUBLES or seen.source == "probe")
        if doubted or known.proof is Proof.UNPROVEN:
            return replace(after, proof=Proof.UNPROVEN, why=seen.why)
        return after
    first = known.refused_ms or seen.at_ms
    after = replace(after, refusals=known.refusals + 1, refused_ms=first, why=seen.why)
    if known.proof is Proof.DEAD or (after.refusals >= REFUSALS and seen.at_ms - first >= OVER_MS):
        return replace(after, proof=Proof.DEAD, at_ms=seen.at_ms, source=seen.source)
    return replace(after, proof=Proof.UNPROVEN)


def judged(known: Callable, now_ms: int, warm_ms: int) -> Callable:
    """What is known, as of now: a proof that is older than `warm_ms` no longer counts."""
    if known.proof is Proof.PROVEN and now_ms - known.at_ms >= warm_ms:
        return msgspec.structs.replace(known, proof=Proof.UNPROVEN, why=known.why or "its last proof is too old")
    return known


def due(known: Callable, now_ms: int, warm_ms: int) -> bool:
    """Whether a release should be probed now: nothing proves it, and nobody tried a moment ago. A dead one is asked again at the
    pace of proofs, for it may come back."""
    if judged(known, now_ms, warm_ms).proof is Proof.PROVEN:
        return False
    wait = min(BUSY_MS, warm_ms)
    if known.proof is Proof.DEAD:
        wait = warm_ms
    elif known.refusals:
        wait = AGAIN_MS
    return now_ms - known.asked_ms >= wait
