"""When to stop asking the store: a few refusals close together open it, one answered probe closes it.

Time is an argument. A lost or timed-out connection needs no counting, it opens at once: nothing can be sent anyway.
"""

from __future__ import annotations

CLOSED = 0
HALF_OPEN = 1
OPEN = 2


class Breaker:
    """Opens after `threshold` failures within `window` seconds, or at once by `trip`."""

    __slots__ = ("_count", "_first", "state", "threshold", "window")

    def __init__(self, threshold: int = 3, window: float = 1.0) -> None:
        self.threshold = threshold
        self.window = window
        self.state = OPEN
        """OPEN until the first probe is answered."""
        self._count = 0
        self._first = 0.0

    @property
    def closed(self) -> bool:
        """Whether ordinary commands may be sent."""
        return self.state == CLOSED

    def failed(self, now: float) -> bool:
        """Count a refusal; True when this one opened the breaker."""
        if self.state != CLOSED:
            self.state = OPEN
            return False
        if now - self._first > self.window:
            self._first = now
            self._count = 0
        self._count += 1
        if self._count < self.threshold:
            return False
        self.trip()
        return True

    def trip(self) -> None:
        """Open now."""
        self.state = OPEN
        self._count = 0

    def probing(self) -> None:
        """One probe goes out; everything else stays away."""
        self.state = HALF_OPEN

    def passed(self) -> None:
        """The probe was answered well and in time."""
        self.state = CLOSED
        self._count = 0
