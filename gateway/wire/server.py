"""The listening side: who may connect, how long they may take, and how the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gateway.wire.connection import Connection
from gateway.wire.counters import WireCounters
from gateway.wire.deadlines import Sweeper
from gateway.wire.errors import BadMessage, Draining
from gateway.wire.exchange import Handler
from gateway.wire.heads import HeadLimits
from gateway.wire.outbox import Outbox

Refuse = Callable[[BadMessage, str], tuple[int, bytes, bytes]]
"""Given a refusal and the path that was asked for, empty where none was read: status, whole header lines and body to answer
with. The connection closes afterwards."""

ASKING = 0.25
"""Seconds in which a client that was let in before a drain, and has asked nothing yet, may still do so."""
LAST_WORDS = 1.0
"""Seconds that flows interrupted by a drain get to say so to their clients."""


@dataclass(frozen=True)
class ServerLimits:
    """What a client may take. Times in seconds, sizes in bytes.

    `body_seconds` bounds the time spent waiting for a body, plus one second per KiB received; `write_seconds` the time
    without progress towards a slow reader; `connections` those open at once.
    """

    head_seconds: float = 15.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    line_bytes: int = 8190
    header_bytes: int = 64 * 1024
    headers: int = 128
    connections: int = 4096


class Server:
    """Accepts clients and runs `handler` for each request. `refuse` shapes the answers to what is not acceptable.

    `own_hosts` are the authorities accepted in absolute-form targets. `on_error`, when set, is told of exceptions that
    handlers did not expect. `active` counts requests at hand, `connections` open ones.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        handler: Handler,
        refuse: Refuse,
        limits: ServerLimits,
        counters: WireCounters,
        own_hosts: frozenset[str],
        tls: ssl.SSLContext | None = None,
        sweeper: Sweeper | None = None,
    ) -> None:
        self.handler = handler
        self.refuse = refuse
        self.limits = limits
        self.counters = counters
        self.heads = HeadLimits(
            limits.line_bytes, limits.header_bytes, limits.headers, own_hosts, secure=tls is not None
        )
        self.on_error: Callable[[BaseException], None] | None = None
        self.active = 0
        self.draining = False
        self.outbox = Outbox()
        self._tls = tls
        self._sweeper = Sweeper() if sweeper is None else sweeper
        self._open: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._quiet: asyncio.Event | None = None
        self._shut = False

    @property
    def connections(self) -> int:
        """Client connections open now."""
        return len(self._open)

    async def listen(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Accept clients on an address; returns the port, chosen by the system for 0. Raises OSError."""
        self.loop = asyncio.get_running_loop()
        listener = await self.loop.create_server(
            lambda: Connection(self),
            host,
            port,
            ssl=self._tls,
            backlog=1024,
            reuse_port=reuse_port or None,
            ssl_handshake_timeout=self.limits.head_seconds if self._tls is not None else None,
        )
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        return bound

    async def drain(self, grace: float) -> None:
        """Stop: no new connections, idle ones close, answers say so; after `grace` seconds the flows left are
        interrupted with Draining, and a moment later every connection is gone.

        Whoever was let in before has a moment to ask: another server may have the port, and no client of either is sent away.
        """
        self.draining = True
        waiting = [client for listener in self._listeners for client in _close(listener)]
        made = [self.loop.create_task(self._let_in(client)) for client in waiting]
        for connection in tuple(self._open):
            connection.drain()
        asking = min(grace, ASKING)
        emptied = await self._emptied(asking) and all(task.done() for task in made)
        self._shut = True
        for connection in tuple(self._open):
            connection.drain(asked=True)
        if not emptied and not await self._emptied(grace - asking):
            for connection in tuple(self._open):
                connection.interrupt(Draining())
            await self._emptied(LAST_WORDS)
        for connection in tuple(self._open):
            connection.abort()
        for task in made:
            task.cancel()
        await self._emptied(LAST_WORDS)

    # --- for connections ----------------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Take a new connection into the books; False when it has to be turned away."""
        self._open.add(connection)
        self._sweeper.watch(connection)
        if len(self._open) > self.limits.connections * 5 // 4 + 8:
            # Even saying no takes a descriptor for a moment; beyond this there is no answer.
            connection.abort()
        if len(self._open) > self.limits.connections or self._shut:
            self.counters.reject("connections")
            return False
        return True

    def leave(self, connection: Connection) -> None:
        """Strike a connection from the books."""
        self._open.discard(connection)
        self._sweeper.forget(connection)
        self.quiet()

    def quiet(self) -> None:
        """Tell a drain that waits when nothing is left."""
        if self._quiet is not None and not self._open and not self.active:
            self._quiet.set()

    def report(self, error: BaseException | None) -> None:
        """Pass on an exception nobody expected."""
        if error is not None and self.on_error is not None:
            self.on_error(error)

    async def _let_in(self, client: socket.socket) -> None:
        """Take a client that the system had accepted before the listener closed."""
        seconds = self.limits.head_seconds if self._tls is not None else None
        with contextlib.suppress(OSError):
            await self.loop.connect_accepted_socket(
                lambda: Connection(self), client, ssl=self._tls, ssl_handshake_timeout=seconds
            )

    async def _emptied(self, seconds: float) -> bool:
        self._quiet = asyncio.Event()
        self.quiet()
        try:
            await asyncio.wait_for(self._quiet.wait(), seconds)
        except TimeoutError:
            return False
        return True


def _close(listener: asyncio.Server) -> list[socket.socket]:
    """Listen no more; the clients that wait to be accepted, whom the system would send away with a reset."""
    doors = [socket.socket(fileno=os.dup(each.fileno())) for each in listener.sockets]
    listener.close()
    found: list[socket.socket] = []
    for door in doors:
        door.settimeout(0)
        with door, contextlib.suppress(OSError):
            while True:
                client = door.accept()[0]
                client.settimeout(0)
                found.append(client)
    return found
