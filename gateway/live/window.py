"""A sliding minute of plain numbers: what happened in the last 60 seconds, never less than that, at most one second more."""

from __future__ import annotations

WINDOW_SECONDS = 60
SLOTS = WINDOW_SECONDS + 1
"""A slot per second; the second that is running is one of them, so that a whole minute always lies behind it."""


class Window:
    """Counts in slots of a second. `now` is monotonic seconds; a time before the newest one counts as the newest."""

    __slots__ = ("_second", "_slots", "total")

    def __init__(self) -> None:
        self._slots = [0] * SLOTS
        self._second = 0
        self.total = 0
        """What the slots hold together, as of the last look."""

    def at(self, now: float) -> int:
        """The count of the last minute."""
        second = int(now)
        if second > self._second:
            self._move(second)
        return self.total

    def add(self, now: float, count: int) -> None:
        """Count something that happens now."""
        second = int(now)
        if second > self._second:
            self._move(second)
        self._slots[self._second % SLOTS] += count
        self.total += count

    def _move(self, second: int) -> None:
        slots = self._slots
        if second - self._second >= SLOTS:
            slots[:] = [0] * SLOTS
            self.total = 0
        else:
            for each in range(self._second + 1, second + 1):
                self.total -= slots[each % SLOTS]
                slots[each % SLOTS] = 0
        self._second = second

    def wait(self, now: float, count: int) -> float:
        """Seconds until the minute holds no more than `count`, when nothing else happens; SLOTS when even an empty one is too much."""
        left = self.at(now)
        if left <= count:
            return 0.0
        for each in range(self._second + 1, self._second + SLOTS + 1):
            left -= self._slots[each % SLOTS]
            if left <= count:
                return each - now
        return float(SLOTS)
