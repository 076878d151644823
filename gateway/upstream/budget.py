"""The retry budget: a share of the last ten seconds' requests, so that a failing provider is not failed harder.

Ten buckets of one second; counting a request is two comparisons and two additions. Time is an argument, in seconds of a
monotonic clock.
"""

from __future__ import annotations

WINDOW = 10
"""Seconds over which requests and retries are held against each other."""


class RetryBudget:
    """At most `share` of the requests of the window may be repeated, or `minimum` of them where that is more."""

    __slots__ = ("_asked", "_minimum", "_requests", "_retries", "_second", "_share", "_spent")

    def __init__(self, share: float, minimum: int) -> None:
        self._share = share
        self._minimum = minimum
        self._requests = [0] * WINDOW
        self._retries = [0] * WINDOW
        self._asked = 0
        self._spent = 0
        self._second = 0

    def count(self, now: float) -> None:
        """A request came (its retries are not counted here)."""
        second = int(now)
        if second != self._second:
            self._advance(second)
        self._requests[second % WINDOW] += 1
        self._asked += 1

    def spend(self, now: float) -> bool:
        """Take one retry out of the budget; False when it is spent."""
        second = int(now)
        if second != self._second:
            self._advance(second)
        if self._spent + 1 > max(self._minimum, self._share * self._asked):
            return False
        self._retries[second % WINDOW] += 1
        self._spent += 1
        return True

    def _advance(self, second: int) -> None:
        for passed in range(self._second + 1, min(second, self._second + WINDOW) + 1):
            slot = passed % WINDOW
            self._asked -= self._requests[slot]
            self._spent -= self._retries[slot]
            self._requests[slot] = self._retries[slot] = 0
        self._second = second
