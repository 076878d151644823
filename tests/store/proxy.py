"""A TCP proxy that mistreats what passes: slices, delays, swallows, resets, corrupts."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self


class Proxy:
    """Stands between a client and 127.0.0.1:`target`. Change the attributes at any time."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.slice = 0
        """Bytes per write towards the client; 0 is whole."""
        self.delay = 0.0
        """Seconds before each piece towards the client."""
        self.hole = False
        """Swallow everything in both directions."""
        self.mute = False
        """Swallow what is answered: the target has done it, and nobody hears so."""
        self.corrupt = b""
        """Sent to the client once, before the next piece."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """The redis:// URL of the proxy."""
        return f"redis://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Abort every connection that is open now."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            self._writers.discard(writer)
            self._tasks.discard(task)
            return
        self._writers.add(upstream_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass(reader, upstream_writer, mangle=False))
                group.create_task(self._pass(upstream_reader, writer, mangle=True))
        except* (OSError, RuntimeError):
            pass  # the other end is gone; uvloop says so with a RuntimeError
        finally:
            for end in (writer, upstream_writer):
                end.transport.abort()
                self._writers.discard(end)
            self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, mangle: bool) -> None:
        while data := await reader.read(65536):
            if self.hole or (self.mute and mangle):
                continue
            if not mangle:
                writer.write(data)
                continue
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.corrupt:
                data, self.corrupt = self.corrupt + data, b""
            step = self.slice or len(data)
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                if self.slice:
                    await asyncio.sleep(0)
        with contextlib.suppress(OSError):
            writer.close()
        raise ConnectionResetError
