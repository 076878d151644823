"""One client connection: cuts bytes into requests, runs their handlers one after the other, keeps the client's deadlines.

Requests of a connection are answered in order; the next one starts when the handler before it has ended.
A client that closes, even only its own direction, is gone: its flow is interrupted at once.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from time import monotonic
from typing import TYPE_CHECKING, cast

from gateway.wire.deadlines import NEVER
from gateway.wire.errors import BadMessage, ClientGone, DeadlineExceeded, Draining, WireError
from gateway.wire.exchange import STATUS_LINES, UNREAD_HIGH, Incoming
from gateway.wire.flow import Flow, Wait
from gateway.wire.heads import Recall, check_partial, path_of

if TYPE_CHECKING:
    from gateway.wire.server import Server

LINGER_SECONDS = 2.0
"""How long bytes are read and dropped after a refusal, so that the client can read it before a reset reaches it."""
_NO_LINGER = struct.pack("ii", 1, 0)


class Connection(asyncio.Protocol):
    """The asyncio side of one client. `due` and `phase` are its one deadline: head, idle, body, write, linger or close."""

    __slots__ = (
        "_advancing",
        "_closing",
        "_held",
        "_incoming",
        "_loop",
        "_partial",
        "_peer",
        "_reading_paused",
        "_recall",
        "_server",
        "_tail",
        "_transport",
        "_unsent",
        "_write_wait",
        "counters",
        "due",
        "limits",
        "phase",
        "write_paused",
    )

    _transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = server.loop
        self.limits = server.limits
        self.counters = server.counters
        self._recall = Recall()
        self._incoming: Incoming | None = None
        self._partial: bytearray | None = None  # the beginning of a head
        self._tail = b""  # bytes behind the request at hand
        self._held = b""  # a short answer that waits for the end of the loop's turn
        self._advancing = False
        self._closing = False
        self._reading_paused = False
        self.write_paused = False
        self._write_wait: Wait[None] | None = None
        self._unsent = 0
        self._peer = ""
        self.due = NEVER
        self.phase = ""

    # --- asyncio's callbacks ------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new client, or turn it away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self.counters.accepted += 1
        self.phase = "head"
        self.due = self._loop.time() + self.limits.head_seconds
        if not self._server.admit(self):
            self._refuse(BadMessage(503, "too_many_connections", "connections", "Too many connections."))

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: of a head, of the body at hand, or of requests behind it."""
        incoming = self._incoming
        if incoming is None:
            if not self._closing:
                self._advance(data)
        elif incoming.body_complete:
            self.keep(data)
        elif not self._closing:
            incoming.arrived(data)

    def eof_received(self) -> bool:
        """The client will send no more: with a request at hand it counts as gone."""
        incoming = self._incoming
        if incoming is not None and not incoming.finished:
            self._lost(incoming)
            self._transport.abort()
        self.release()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """The connection is gone, whoever ended it."""
        self.due = NEVER
        self._closing = True
        self._server.leave(self)
        if self._partial is not None:
            self.counters.disconnect("head")
            self._partial = None
        incoming = self._incoming
        if incoming is not None and not incoming.gone:
            if incoming.finished:
                incoming.gone = True
                self._release_writer(ClientGone("stream"))
            else:
                self._lost(incoming)

    def pause_writing(self) -> None:
        """The transport's buffer is over its high-water mark."""
        self.write_paused = True
        if self._incoming is not None:
            self._incoming.congested = True

    def resume_writing(self) -> None:
        """The transport's buffer is low again."""
        self.write_paused = False
        if self._incoming is not None:
            self._incoming.congested = False
        wait = self._write_wait
        if wait is not None:
            self._write_wait = None
            self.due = NEVER
            wait.done(None)

    # --- for the exchange ---------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        """Whether the server stops, so that this answer is the connection's last."""
        return self._server.draining

    def now(self) -> float:
        """Loop time."""
        return self._loop.time()

    def write(self, data: bytes) -> None:
        """To the client."""
        self.release()
        self._transport.write(data)

    def hold(self, data: bytes) -> None:
        """To the client, at the end of the loop's turn: a whole short answer."""
        self._held = data
        self._server.outbox.add(self)

    def release(self) -> None:
        """Write the answer that waits for the end of the loop's turn."""
        data = self._held
        if data:
            self._held = b""
            if not self._transport.is_closing():
                self._transport.write(data)

    def writable(self) -> Wait[None]:
        """Comes when the transport takes bytes again."""
        wait: Wait[None] = Wait()
        self._write_wait = wait
        self._unsent = self._transport.get_write_buffer_size()
        self.phase = "write"
        self.due = self._loop.time() + self.limits.write_seconds
        return wait

    def await_body(self, due: float) -> None:
        """A handler waits for the client's body."""
        self.phase = "body"
        self.due = due

    def keep(self, data: bytes) -> None:
        """Bytes behind the request at hand wait for their turn, and beyond a bound in the client's own buffers."""
        if self._closing:
            return
        self._tail += data
        if len(self._tail) > UNREAD_HIGH:
            self.pause_reading()

    def pause_reading(self) -> None:
        """Let the client wait."""
        if not self._reading_paused and not self._closing:
            self._reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Let the client go on."""
        if self._reading_paused and len(self._tail) <= UNREAD_HIGH:
            self._reading_paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def close(self, *, linger: bool) -> None:
        """Close once everything written has left; with `linger` read on for a moment, as unread bytes would cause a
        reset that could overtake the answer."""
        if self._closing:
            return
        self._closing = True
        self._tail = b""
        self._partial = None
        self.release()
        if linger:
            self.phase = "linger"
            self.due = self._loop.time() + LINGER_SECONDS
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._reading_paused, paused = False, self._reading_paused
            if paused:
                self._transport.resume_reading()
            return
        self.phase = "close"
        self.due = self._loop.time() + self.limits.write_seconds
        self._transport.close()

    def cut(self, *, reset: bool, linger: bool) -> None:
        """Close an answer that is not whole."""
        if reset:
            self._closing = True
            self.release()
            endpoint = self._transport.get_extra_info("socket")
            if endpoint is not None:  # closing with no time to linger sends a reset
                endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            self._transport.abort()
        else:
            self.close(linger=linger)

    # --- deadlines and draining ---------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline has passed: see whether it stands, and act on it."""
        phase = self.phase
        incoming = self._incoming
        if phase == "body" and incoming is not None:
            self.due = incoming.body_due()
            if self.due > now:
                return
            self.due = NEVER
            self.counters.timeout(phase)
            incoming.fail_body(DeadlineExceeded(phase))
        elif phase == "write":
            unsent = self._transport.get_write_buffer_size()
            if unsent < self._unsent:
                self._unsent = unsent
                self.due = now + self.limits.write_seconds
                return
            self.due = NEVER
            self.counters.timeout(phase)
            self._release_writer(DeadlineExceeded(phase))
        elif phase in {"head", "idle"}:
            if phase == "head":
                self.counters.timeout(phase)
            self.close(linger=False)
        else:
            if self._transport.get_write_buffer_size():
                self.counters.timeout(phase)
            self.due = NEVER
            self._transport.abort()

    def drain(self, *, asked: bool = False) -> None:
        """The server stops: an idle connection closes, a busy one after its answer; one that has yet to ask, or is about to, only
        with `asked`."""
        if self._incoming is None and (asked or self.phase != "head"):
            self.close(linger=False)

    def interrupt(self, error: WireError) -> None:
        """End the flow at hand with `error`."""
        incoming = self._incoming
        if incoming is not None:
            incoming.flow.interrupt(error)

    def abort(self) -> None:
        """Drop the connection with everything unsent."""
        self._transport.abort()

    # --- from bytes to handlers ---------------------------------------------------------------------------------

    def _advance(self, data: bytes) -> None:
        """Start the requests in `data` one after the other, as far as their handlers end at once."""
        self._advancing = True
        while data and not self._closing:
            if self._partial is not None:
                seen = len(self._partial)
                self._partial += data
                end = self._partial.find(b"\r\n\r\n", max(0, seen - 3))
                if end >= 0:
                    data = bytes(self._partial)
                    self._partial = None
            else:
                end = data.find(b"\r\n\r\n")
                if end < 0:
                    self._partial = bytearray(data)
            try:
                if end < 0:
                    self._await_head()
                    break
                self._begin(data, end + 4)
            except BadMessage as bad:
                self.counters.reject(bad.reason)
                self._refuse(bad, path_of(bytes(self._partial or data)))
                break
            if self._incoming is not None:
                break
            data, self._tail = self._tail, b""
            self.resume_reading()
        self._advancing = False

    def _await_head(self) -> None:
        partial = self._partial
        assert partial is not None
        if self.phase != "head":
            self.phase = "head"
            self.due = self._loop.time() + self.limits.head_seconds
        check_partial(bytes(partial), self._server.heads)

    def _begin(self, data: bytes, end: int) -> None:
        """Read a head, take the body bytes that came with it, start the handler. Raises BadMessage."""
        if self._held:  # a client that did not wait for its answer
            self.release()
        server = self._server
        incoming = Incoming(self, self._transport, self._peer, monotonic())
        if len(data) == end:
            incoming.memo = incoming.read(data, self._recall, server.heads)
            incoming.expect_body()
        else:
            incoming.memo = incoming.read(data[:end], self._recall, server.heads)
            if incoming.length == len(data) - end:
                incoming.came_whole(data[end:])
            else:
                incoming.expect_body()
                if incoming.body_complete:
                    self._tail = data[end:]
                else:
                    incoming.arrived(data[end:])
        self.due = NEVER
        self.phase = ""
        self._incoming = incoming
        self.counters.requests += 1
        server.active += 1
        flow = incoming.flow = Flow(server.handler(incoming), self._ended)
        flow.start()

    def _ended(self, error: BaseException | None) -> None:
        """The handler is through: clean up after it, then go on with the next request."""
        incoming = self._incoming
        assert incoming is not None
        self._incoming = None
        server = self._server
        server.active -= 1
        if error is not None or not incoming.finished:
            self._settle(incoming, error)
        if self._closing:
            server.quiet()
            return
        if server.draining:
            self.close(linger=False)
            return
        self.phase = "idle"
        self.due = self._loop.time() + self.limits.idle_seconds
        if self._advancing:
            return  # the loop that started this request goes on
        if self._tail or self._reading_paused:
            data, self._tail = self._tail, b""
            self.resume_reading()
            if data:
                self._advance(data)

    def _settle(self, incoming: Incoming, error: BaseException | None) -> None:
        """A handler that failed or left its answer open: answer for it where nothing was sent, else cut."""
        if not isinstance(error, WireError):
            self.counters.handler_errors += 1
            self._server.report(error)
        if incoming.gone or incoming.finished:
            return
        if incoming.began:
            incoming.abort()
        elif isinstance(error, BadMessage):
            self._refuse(error, incoming.path)
        elif isinstance(error, DeadlineExceeded) and error.phase == "body":
            self._refuse(
                BadMessage(408, "request_timeout", "body_timeout", "The request body came too slowly."), incoming.path
            )
        elif isinstance(error, Draining):
            self._refuse(BadMessage(503, "draining", "draining", "The server is stopping."), incoming.path)
        else:
            self._refuse(BadMessage(500, "internal_error", "internal", "Internal error."), incoming.path)
        incoming.finished = True

    def _refuse(self, bad: BadMessage, path: str = "") -> None:
        """Answer with what the server says to a refusal, and close."""
        status, lines, body = self._server.refuse(bad, path)
        head = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        self.write(b"%b%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (head, lines, len(body), body))
        self.close(linger=True)

    def _lost(self, incoming: Incoming) -> None:
        """The client left before its answer was whole."""
        phase = "stream" if incoming.began else "wait" if incoming.body_complete else "body"
        incoming.gone = True
        self._closing = True
        self.counters.disconnect(phase)
        incoming.flow.interrupt(ClientGone(phase))

    def _release_writer(self, error: WireError) -> None:
        wait = self._write_wait
        if wait is not None:
            self._write_wait = None
            wait.fail(error)
