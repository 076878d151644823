"""One floating name in front of several servers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from aiohttp import web

from gateway.demo.agent import client, connections
from gateway.demo.checkpoints import Checkpoints
from gateway.demo.local_llm import LocalModel
from gateway.demo.provider import MockProvider


@asynccontextmanager
async def server(name: str) -> AsyncIterator[LocalModel]:
    """A model server that says its own name."""

    async def chat(request: web.Request) -> web.Response:
        asked = await request.json()
        message = {"role": "assistant", "content": f"I am {name}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(
            {"id": "1", "object": "chat.completion", "created": 1, "model": asked["model"], "choices": [choice]}
        )

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield LocalModel(name, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()


def test_the_name_moves_and_each_checkpoint_keeps_its_own() -> None:
    """The floating name follows `move`; an id always reaches its own server; an unknown one is 404."""

    async def test() -> None:
        async with server("a@sha256:1") as one, server("b@sha256:2") as other, connections() as http:
            provider = Checkpoints("small", [one, other])
            async with provider.serving() as url:
                sdk = client(url, http)

                async def ask(model: str) -> tuple[str, str | None]:
                    answer = await sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": "?"}])
                    return answer.model, answer.choices[0].message.content

                assert await ask("small") == ("a@sha256:1", "I am a@sha256:1")
                provider.move(other.name)
                assert await ask("small") == ("b@sha256:2", "I am b@sha256:2")
                assert await ask("a@sha256:1") == ("a@sha256:1", "I am a@sha256:1")
                provider.change(one.name, LocalModel(one.name, other.url))
                assert await ask("a@sha256:1") == ("a@sha256:1", "I am b@sha256:2")
                assert (await sdk.models.retrieve("a@sha256:1")).id == "a@sha256:1"
                for path in ("/v1/models/c", "/v1/chat/completions"):
                    got = await (
                        http.get(url + path) if "models" in path else http.post(url + path, json={"model": "c"})
                    )
                    assert got.status_code == 404

    anyio.run(test)


def test_it_shares_no_state_with_the_made_up_provider() -> None:
    """Two providers in one process do not see each other."""
    assert MockProvider().aliases is not MockProvider().aliases
