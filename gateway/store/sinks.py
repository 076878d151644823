"""Who takes the answer of a command, and what it gets when there is none."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol


class LineError(Exception):
    """A command was not answered with a value. `kind` is a metric label; `sent` is False when it surely had no effect."""

    def __init__(self, kind: str, *, sent: bool = True, message: str = "") -> None:
        self.kind = kind
        self.sent = sent
        self.message = message
        super().__init__(kind)


class Sink(Protocol):
    """Who takes the reply of one command. A `Wait` is one. Neither method may raise."""

    def done(self, value: Any) -> None:
        """The server's answer."""

    def fail(self, error: BaseException) -> None:
        """A LineError: an error reply, or no reply."""


class Counting(Sink, Protocol):
    """A sink that need not see its answers: a line may tell it their number instead (`Line.quiet`)."""

    def counted(self, count: int) -> None:
        """So many commands were answered with a value."""


class FutureSink:
    """A sink for asyncio code that awaits `future`."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Any] = loop.create_future()

    def done(self, value: Any) -> None:
        """The answer; ignored when nobody waits any more."""
        if not self.future.done():
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """The error; no news when the asker has left."""
        if not self.future.done():
            self.future.set_exception(error)
            # The asker may have left with its task; an unread error is no news then.
            self.future.exception()
