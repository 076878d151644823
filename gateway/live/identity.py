"""Who answers: told when an answer's own words on it are new to this worker, or others than last time.

Rule of the file: an answer that says what the last one said costs one look-up. What is told is bounded, whatever providers say,
and is told again now and then: the store may have lost it, and the sentinel wants to know what is still so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.sentinel import Identity
from gateway.live.answers import another_model

if TYPE_CHECKING:
    from gateway.core.contract.journal import Step
    from gateway.core.contract.run import Stamp
    from gateway.live.life import Life
    from gateway.store.identities import IdentityLine

KNOWN = 4096
"""Pairs of snapshot and endpoint, and of what was told of them, that are kept in mind."""
TICKS = 300
"""Ticks after which everything is told anew by the next answer; the wiring ticks once a second."""
PER_TICK = 16
PER_WORD = 8
"""Tellings between two ticks, and of the same words until everything is told anew: a provider whose fingerprint changes with
every answer is not told with every answer."""


class Identities:
    """One per live worker."""

    __slots__ = ("_left", "_line", "_ticks", "_told", "known")

    def __init__(self, line: IdentityLine) -> None:
        self.known: dict[tuple[str, str], tuple[str, str]] = {}
        """(snapshot, endpoint) to the (model, fingerprint) of its last answer."""
        self._told: dict[tuple[str, str, str, str], int] = {}
        self._line = line
        self._left = PER_TICK
        self._ticks = 0

    def tell(self, life: Life, stamp: Stamp, step: Step) -> None:
        """An answer said something new; never blocks, never raises."""
        where, words = (step.model, step.endpoint), (step.answered, step.fingerprint)
        if self._left <= 0:
            return  # not marked as known, so a later answer tells it
        if len(self.known) >= KNOWN or len(self._told) >= KNOWN:
            self._forget()
        self.known[where] = words
        times = self._told.get((*where, *words), 0)
        if times >= PER_WORD:
            return
        self._told[(*where, *words)] = times + 1
        self._left -= 1
        said = Identity(
            snapshot=step.model,
            endpoint=step.endpoint,
            model=step.answered,
            fingerprint=step.fingerprint,
            release=step.release,
            alias=stamp.alias,
            at_ms=life.at_ms,
            mismatch=another_model(life, step.answered),
        )
        self._line.tell(said)

    def tick(self) -> None:
        """Another second has gone by."""
        self._left = PER_TICK
        self._ticks += 1
        if self._ticks % TICKS == 0:
            self._forget()

    def _forget(self) -> None:
        self.known.clear()
        self._told.clear()
