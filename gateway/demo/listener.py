"""Somebody who is told: a small receiver of webhooks that believes only what is signed.

Rule of the file: it knows the specification (Standard Webhooks) and the secret, and nothing of the gateway's code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Told:
    """A message that came, signed or not."""

    body: Mapping[str, Any]
    signed: bool


class Listener:
    """The receiver. `secret` is what the gateway has to sign with."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        self.told: list[Told] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port of the loopback while the context is open; gives the URL to POST to."""
        app = web.Application()
        app.router.add_post("/trivet", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            self.url = f"http://{host}:{port}/trivet"
            yield self.url
        finally:
            await runner.cleanup()

    async def until(self, kind: str, seconds: float, about: str = "") -> Told | None:
        """The first message of this type whose reason has this in it, waited for so long; None when none came."""
        with anyio.move_on_after(seconds):
            while True:
                for each in self.told:
                    if each.body.get("type") == kind and about in str(each.body.get("data", {}).get("reason", "")):
                        return each
                await anyio.sleep(0.02)
        return None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = verified(self.secret, request.headers, body)
        self.told.append(Told(json.loads(body), signed))
        return web.Response(status=204 if signed else 401)


def verified(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether one of the signatures is the HMAC-SHA256 over `id.timestamp.body` with the bytes of the secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers.get('webhook-id', '')}.{headers.get('webhook-timestamp', '')}.".encode() + body
    right = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    signatures = headers.get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(each.encode(), right.encode()) for each in signatures)
