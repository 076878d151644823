"""The receiving half of one connection to the store: which reply belongs to which command.

Rule of the file: replies meet their commands in the order of sending; a reply too many, or bytes that are no reply, end
the connection, and a connection that has ended hands out nothing more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from gateway.store.resp import Desync, Parser, Push, ReplyError
from gateway.store.sinks import Counting, Sink

_ODD = frozenset({Push, ReplyError})


class Owner(Protocol):
    """The line a connection belongs to."""

    on_push: Callable[[bytes], None]

    def drop(self, kind: str) -> None:
        """The connection is of no use any more; must clear `Replies.open`."""

    def refused(self, sink: Sink, reply: ReplyError) -> None:
        """A command was answered with an error."""

    def gone(self, replies: Replies, kind: str) -> None:
        """The connection was lost."""


class Replies(asyncio.Protocol):
    """Who waits for what on one connection. Whoever sends a command appends its sink to `sinks` and adds it to `sent`."""

    __slots__ = ("_feed", "_owner", "answered", "open", "quiet", "sent", "sinks")

    def __init__(self, owner: Owner, quiet: Counting | None = None) -> None:
        self._owner = owner
        self._feed = Parser().feed
        self.open = True
        self.quiet = quiet
        """A sink that is only told how many answers came, once for all of one read."""
        self.sinks: deque[Sink] = deque()
        self.sent = 0
        self.answered = 0
        """Commands since the connection was made."""

    def data_received(self, data: bytes) -> None:
        """Hand every reply that is whole now to its sink."""
        if not self.open:
            return
        try:
            replies = self._feed(data)
        except Desync:
            self._owner.drop("desync")
            return
        count = len(replies)
        self.answered += count
        sinks, quiet = self.sinks, self.quiet
        if len(sinks) < count or not _ODD.isdisjoint(map(type, replies)):
            self._one_by_one(replies)
            return
        popleft = sinks.popleft
        for reply in replies:
            sink = popleft()
            if sink is not quiet:
                count -= 1
                sink.done(reply)
                if not self.open:
                    # The sink dropped the connection; what follows belongs to nobody.
                    return
        if count and quiet is not None:
            quiet.counted(count)

    def _one_by_one(self, replies: list[Any]) -> None:
        """A read with messages, errors or a reply too many."""
        for reply in replies:
            if type(reply) in _ODD or not self.sinks:
                self._odd(reply)
            else:
                self.sinks.popleft().done(reply)
            if not self.open:
                return

    def _odd(self, reply: Any) -> None:
        kind = type(reply)
        if kind is Push:
            self.answered -= 1
            if len(reply) == 3 and reply[0] == b"message":
                self._owner.on_push(reply[2])
        elif not self.sinks:
            self._owner.drop("desync")
        else:
            self._owner.refused(self.sinks.popleft(), reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport says so."""
        self._owner.gone(self, "closed" if exc is None else "reset")
