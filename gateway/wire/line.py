"""One upstream connection, carrying one call at a time.

It is used again only when the answer ended exactly where its framing says, nothing followed it, and the request had left
whole; everything else closes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

from gateway.wire.chunks import ChunkError
from gateway.wire.deadlines import NEVER
from gateway.wire.errors import UpstreamBroken, UpstreamLost, WireError
from gateway.wire.flow import Wait
from gateway.wire.outgoing import Outgoing
from gateway.wire.replies import HEAD_BYTES

if TYPE_CHECKING:
    from gateway.wire.client import CallLimits, Pool

JOIN_BELOW = 16 * 1024
"""Up to this size a head and its body are joined into one write; larger ones are not copied."""
INFORMATIONAL_CAP = 16
"""1xx heads accepted before the final one."""


class BodyStream(Protocol):
    """A request body that comes piece by piece; `length` in bytes, None for chunked."""

    length: int | None

    async def chunk(self) -> bytes:
        """The next piece, b"" at the end."""
        ...


class Line(asyncio.Protocol):
    """The asyncio side of one upstream connection."""

    __slots__ = (
        "_buffer",
        "_held",
        "_informational",
        "_out",
        "_pool",
        "_reading_paused",
        "_transport",
        "_write_paused",
        "_write_wait",
        "calls",
        "due",
        "loop",
        "lost",
    )

    _transport: asyncio.Transport

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self.loop = loop
        self._out: Outgoing | None = None
        self._buffer = b""
        self._held = b""
        self._informational = 0
        self._reading_paused = False
        self._write_paused = False
        self._write_wait: Wait[None] | None = None
        self.calls = 0
        self.lost = False
        self.due = NEVER

    # --- asyncio's callbacks ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands (with TLS: is verified)."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of the answer; anything on an idle connection closes it."""
        out = self._out
        if out is None:
            self.drop()
            return
        try:
            if out.phase == "first_byte":
                self._read_head(out, data)
            else:
                self._read_body(out, data)
        except UpstreamBroken as broken:
            self.drop(broken)

    def eof_received(self) -> bool:
        """The upstream closed: the regular end of an answer without framing, a loss else."""
        out = self._out
        if out is not None and out.ends_with_connection():
            out.whole = True
            self._finish(out, follows=True)
            out.wake()
        else:
            self.drop()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The connection is gone."""
        self.drop()

    def pause_writing(self) -> None:
        """The upstream reads slowly."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The upstream has caught up."""
        self._write_paused = False
        wait = self._write_wait
        if wait is not None:
            self._write_wait = None
            wait.done(None)

    # --- for the pool and the answer ----------------------------------------------------------------------------

    def begin(self, head: bytes, body: bytes | None, limits: CallLimits, method: str) -> Outgoing:
        """Send a request; the answer comes in the Outgoing."""
        now = self.loop.time()
        out = Outgoing(self, method, limits, now, reused=self.calls > 0)
        self.calls += 1
        self._out = out
        self._informational = 0
        self.due = min(out._total, now + limits.first_byte) if limits.first_byte else out._total
        if self._held:  # an answer that came before its request had left
            self.release()
        if not body:
            self._transport.write(head)
        elif len(body) <= JOIN_BELOW:
            self._held = head + body
            self._pool.outbox.add(self)
        else:
            self._transport.writelines((head, body))
        return out

    def release(self) -> None:
        """Write the request that waits for the end of the loop's turn."""
        data = self._held
        if data:
            self._held = b""
            if not self._transport.is_closing():
                self._transport.write(data)

    async def upload(self, out: Outgoing, body: BodyStream) -> None:
        """Send a body as it comes, with backpressure; stops early when the answer's head is already there."""
        left = body.length
        out.uploaded = False
        self.due = out._total
        while True:
            piece = await body.chunk()
            if self.lost or out.phase != "first_byte":
                return
            if not piece:
                break
            if left is None:
                self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            else:
                left -= len(piece)
                if left < 0:
                    break
                self._transport.write(piece)
            if self._write_paused:
                await self._writable(out)
        if left:
            raise UpstreamBroken("upload")
        if left is None:
            self._transport.write(b"0\r\n\r\n")
        out.uploaded = True
        self.due = out.due_for_head(self.loop.time())

    async def _writable(self, out: Outgoing) -> None:
        wait: Wait[None] = Wait()
        self._write_wait = wait
        self.due = out.due_for_head(self.loop.time())
        await wait
        self.due = out._total

    def resume_reading(self) -> None:
        """The reader has caught up."""
        if self._reading_paused:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def expire(self, now: float) -> None:
        """The deadline has passed: end the call, or an idle connection."""
        self.due = NEVER
        out = self._out
        error = out.expired(now) if out is not None else None
        self.drop(error)

    def drop(self, error: WireError | None = None) -> None:
        """Close for good; a call at hand fails with `error`, or with UpstreamLost."""
        if self.lost:
            return
        self.lost = True
        self.due = NEVER
        self._held = b""
        self._transport.abort()
        self._pool.lost(self)
        out = self._out
        self._out = None
        wait = self._write_wait
        if out is not None or wait is not None:
            began = out is not None and out.phase != "first_byte"
            error = error or UpstreamLost(sent=True, began=began)
            if wait is not None:
                self._write_wait = None
                wait.fail(error)
            if out is not None:
                out.fail(error)

    # --- reading ------------------------------------------------------------------------------------------------

    def _read_head(self, out: Outgoing, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                if len(data) > HEAD_BYTES:
                    raise UpstreamBroken("head_size")
                if not data.startswith(b"HTTP/1."[: len(data)]):
                    raise UpstreamBroken("version")
                self._buffer = data
                return
            end += 4
            if end > HEAD_BYTES:
                raise UpstreamBroken("head_size")
            out.read(data[:end], out._method)
            if out.status >= 200:
                break
            self._informational += 1
            if out.status == 101 or self._informational > INFORMATIONAL_CAP:
                raise UpstreamBroken("upgrade" if out.status == 101 else "informational")
            data = data[end:]
            if not data:
                return
        self.loop.time()
        out.open_body()
        follows = False
        if out.whole:
            follows = len(data) > end
        elif len(data) > end:
            data, follows = out.feed(data[end:])
            if data:
                out.take(data)
        if out.whole:
            self._finish(out, follows=follows)
        else:
            self.due = out._total
        out.wake()

    def _read_body(self, out: Outgoing, data: bytes) -> None:
        decoder = out._decoder
        follows = False
        if decoder is None:
            data, follows = out.feed(data)
        else:
            try:
                data = decoder.feed(data)
            except ChunkError:
                raise UpstreamBroken("chunk") from None
            if decoder.ended:
                out.whole = True
                follows = bool(decoder.rest)
        if out.whole:
            self._finish(out, follows=follows)
        elif not data:
            return
        elif out._sink is not None:
            self._hand(out, out._sink, data)
            return
        else:
            self.due = out._total
        wait = out._wait
        if wait is not None:
            out._wait = None
            wait.done(data)
        elif data and out.take(data) and not self._reading_paused and not out.whole:
            self._reading_paused = True
            self._transport.pause_reading()

    def _hand(self, out: Outgoing, sink: Callable[[bytes], bool], data: bytes) -> None:
        """Give the reader a piece without resuming its flow, unless it wants to stop or failed."""
        try:
            if sink(data):
                gap, total = out._gap, out._total
                due = self.loop.time() + gap if gap else total
                self.due = min(total, due)
                return
        except Exception as error:  # noqa: BLE001 - it is the flow's to handle
            failed: Exception | None = error
        else:
            failed = None
        self.due = out._total
        wait = out._wait
        out._sink = out._wait = None
        if wait is not None:
            if failed is None:
                wait.done(b"")
            else:
                wait.fail(failed)

    def _finish(self, out: Outgoing, *, follows: bool) -> None:
        """The answer is whole: the connection goes back to the pool, or closes."""
        self._out = None
        out._line = None
        if self._reading_paused:
            self.resume_reading()
        if follows or not out.keep or not out.uploaded:
            self.drop()
            return
        self._pool.give_back(self)
