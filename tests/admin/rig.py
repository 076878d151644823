"""An admin port on a real socket over any operation table."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import msgspec
from aiohttp import web

from gateway.admin.app import Backstage, Readiness, build
from gateway.admin.audit import Audit
from gateway.admin.quiet import QuietRunner
from gateway.admin.rights import Actor
from gateway.admin.table import Operation
from gateway.admin.visit import Visit
from gateway.settings.model import AdminSettings


@dataclass
class Port:
    """A running admin port."""

    port: int
    audit: Audit

    async def raw(self, data: bytes) -> bytes:
        """Send bytes, read until the port closes or is quiet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        got = b""
        try:
            while piece := await asyncio.wait_for(reader.read(65536), 0.5):
                got += piece
        except TimeoutError:
            pass
        writer.close()
        await writer.wait_closed()
        return got

    async def ask(
        self, method: str, target: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers in lower case, body."""
        lines = {
            "Host": f"127.0.0.1:{self.port}",
            "Connection": "close",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        if body:
            lines.setdefault("Content-Type", "application/json")
            lines["Content-Length"] = str(len(body))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        got = await self.raw(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
        first, _, rest = got.partition(b"\r\n\r\n")
        status, *fields = first.decode("latin-1").split("\r\n")
        found = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in fields}
        return int(status.split()[1]), found, rest

    async def error(self, *args: Any, **headers: str) -> tuple[int, str]:
        """Status and code of a refusal."""
        status, fields, body = await self.ask(*args, **headers)
        assert fields["content-type"].startswith("application/json"), fields
        return status, msgspec.json.decode(body)["error"]["code"]


@asynccontextmanager
async def admin_port(
    operations: Sequence[Operation], settings: AdminSettings | None = None, *, ready: bool = True
) -> AsyncIterator[Port]:
    """The port; operations get a visit without desk and configuration."""
    audit = Audit()
    held = settings or AdminSettings()

    async def visit(actor: Actor) -> Visit:
        return Visit(actor, cast(Any, None), cast(Any, None))

    async def metrics() -> tuple[str, bytes]:
        return "text/plain; version=0.0.4", b"trivet_up 1\n"

    async def readiness() -> Readiness:
        return Readiness(ready, "ok" if ready else "store_unavailable", (), 1, "abc")

    runner = QuietRunner(build(Backstage(lambda: held, visit, metrics, readiness, audit, "1.2.3"), operations))
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    try:
        yield Port(listener.getsockname()[1], audit)
    finally:
        await runner.cleanup()
