"""A breaker per provider and model: after some failures in a row nobody waits for what will not come.

Only the live path's own failures count here, because every process has its own breakers; a shadow that breaks itself breaks
nothing else. Time is an argument, in seconds of a monotonic clock.
"""

from __future__ import annotations

from gateway.telemetry.counters import Register

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
"""Values of the gauge `breaker_state`."""


class Breaker:
    """Closed until `threshold` failures in a row, then open for `seconds`, then one probe at a time decides."""

    __slots__ = ("_failures", "_gauge", "_opened", "_probe", "_seconds", "_threshold")

    def __init__(self, threshold: int, seconds: float, gauge: Register) -> None:
        self._threshold = threshold
        self._seconds = seconds
        self._gauge = gauge
        self._failures = 0
        self._opened: float | None = None
        self._probe: float | None = None

    @property
    def quiet(self) -> bool:
        """Closed, with no failure to remember."""
        return self._failures == 0

    def admit(self, now: float) -> float:
        """0 when a call may go out, else the seconds until one may. Half open, only the first caller may."""
        if self._opened is None:
            return 0.0
        since = now - (self._probe if self._probe is not None else self._opened)
        if since < self._seconds:
            return self._seconds - since
        # A probe that never reports holds the place for `seconds` only.
        self._probe = now
        self._gauge.n = HALF_OPEN
        return 0.0

    def success(self) -> None:
        """The provider answered."""
        self._failures = 0
        self._opened = self._probe = None
        self._gauge.n = CLOSED

    def failure(self, now: float) -> None:
        """The provider failed."""
        self._failures += 1
        if self._opened is not None or self._failures >= self._threshold:
            self._opened = now
            self._probe = None
            self._gauge.n = OPEN

    def abandon(self) -> None:
        """The call ended without telling anything about the provider: let the next caller probe."""
        if self._probe is not None and self._opened is not None:
            self._probe = None
