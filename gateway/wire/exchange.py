"""One request of a connection, and the way to answer it.

The handler's side of the server: it reads the body whole or piece by piece, and writes an answer whose framing is decided
here. An answer that could not be completed is never ended as if it were whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gateway.wire.chunks import SIZE_LINES, ChunkDecoder, ChunkError
from gateway.wire.deadlines import NEVER
from gateway.wire.errors import BadMessage, ClientGone, WireError
from gateway.wire.flow import Flow, Wait
from gateway.wire.heads import Memo, RequestHead

if TYPE_CHECKING:
    from gateway.wire.connection import Connection

UNREAD_HIGH = 64 * 1024
"""Body bytes nobody asked for yet, above which reading from the client pauses."""
JOIN_BELOW = 16 * 1024
"""Up to this size a head and its body are joined into one write; larger ones are not copied."""
SLOWEST = 1024
"""Bytes a second below which a body counts as stalled, once `body_seconds` of waiting are used up."""

STATUS_LINES = {int(s): b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode("ascii")) for s in HTTPStatus}
"""Ready status lines; others get an empty phrase, as the grammar allows."""

EMPTY = frozenset((204, 304))
"""Statuses of answers that have no body."""
_SMALL = len(SIZE_LINES)
_CHUNKED = -1
_TO_THE_END = -2


class Incoming(RequestHead):
    """One request and its answer. Made by the server; every method belongs to the handler of this request.

    `memo` is what was made of the same head before, None for a head that the connection has not repeated.

    `congested`: the transport is over its high-water mark, so that `drained` would wait (looking first is cheaper).

    `began`: the head of an answer has been started. `sent`: body bytes handed to the transport. `finished`: the answer
    was ended, whole or not. `started` is monotonic time (seconds; a loop's own clock may stand still for a millisecond) when the head was complete, `peer` the client's address.
    """

    __slots__ = (
        "_bodiless",
        "_close",
        "_decoder",
        "_error",
        "_head",
        "_left",
        "_limit",
        "_link",
        "_missing",
        "_parts",
        "_received",
        "_since",
        "_size",
        "_transport",
        "_wait",
        "_waited",
        "began",
        "congested",
        "finished",
        "flow",
        "gone",
        "memo",
        "peer",
        "sent",
        "started",
    )

    flow: Flow

    def __init__(self, link: Connection, transport: asyncio.Transport, peer: str, started: float) -> None:
        self._link = link
        self._transport = transport
        self.peer = peer
        self.started = started
        self.began = False
        self.finished = False
        self.gone = False
        self.congested = link.write_paused
        self.sent = 0
        self.memo: Memo | None = None
        # The answer: head held back for the first bytes, body bytes still owed (or how else it ends).
        self._head = b""
        self._left = 0
        self._bodiless = False
        self._close = False
        # The body: pieces not yet read, what is still to come (-1: unknown), who waits for it.
        self._parts: list[bytes] = []
        self._size = 0
        self._received = 0
        self._missing = 0
        self._decoder: ChunkDecoder | None = None
        self._wait: Wait[bytes] | None = None
        self._limit = -1
        self._error: WireError | None = None
        self._since = 0.0
        self._waited = 0.0

    # --- the request's body -------------------------------------------------------------------------------------

    async def body(self, limit: int) -> bytes:
        """The whole body, at most `limit` bytes.

        Raises BadMessage 413 over the limit (before reading when the length is declared), BadMessage 400 for broken
        chunks, DeadlineExceeded("body") for a stalled client, ClientGone.
        """
        if (self.length or 0) > limit or self._size > limit:
            raise self._refused(_too_large())
        if self._missing:
            self._limit = limit
            return await self._more()
        return self._take()

    def at_hand(self, limit: int) -> bytes | None:
        """What `body` would return at once; None where it would wait, or raise."""
        return None if self._missing or self._size > limit else self._take()

    async def chunk(self) -> bytes:
        """The next piece of the body, b"" at its end. While nobody asks, reading from the client pauses after 64 KiB.

        Raises as `body`, but for the limit.
        """
        if self._parts:
            piece = self._take()
            self._link.resume_reading()
            return piece
        if not self._missing:
            return b""
        self._limit = -1
        return await self._more()

    @property
    def body_complete(self) -> bool:
        """Whether the whole body has arrived, read or not."""
        return not self._missing

    async def _more(self) -> bytes:
        if self._error is not None:
            raise self._error
        if self.gone:
            raise ClientGone("body")
        link = self._link
        if self.expects:
            self.expects = False
            if not self._received:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        wait: Wait[bytes] = Wait()
        self._wait = wait
        self._since = link.now()
        link.await_body(self.body_due())
        link.resume_reading()
        try:
            return await wait
        finally:
            self._wait = None
            self._waited += link.now() - self._since
            link.due = NEVER

    def body_due(self) -> float:
        """Until when the client may let us wait: its allowance grows with what it sends."""
        allowance = self._link.limits.body_seconds + self._received / SLOWEST
        return self._since + allowance - self._waited

    def _take(self) -> bytes:
        parts = self._parts
        if not parts:
            return b""
        self._size = 0
        if len(parts) == 1:
            return parts.pop()
        whole = b"".join(parts)
        parts.clear()
        return whole

    def expect_body(self) -> None:
        """Called once by the server, after `read`: get ready for the body the head announced."""
        if self.chunked:
            self._decoder = ChunkDecoder()
            self._missing = -1
        elif self.length:
            self._missing = self.length

    def came_whole(self, body: bytes) -> None:
        """Called by the server instead, when the whole body came with the head."""
        self._parts.append(body)
        self._received = self._size = len(body)

    def arrived(self, data: bytes) -> None:
        """Called by the server with bytes that follow the head; what belongs to the next request is given back to it."""
        decoder = self._decoder
        if self._error is not None:
            return
        if decoder is None:
            missing = self._missing
            if len(data) > missing:
                self._link.keep(data[missing:])
                data = data[:missing]
            self._missing = missing - len(data)
        else:
            try:
                data = decoder.feed(data)
            except ChunkError:
                self.fail_body(
                    self._refused(BadMessage(400, "bad_framing", "chunk", "The chunked body is not well-formed."))
                )
                return
            if decoder.ended:
                self._missing = 0
                if decoder.rest:
                    self._link.keep(decoder.rest)
        size = len(data)
        self._received += size
        wait = self._wait
        if wait is not None and self._limit < 0:
            if data or not self._missing:
                self._wait = None
                wait.done(data)
            return
        if data:
            self._parts.append(data)
            self._size += size
        if wait is None:
            if self._size > UNREAD_HIGH:
                self._link.pause_reading()
        elif self._size > self._limit:
            self._parts.clear()
            self.fail_body(self._refused(_too_large()))
        elif not self._missing:
            self._wait = None
            wait.done(self._take())

    def fail_body(self, error: WireError) -> None:
        """Called by the server: the body will not come. Reading goes no further."""
        self._error = error
        self._missing = self._missing or -1
        wait = self._wait
        if wait is not None:
            self._wait = None
            wait.fail(error)

    def _refused(self, error: BadMessage) -> BadMessage:
        self._link.counters.reject(error.reason)
        return error

    # --- the answer ---------------------------------------------------------------------------------------------

    def start(self, status: int, lines: bytes, length: int | None) -> None:
        """Begin the answer: `lines` are whole header lines, each ending in CRLF; `length` of the body, None if unknown.

        Framing and Connection fields are added here. The head leaves together with the first bytes of the body.
        """
        if self.began:
            raise RuntimeError("an answer was already begun")
        self.began = True
        close = not self.keep or self._missing != 0 or self._link.draining
        self._close = close
        head = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        empty = status in EMPTY
        bodiless = self._bodiless = empty or self.method == "HEAD"
        if empty:
            framing = b""
        elif length is not None:
            framing = b"content-length: %d\r\n" % length
            self._left = 0 if bodiless else length
        elif self.old:
            framing = b""
            self._left = _TO_THE_END
        else:
            framing = b"transfer-encoding: chunked\r\n"
            self._left = 0 if bodiless else _CHUNKED
        if close:
            framing += b"connection: close\r\n"
        self._head = b"%b%b%b\r\n" % (head, lines, framing)

    def send(self, data: bytes) -> None:
        """Hand body bytes to the transport. Never blocks: await `drained` between pieces of a long body."""
        size = len(data)
        if self._left == _CHUNKED and 0 < size < _SMALL and not (self._head or self.finished or self.gone):
            # Most often: an event in the midst of a stream.
            self.sent += size
            self._transport.write(SIZE_LINES[size] + data + b"\r\n")
            return
        if not size or self._bodiless or self.finished or self.gone:
            return
        left = self._left
        self.sent += size
        head = self._head
        self._head = b""
        if left >= 0:
            if size > left:
                self.abort()
                raise RuntimeError("more body than the declared length")
            self._left = left - size
        elif left == _CHUNKED:
            if size <= JOIN_BELOW:
                self._transport.write(b"%b%x\r\n%b\r\n" % (head, size, data))
            else:
                self._transport.writelines((b"%b%x\r\n" % (head, size), data, b"\r\n"))
            return
        if not head:
            self._transport.write(data)
        elif size > JOIN_BELOW:
            self._transport.writelines((head, data))
        elif size == left:
            self._link.hold(head + data)
        else:
            self._transport.write(head + data)

    def reply(self, status: int, lines: bytes, body: bytes) -> None:
        """A whole answer: `start`, `send` and `finish` in one."""
        size = len(body)
        plain = self.keep and not self._missing and not self.gone and not self.began and status not in EMPTY
        if plain and 0 < size <= JOIN_BELOW and self.method != "HEAD" and not self._link.draining:
            self.began = self.finished = True
            self.sent = size
            head = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
            self._link.hold(b"%b%bcontent-length: %d\r\n\r\n%b" % (head, lines, size, body))
            return
        self.start(status, lines, size)
        self.send(body)
        self.finish()

    def flush(self) -> None:
        """Let the head leave before any byte of the body is there."""
        head = self._head
        if head and not self.finished and not self.gone:
            self._head = b""
            self._transport.write(head)

    async def drained(self) -> None:
        """Return once the transport takes more; at once unless it is over its high-water mark.

        Raises DeadlineExceeded("write") when the client took nothing for `write_seconds`, and ClientGone.
        """
        if self.congested:
            if self.gone:
                raise ClientGone("stream")
            await self._link.writable()

    def finish(self) -> None:
        """End the answer. One that is shorter than declared is cut off instead: it never looks whole."""
        if self.finished:
            return
        if self.gone:
            self.finished = True
            return
        if not self.began:
            raise RuntimeError("no answer was begun")
        if self._left > 0:
            self.abort()
            return
        self.finished = True
        if self._left == _CHUNKED:
            self._transport.write(self._head + b"0\r\n\r\n")
        elif self._head:
            self._transport.write(self._head)
        self._head = b""
        if self._close:
            self._link.close(linger=self._missing != 0)

    def abort(self) -> None:
        """Close the connection without ending the answer; what was sent before still leaves. Idempotent."""
        if self.finished:
            return
        self.finished = True
        self._head = b""
        if not self.gone:
            # Without framing only a reset tells a cut answer from a whole one.
            self._link.cut(reset=self._left == _TO_THE_END, linger=self._missing != 0)


def _too_large() -> BadMessage:
    return BadMessage(413, "body_too_large", "body_size", "The request body is larger than accepted here.")


Handler = Callable[[Incoming], Coroutine[Any, None, None]]
"""Answers one request; everything it awaits is a Wait."""
