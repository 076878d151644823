"""Providers on real sockets, called through Upstreams as the live path does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from gateway.core.dialect.registry import DIALECTS
from gateway.settings.model import ProviderSettings, RetrySettings, Settings, TimeoutSettings
from gateway.telemetry.counters import Registry, flat
from gateway.upstream.answer import Answer, Settled, settle
from gateway.upstream.call import Ask, Spread, Upstreams
from gateway.upstream.faults import UpstreamFault
from gateway.wire.deadlines import Sweeper
from gateway.wire.flow import run

T = TypeVar("T")
BODY = b'{"model":"gpt-4o-2024-08-06","messages":[]}'
ERROR = {"error": {"message": "no", "type": "server_error", "param": None, "code": "some_code"}}
LIMITS = TimeoutSettings(connect=1.0, first_byte=5.0, between_chunks=1.0)


def settings(url: str, *, retry: RetrySettings | None = None, name: str = "openai", **members: Any) -> Settings:
    """Settings with one provider at `url`."""
    members = {"api_key": "provider-key", "allow_private": True, "timeouts": LIMITS, **members}
    return Settings(providers={name: ProviderSettings(base_url=url, **members)}, retry=retry or RetrySettings())


def ask(**members: Any) -> Ask:
    """A chat completion, unless told otherwise."""
    usual: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query": "",
        "headers": [(b"Content-Type", b"application/json")],
        "body": BODY,
        "credential": None,
        "retryable": True,
        "generation": True,
        "client_retry": 0,
    }
    spread = {name: members.pop(name) for name in ("dialect", "unit", "spell", "at", "stays") if name in members}
    return Ask(**{**usual, **members, "spread": Spread(**spread)})


class Rig:
    """Upstreams in a running loop, with the numbers they counted."""

    def __init__(self, made: Settings, **members: Any) -> None:
        self.sweeper = Sweeper(0.02)
        self.registry = Registry()
        self.upstreams = Upstreams(made, self.sweeper, self.registry, **members)

    async def call(self, wanted: Ask | None = None) -> Answer:
        """One call, to the head of its answer."""
        return await run(self.upstreams.call(wanted or ask()))

    async def body(self, wanted: Ask | None = None) -> tuple[int, bytes]:
        """One call, to the end of its answer."""

        async def flow() -> tuple[int, bytes]:
            answer = await self.upstreams.call(wanted or ask())
            pieces = []
            while data := await answer.out.chunk():
                pieces.append(data)
            return answer.out.status, b"".join(pieces)

        return await run(flow())

    async def settled(self, wanted: Ask | None = None, dialect: str = "openai") -> tuple[Answer, Settled]:
        """One call whose answer is an error, judged."""

        async def flow() -> tuple[Answer, Settled]:
            answer = await self.upstreams.call(wanted or ask())
            return answer, await settle(answer, DIALECTS[dialect])

        return await run(flow())

    def count(self, name: str) -> float:
        """What was counted under `name{labels}`."""
        return flat(self.registry.snapshot()).get(name, 0)

    def close(self) -> None:
        """End of the process."""
        self.upstreams.close()
        self.sweeper.close()


def go(made: Settings, scenario: Callable[[Rig], Awaitable[T]], **members: Any) -> T:
    """Run a scenario in a loop of its own."""

    async def main() -> T:
        rig = Rig(made, **members)
        try:
            return await scenario(rig)
        finally:
            rig.close()
            await asyncio.sleep(0)

    return asyncio.run(main())


def fault_of(made: Settings, wanted: Ask | None = None) -> tuple[UpstreamFault, Rig]:
    """The fault of a call."""

    async def scenario(rig: Rig) -> tuple[UpstreamFault, Rig]:
        with pytest.raises(UpstreamFault) as caught:
            await rig.call(wanted)
        return caught.value, rig

    return go(made, scenario)
