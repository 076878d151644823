"""Comments into a stream whose provider is silent, where `serve.heartbeat` asks for them: some middle boxes close silent connections.

A comment stands only between whole events and only after the head of the provider's answer; the official SDKs pass over it.
One sweep per worker looks at all silent streams: a stream costs no timer, and without `serve.heartbeat` nothing at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.wire.deadlines import NEVER

if TYPE_CHECKING:
    from gateway.telemetry.counters import Register
    from gateway.wire.exchange import Incoming

COMMENT = b": waiting for the provider\n\n"


class Heartbeat:
    """The beat of one stream, for a `Sweeper` to watch. Silent unless `wait` was called and `rest` was not since."""

    __slots__ = ("_counted", "_incoming", "_seconds", "due")

    def __init__(self, incoming: Incoming, seconds: float, counted: Register) -> None:
        self._incoming = incoming
        self._seconds = seconds
        self._counted = counted
        self.due = NEVER

    def wait(self, now: float) -> None:
        """Everything that came has left, and the provider is waited for; `now` is loop time in seconds."""
        self.due = now + self._seconds

    def rest(self) -> None:
        """Something came, or the client is the one who is slow."""
        self.due = NEVER

    def expire(self, now: float) -> None:
        """The provider was silent for so long: send a comment."""
        if self._incoming.finished or self._incoming.gone:
            self.due = NEVER
            return
        self.due = now + self._seconds
        self._incoming.send(COMMENT)
        self._counted.n += 1
