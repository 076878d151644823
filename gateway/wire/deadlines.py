"""Deadlines without timers: whoever may run out of time carries one number, and a sweep looks at all numbers at once.

A timer per request costs more than parsing it. A deadline is kept to within one tick, late and never early.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

NEVER = float("inf")


class Watched(Protocol):
    """Something with a deadline: `due` in loop time, NEVER for none."""

    due: float

    def expire(self, now: float) -> None:
        """Called by the sweep when `due` has passed; must move `due` or leave the sweep."""


class Sweeper:
    """Looks through what it watches every `tick` seconds; sleeps while there is nothing."""

    def __init__(self, tick: float = 1.0) -> None:
        self.tick = tick
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, thing: Watched) -> None:
        """Keep an eye on `thing` until `forget`. Needs a running loop."""
        self._watched.add(thing)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self.tick, self._sweep)

    def forget(self, thing: Watched) -> None:
        """Stop watching; harmless when not watched."""
        self._watched.discard(thing)

    def close(self) -> None:
        """Forget everything and stop the timer."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __len__(self) -> int:
        return len(self._watched)

    def _sweep(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        # Decided before any is expired: an expiry runs flows, which may watch and forget.
        late = [thing for thing in self._watched if thing.due <= now]
        try:
            for thing in late:
                if thing.due <= now:
                    thing.expire(now)
        finally:
            if self._watched and self._timer is None:
                self._timer = loop.call_later(self.tick, self._sweep)
