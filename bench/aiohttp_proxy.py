"""A minimal reverse proxy on aiohttp's server and client, the way most Python gateways are built. It reads no body and checks nothing.

Takes PORT and UPSTREAM from the environment.
"""

from __future__ import annotations

import asyncio
import os

import aiohttp
import uvloop
from aiohttp import web

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


async def serve(port: int, upstream: int) -> None:
    """Relay everything to the upstream, for ever."""
    connector = aiohttp.TCPConnector(limit=512, keepalive_timeout=600)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as client:

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            body = await request.read()
            headers = [
                (name, value)
                for name, value in request.headers.items()
                if name.lower() not in HOP_BY_HOP | {"host", "content-length"}
            ]
            headers.append(("x-run-id", "bench"))
            url = f"http://127.0.0.1:{upstream}{request.raw_path}"
            async with client.request(request.method, url, headers=headers, data=body, allow_redirects=False) as answer:
                kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP]
                response = web.StreamResponse(status=answer.status, headers=dict(kept) | {"x-release-id": "rel-7"})
                await response.prepare(request)
                async for piece in answer.content.iter_any():
                    await response.write(piece)
                await response.write_eof()
                return response

        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(os.environ["PORT"]), int(os.environ["UPSTREAM"])))
