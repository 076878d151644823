"""A provider on a real socket that does exactly what a test tells it to, byte by byte: the other end of every live-path test.

It runs in a thread of its own, so sync and async tests, in-process gateways and gateway processes can all use it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Received:
    """One request as it arrived. `gone` is set with the time when the other side closed during the answer."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    at: float
    gone: threading.Event = field(default_factory=threading.Event)
    gone_at: float = 0.0

    @property
    def fields(self) -> dict[str, str]:
        """Header values by lower-case name."""
        return {name.lower(): value for name, value in self.headers}

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Reply:
    """The writing side of one request."""

    def __init__(self, writer: asyncio.StreamWriter, received: Received) -> None:
        self.writer = writer
        self.received = received
        self.keep = True

    async def write(self, data: bytes) -> None:
        """Send bytes and let them leave at once."""
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with a TCP reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        self.keep = False

    def close(self) -> None:
        """Close after what was written."""
        self.writer.close()
        self.keep = False


Behaviour = Callable[[Received, Reply], Awaitable[None]]


def head(status: int, headers: dict[str, str], reason: str = "X") -> bytes:
    """A response head."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode()


def raw(data: bytes, *, close: bool = False) -> Behaviour:
    """Answer with exactly these bytes."""

    async def behave(_received: Received, reply: Reply) -> None:
        await reply.write(data)
        if close:
            reply.close()

    return behave


def answer(body: bytes | dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer with a whole body and its length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}
    return raw(head(status, fields) + data)


def completion(text: str = "Hello.", model: str | None = None, **members: Any) -> Behaviour:
    """A chat completion of the model that was asked for (or `model`)."""

    async def behave(received: Received, reply: Reply) -> None:
        asked = received.json
        await answer(chat_body(text, model or asked.get("model", ""), **members))(received, reply)

    return behave


def chat_body(text: str, model: str, **members: Any) -> dict[str, Any]:
    """A chat completion object; `tool_calls` among the members makes it a tool turn."""
    calls = members.pop("tool_calls", None)
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message = {"role": "assistant", "content": None, "tool_calls": calls}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
        **members,
    }


def tool_call(identifier: str, name: str = "look", arguments: str = "{}") -> dict[str, Any]:
    """One tool call of an assistant message."""
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def events(pieces: Iterable[str], model: str = "m") -> list[bytes]:
    """The events of a chat stream that says `pieces`, with usage and [DONE]."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        data = {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "system_fingerprint": "fp_1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        return b"data: " + json.dumps(data).encode() + b"\n\n"

    made = [chunk({"role": "assistant", "content": ""})]
    made += [chunk({"content": piece}) for piece in pieces]
    made.append(chunk({}, "stop"))
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
    tail = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [],
        "usage": usage,
    }
    made.append(b"data: " + json.dumps(tail).encode() + b"\n\n")
    made.append(b"data: [DONE]\n\n")
    return made


STREAM_HEAD = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}


def stream(
    pieces: Iterable[bytes],
    *,
    gap: float = 0.0,
    end: str = "clean",
    headers: dict[str, str] | None = None,
    model: str = "",
    until: tuple[bytes, threading.Event] | None = None,
) -> Behaviour:
    """Send a stream piece by piece as chunks. `end`: clean, cut (close without the last chunk), reset, or hang.

    `until`: bytes of a piece, and what must happen before the pieces after it are sent. Whoever holds pieces back never
    gets them: after ten seconds the connection is reset.
    """
    kept = list(pieces)

    async def behave(_received: Received, reply: Reply) -> None:
        await reply.write(head(200, {**STREAM_HEAD, **(headers or {})}))
        for piece in kept:
            await reply.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if until is not None and until[0] in piece and not await asyncio.to_thread(until[1].wait, 10):
                reply.reset()
                return
            if gap:
                await asyncio.sleep(gap)
        if end == "clean":
            await reply.write(b"0\r\n\r\n")
        elif end == "cut":
            reply.close()
        elif end == "reset":
            await asyncio.sleep(0.02)
            reply.reset()
        else:
            await asyncio.sleep(600)

    return behave


async def hang(_received: Received, _reply: Reply) -> None:
    """Never answer."""
    await asyncio.sleep(600)


async def drop(_received: Received, reply: Reply) -> None:
    """Close the connection in place of an answer."""
    reply.close()


class Provider:
    """The server. `default` answers what no queued behaviour does; `then` queues behaviours for the next requests."""

    def __init__(self, default: Behaviour | None = None) -> None:
        self.default: Behaviour = default or completion()
        self.queued: deque[Behaviour] = deque()
        self.requests: list[Received] = []
        self.connections = 0
        self.open = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        """Base URL without path."""
        return f"http://127.0.0.1:{self.port}"

    def then(self, *behaviours: Behaviour) -> None:
        """Queue behaviours for the next requests, one each."""
        self.queued.extend(behaviours)

    def wait_for(self, count: int, seconds: float = 5.0) -> list[Received]:
        """The requests once there are `count` of them."""
        until = time.monotonic() + seconds
        while len(self.requests) < count:
            assert time.monotonic() < until, f"{len(self.requests)} of {count} requests came"
            time.sleep(0.005)
        return self.requests

    def stop_listening(self) -> None:
        """Refuse new connections from now on."""

        async def stop() -> None:
            assert self._server is not None
            self._server.close()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result(5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        received = await self._read(reader)
        if received is None:
            return False
        self.requests.append(received)
        reply = Reply(writer, received)
        behaviour = self.queued.popleft() if self.queued else self.default
        work = asyncio.ensure_future(behaviour(received, reply))
        watch = asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
        if watch in done and work not in done:
            received.gone_at = time.monotonic()
            received.gone.set()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
            return False
        watch.cancel()
        await asyncio.gather(watch, return_exceptions=True)
        error = work.exception()
        if error is not None and not isinstance(error, ConnectionError):
            raise error
        return reply.keep and error is None

    async def _read(self, reader: asyncio.StreamReader) -> Received | None:
        try:
            data = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = data[:-4].decode("latin-1").split("\r\n")
        method, target, _version = first.split(" ")
        headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        fields = {name.lower(): value for name, value in headers}
        body = b""
        if "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readline()
        return Received(method, target, headers, body, time.monotonic())
