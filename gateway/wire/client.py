"""The calling side: a bounded pool of verified connections to one origin, one call on each at a time.

The pool never retries, follows nothing, keeps no cookies and reads no environment. A connection known to be closed is
skipped; once bytes of a request may have left, a loss is reported and nothing is sent again.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass

from gateway.wire.deadlines import NEVER, Sweeper
from gateway.wire.errors import ConnectFailed, DeadlineExceeded, WireError
from gateway.wire.flow import Wait
from gateway.wire.line import BodyStream, Line
from gateway.wire.outbox import Outbox
from gateway.wire.outgoing import Outgoing

__all__ = ["BodyStream", "CallLimits", "Origin", "Outgoing", "Pool"]

IDLE_SECONDS = 50.0
"""How long an unused connection is kept; shorter than the minute after which most front ends close theirs."""


@dataclass(frozen=True)
class Origin:
    """Where a pool connects. `tls` None means plain HTTP; `server_name` is verified and sent as SNI."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Limits of one call in seconds; 0 is none. `connect`: slot, name look-up, connection and TLS together;
    `first_byte`: from the request's last byte to the final head; `between_chunks`: silence while somebody waits."""

    connect: float = 10.0
    first_byte: float = 0.0
    between_chunks: float = 0.0
    total: float = 0.0


class _Seeker:
    """A call that waits for a connection; `due` bounds it."""

    __slots__ = ("dial", "due", "wait")

    def __init__(self, due: float) -> None:
        self.wait: Wait[Line] = Wait()
        self.due = due
        self.dial: asyncio.Task[None] | None = None

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweep's signature
        """Time is up."""
        self.due = NEVER
        error: WireError = DeadlineExceeded("connect") if self.dial is None else ConnectFailed("timeout")
        if self.dial is not None:
            self.dial.cancel()
        self.wait.fail(error)


class Pool:
    """At most `size` connections to `origin`. `open` counts connections made or being made, `idle` unused ones."""

    def __init__(self, origin: Origin, size: int, sweeper: Sweeper, *, idle_seconds: float = IDLE_SECONDS) -> None:
        self.origin = origin
        self.size = size
        self.open = 0
        self.outbox = Outbox()
        self._sweeper = sweeper
        self._idle_seconds = idle_seconds
        self._unused: list[Line] = []
        self._lines: set[Line] = set()
        self._seekers: deque[_Seeker] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def idle(self) -> int:
        """Connections ready for a call."""
        return len(self._unused)

    async def call(
        self, head: bytes, body: bytes | BodyStream | None, limits: CallLimits, method: str = "POST"
    ) -> Outgoing:
        """Send `head` (complete, with its empty line, and framing that matches `body`) and wait for the final head.

        Raises ConnectFailed (nothing was sent), DeadlineExceeded, UpstreamLost, UpstreamBroken, and what `body` raises.
        Interrupted or failed, the connection is closed before the error leaves.
        """
        unused = self._unused
        line = unused.pop() if unused else await self._seek(limits.connect)
        stream: BodyStream | None = None
        if body is None or isinstance(body, bytes):
            out = line.begin(head, body, limits, method)
        else:
            stream = body
            out = line.begin(head, None, limits, method)
        try:
            if stream is not None:
                await line.upload(out, stream)
            wait = out.head()
            if wait is not None:
                await wait
        except BaseException:
            out.abort()
            raise
        return out

    def close(self) -> None:
        """Close every connection; calls at hand fail with UpstreamLost, waiting ones with ConnectFailed."""
        self._closed = True
        for dial in tuple(self._dials):
            dial.cancel()
        while self._seekers:
            self._seekers.popleft().wait.fail(ConnectFailed("other"))
        for line in tuple(self._lines):
            line.drop()

    # --- for the connections ------------------------------------------------------------------------------------

    def give_back(self, line: Line) -> None:
        """A connection is free: the longest waiting call gets it."""
        if self._closed:
            line.drop()
            return
        while self._seekers:
            seeker = self._seekers.popleft()
            if not seeker.wait.ready:
                line.due = NEVER
                seeker.wait.done(line)
                return
        line.due = line.loop.time() + self._idle_seconds
        self._unused.append(line)

    def lost(self, line: Line) -> None:
        """A connection is closed: its slot goes to a call that waits without one."""
        if line in self._lines:
            self._lines.discard(line)
            self._sweeper.forget(line)
            self.open -= 1
            if line in self._unused:
                self._unused.remove(line)
            self._dial_next()

    # --- connecting ---------------------------------------------------------------------------------------------

    async def _seek(self, seconds: float) -> Line:
        if self._closed:
            raise ConnectFailed("other")
        now = asyncio.get_running_loop().time()
        seeker = _Seeker(now + seconds if seconds else NEVER)
        self._seekers.append(seeker)
        self._sweeper.watch(seeker)
        self._dial_next()
        try:
            return await seeker.wait
        except BaseException:
            if seeker in self._seekers:
                self._seekers.remove(seeker)
            if seeker.dial is not None:
                seeker.dial.cancel()
            raise
        finally:
            self._sweeper.forget(seeker)

    def _dial_next(self) -> None:
        if self._closed:
            return
        for seeker in self._seekers:
            if self.open >= self.size:
                return
            if seeker.dial is None and not seeker.wait.ready:
                self.open += 1
                seeker.dial = asyncio.get_running_loop().create_task(self._dial(seeker))
                self._dials.add(seeker.dial)
                seeker.dial.add_done_callback(self._dials.discard)

    async def _dial(self, seeker: _Seeker) -> None:
        """Connect for `seeker`; when it was served meanwhile, for whoever comes next."""
        loop = asyncio.get_running_loop()
        origin = self.origin
        try:
            _, line = await loop.create_connection(
                lambda: Line(self, loop),
                origin.host,
                origin.port,
                ssl=origin.tls,
                server_hostname=(origin.server_name or origin.host) if origin.tls is not None else None,
            )
        except BaseException as error:
            self.open -= 1
            if seeker in self._seekers:
                self._seekers.remove(seeker)
            seeker.wait.fail(ConnectFailed(_kind(error)))
            self._dial_next()
            if not isinstance(error, Exception):
                raise
            return
        self._lines.add(line)
        self._sweeper.watch(line)
        if seeker in self._seekers:
            self._seekers.remove(seeker)
            self._seekers.appendleft(seeker)
        self.give_back(line)


def _kind(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError | ssl.CertificateError):
        return "tls"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "other"
