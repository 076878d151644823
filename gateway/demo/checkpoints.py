"""The provider of `--real`: one floating name in front of real checkpoints, each under its own id with its digest.

Rule of the file: it chooses who answers and touches nothing of the answer.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from gateway.demo.local_llm import LocalModel

PASSED = ("content-type",)
"""Header fields of a model server's answer that are passed on."""


class Checkpoints:
    """Serves `floating` with the first model until `move` names another; every model answers to its own id as well."""

    def __init__(self, floating: str, models: Sequence[LocalModel]) -> None:
        self.floating = floating
        self.models = {model.name: model for model in models}
        self.current = models[0].name
        self._session: aiohttp.ClientSession | None = None

    def move(self, name: str) -> None:
        """Put another checkpoint behind the floating name from the next request on."""
        self.current = self.models[name].name

    def change(self, name: str, model: LocalModel) -> None:
        """Have another server answer under an id that stays as it is, from the next request on."""
        self.models[name] = model

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on a free port of the loopback while the context is open; gives the base URL."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models/{model:.+}", self._model)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as self._session:
            await runner.setup()
            try:
                site = web.TCPSite(runner, "127.0.0.1", 0)
                await site.start()
                host, port = runner.addresses[0][:2]
                yield f"http://{host}:{port}"
            finally:
                await runner.cleanup()

    def altered(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What a model is asked, under its own id: for tests that have more to say than the client did."""
        return asked

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        if name != self.floating and name not in self.models:
            return _no_model()
        return web.json_response({"id": name, "object": "model", "created": 0, "owned_by": "local"})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        asked = json.loads(await request.read())
        name = self.current if asked["model"] == self.floating else str(asked["model"])
        model = self.models.get(name)
        if model is None:
            return _no_model()
        assert self._session is not None
        asked = self.altered({**asked, "model": name})
        async with self._session.post(f"{model.url}/v1/chat/completions", json=asked) as answer:
            fields = {field: answer.headers[field] for field in PASSED if field in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=fields)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


def _no_model() -> web.Response:
    error = {"message": "No such model.", "type": "invalid_request_error", "param": "model", "code": "model_not_found"}
    return web.json_response({"error": error}, status=404)
