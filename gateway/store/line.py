"""One pipelined connection to the store that is kept up, with a breaker.

Rules of the file: commands of one loop iteration leave in one write; replies meet their commands in order, and anything
odd drops the connection; nobody waits longer than `limit` seconds (age of the oldest unanswered command, watched by one
timer); while the line is not `up` nothing is sent and callers know at once. Nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.store.breaker import Breaker
from gateway.store.counters import LineCounters
from gateway.store.replies import Replies
from gateway.store.resp import ReplyError, pack
from gateway.store.sinks import Counting, FutureSink, LineError, Sink
from gateway.store.target import Finder, NoTarget, Target

CONNECT_SECONDS = 1.0
"""Limit of connect, TLS, authentication and the probe together, and so of the time a recovered server stays unnoticed."""
FIRST_PAUSE = 0.02
LAST_PAUSE = 0.5
"""Pauses between attempts to connect double from the first to the last, seconds."""
PROBE_SECONDS = 0.5
"""Pause before a server that refuses writes is asked again."""
GRACE_SECONDS = 0.002
"""One more look at the socket before a silent server is given up: the silence may have been our own."""

DROPPING = frozenset({"readonly", "loading", "noauth", "masterdown", "moved", "noproto"})
"""Errors that say this is not, or not yet, the server to talk to: drop and connect anew (a failover looks like this)."""
REFUSING = frozenset({"misconf", "oom", "noreplicas", "busy", "noperm", "tryagain"})
"""Errors of a server that cannot take writes now: they open the breaker."""


@dataclass(frozen=True, slots=True)
class LineOptions:
    """What one line is for. `probe` packs a command that writes; it must pass before the line is up."""

    name: str
    probe: Callable[[], bytes]
    limit: float = 0.1
    scripts: Sequence[str] = ()
    channel: str = ""
    """Channel to subscribe to, where the server speaks RESP3."""


class _Subscription(FutureSink):
    """Takes the answer of the PING behind a SUBSCRIBE. RESP3 answers SUBSCRIBE with a push, so only a refusal comes in order:

    then it comes in PING's place, and PING's own answer is still to come.
    """

    __slots__ = ("_line", "_refused")

    def __init__(self, line: Line) -> None:
        super().__init__(line._loop)
        self._line = line
        self._refused = False

    def done(self, value: Any) -> None:
        del value
        super().done(not self._refused)

    def fail(self, error: BaseException) -> None:
        if isinstance(error, LineError) and error.kind in {"noperm", "err"} and not self._refused:
            self._refused = True
            self._line._replies.sinks.appendleft(self)
            self._line._replies.sent += 1
        else:
            super().fail(error)


class Line:
    """See the file. `on_up` and `on_down` run when the line changes, `on_push` for every message of the channel."""

    def __init__(self, finder: Finder, options: LineOptions, counters: LineCounters) -> None:
        self.up = False
        self.options = options
        self.breaker = Breaker()
        self.on_up: Callable[[], None] = _nothing
        self.on_down: Callable[[], None] = _nothing
        self.on_push: Callable[[bytes], None] = _nothing
        self.subscribed = False
        self.quiet: Counting | None = None
        """Whose answers on this line are only counted; to be set before `start`."""
        self._finder = finder
        self._counters = counters
        self._replies = Replies(self)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._marks: deque[tuple[float, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._probe_timer: asyncio.TimerHandle | None = None
        self._scheduled = False
        self._suspect = False
        self._task: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time
        self._task = self._loop.create_task(self._keep(), name=f"store-line-{self.options.name}")

    async def close(self) -> None:
        """Send what is queued, drop the connection, stop connecting. Commands without an answer fail."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._out and self._transport is not None:
            self._flush()
        self._drop("closed", count=False)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._lost.clear()
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await self._connect()
            except NoTarget as error:
                self._counters.error(error.kind)
            except TimeoutError:
                self._drop("connect_timeout")
            except LineError as error:
                # Whoever raised it has counted it.
                self._drop(error.kind, count=False)
            except OSError as error:
                self._drop("refused" if isinstance(error, ConnectionRefusedError) else "connect")
            except ValueError:
                self._drop("config")
            else:
                pause = FIRST_PAUSE
                await self._lost.wait()
            await asyncio.sleep(pause)
            pause = min(pause * 2, LAST_PAUSE)

    async def _connect(self) -> None:
        target = await self._finder.find()
        replies = Replies(self, self.quiet)
        if target.path:
            transport, _ = await self._loop.create_unix_connection(lambda: replies, target.path)
        else:
            context = self._finder.context(target)
            transport, _ = await self._loop.create_connection(
                lambda: replies,
                target.host,
                target.port,
                ssl=context,
                server_hostname=target.host if context is not None else None,
            )
            raw = transport.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._replies, self._transport = replies, transport
        self._counters.connects += 1
        await self._handshake(target)
        await self._probe()
        self._opened()

    async def _handshake(self, target: Target) -> None:
        options = self.options
        who = ["AUTH", target.user or "default", target.password] if target.password else []
        try:
            await self._ask(pack("HELLO", "3", *who, "SETNAME", f"trivet-{options.name}"))
            modern = True
        except LineError as error:
            if error.kind not in {"err", "noproto", "noperm"}:
                raise
            modern = False
            if target.password:
                await self._ask(pack("AUTH", *(who[1:] if target.user else who[2:])))
        commands = [pack("SELECT", target.db)] if target.db else []
        commands.extend(pack("SCRIPT", "LOAD", text) for text in options.scripts)
        await asyncio.gather(*[self._ask(command) for command in commands])
        self.subscribed = False
        if modern and options.channel and self._transport is not None:
            sink = _Subscription(self)
            self._transport.write(pack("SUBSCRIBE", options.channel) + pack("PING"))
            self._replies.sinks.append(sink)
            self._replies.sent += 1
            self.subscribed = await sink.future

    async def _probe(self) -> None:
        self.breaker.probing()
        self._counters.breaker = self.breaker.state
        async with asyncio.timeout(max(self.options.limit, 0.05)):
            await self._ask(self.options.probe())

    def _opened(self) -> None:
        if self._transport is None or self._transport.is_closing():
            raise LineError("closed")
        self.breaker.passed()
        self._counters.breaker = self.breaker.state
        self._counters.up = 1
        self.up = True
        self.on_up()

    # -- sending ------------------------------------------------------------------------------------------------------

    def send(self, command: bytes, sink: Sink) -> None:
        """Queue one packed command; it leaves at the end of this loop iteration. Raises LineError when the line is not up."""
        if not self.up:
            raise LineError("down", sent=False)
        self._out.append(command)
        replies = self._replies
        replies.sinks.append(sink)
        replies.sent += 1
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def send_batch(self, commands: bytes, count: int, sink: Sink) -> None:
        """Queue `count` packed commands whose replies all go to one sink. Raises LineError when the line is not up."""
        if not self.up:
            raise LineError("down", sent=False)
        self._out.append(commands)
        replies = self._replies
        replies.sinks.extend([sink] * count)
        replies.sent += count
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    async def ask(self, command: bytes) -> Any:
        """Send one packed command and await its answer from asyncio code. Raises LineError."""
        if not self.up:
            raise LineError("down", sent=False)
        return await self._ask(command)

    async def ask_many(self, commands: Sequence[bytes]) -> list[Any]:
        """Send packed commands in one write and await all answers; one that has none is a LineError in its place."""
        if not self.up:
            raise LineError("down", sent=False)
        self._out.extend(commands)
        answers = [self._answer() for _ in commands]
        self._flush()
        return await asyncio.gather(*answers, return_exceptions=True)

    def _ask(self, command: bytes) -> asyncio.Future[Any]:
        self._out.append(command)
        answer = self._answer()
        self._flush()
        return answer

    def _answer(self) -> asyncio.Future[Any]:
        sink = FutureSink(self._loop)
        if self._transport is None:
            sink.fail(LineError("closed", sent=False))
        else:
            self._replies.sinks.append(sink)
            self._replies.sent += 1
        return sink.future

    def _flush(self) -> None:
        self._scheduled = False
        out, transport = self._out, self._transport
        if not out or transport is None:
            return
        transport.write(b"".join(out))
        out.clear()
        if self.up:
            now = self._time()
            self._marks.append((now, self._replies.sent))
            if self._timer is None:
                self._timer = self._loop.call_at(now + self.options.limit, self._check)

    @property
    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet: how far behind the server is."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _check(self) -> None:
        """The one timer: is the oldest unanswered command too old?"""
        self._timer = None
        marks, answered = self._marks, self._replies.answered
        while marks and marks[0][1] <= answered:
            marks.popleft()
        if not marks:
            self._suspect = False
            return
        due = marks[0][0] + self.options.limit
        if due > self._loop.time():
            self._suspect = False
            self._timer = self._loop.call_at(due, self._check)
        elif not self._suspect:
            self._suspect = True
            self._timer = self._loop.call_later(GRACE_SECONDS, self._check)
        else:
            self._drop("timeout")

    # -- receiving ----------------------------------------------------------------------------------------------------

    def refused(self, sink: Sink, reply: ReplyError) -> None:
        """A command was answered with an error: react to its kind, then tell the sink."""
        kind = reply.kind
        self._counters.error(kind)
        if kind == "noscript":
            # Somebody flushed the scripts: whoever sends the command again finds them there.
            for text in self.options.scripts:
                self._ask(pack("SCRIPT", "LOAD", text)).add_done_callback(_seen)
        if kind in DROPPING:
            self._drop(kind, count=False)
        elif kind in REFUSING and self.up and self.breaker.failed(self._loop.time()):
            self._close_gate()
            self._probe_timer = self._loop.call_later(PROBE_SECONDS, self._probe_again)
        sink.fail(LineError(kind, message=reply.message))

    def _close_gate(self) -> None:
        was, self.up = self.up, False
        self._counters.up = 0
        self._counters.breaker = self.breaker.state
        if was:
            self.on_down()

    def _probe_again(self) -> None:
        """Half-open: one write on the connection that is still there."""
        self._probe_timer = None
        if self._transport is None:
            return
        self.breaker.probing()
        self._counters.breaker = self.breaker.state
        self._ask(self.options.probe()).add_done_callback(self._probed)
        self._timer = self._timer or self._loop.call_later(self.options.limit, self._check)
        self._marks.append((self._loop.time(), self._replies.sent))

    def _probed(self, answer: asyncio.Future[Any]) -> None:
        if self._transport is None or self._task is None:
            return
        if answer.exception() is None:
            self._opened()
            return
        self.breaker.trip()
        self._counters.breaker = self.breaker.state
        self._probe_timer = self._loop.call_later(PROBE_SECONDS, self._probe_again)

    # -- losing -------------------------------------------------------------------------------------------------------

    def drop(self, kind: str) -> None:
        """Give this connection up because of what a reply said, and connect anew; everything unanswered fails."""
        self._drop(kind)

    def gone(self, replies: Replies, kind: str) -> None:
        """A connection was lost; no news when it is not the present one."""
        if replies is self._replies:
            self._drop(kind)

    def _drop(self, kind: str, *, count: bool = True) -> None:
        transport, self._transport = self._transport, None
        replies, self._replies = self._replies, Replies(self)
        replies.open = False
        if count and (transport is not None or kind != "closed"):
            self._counters.error(kind)
        if transport is not None:
            transport.abort()
        for timer in (self._timer, self._probe_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._probe_timer = None
        self._suspect = False
        self._out.clear()
        self._marks.clear()
        self.breaker.trip()
        self._close_gate()
        self._lost.set()
        for sink in replies.sinks:
            sink.fail(LineError(kind))


def _seen(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for this answer; an error in it has been counted."""
    if not answer.cancelled():
        answer.exception()


def _nothing(*_: object) -> None:
    """Default of the hooks."""
