"""Releases with legs for tests of the live path: made, stored with their artifacts, and served by an alias."""

from __future__ import annotations

import json
from typing import Any

from gateway.core.contract.alias import AliasState
from gateway.core.contract.artifact import canonical_prompt, digest
from gateway.core.contract.release import Leg, Mode, Release
from gateway.core.dialect.toolset import canonical, read_file
from gateway.store import labels, releases
from gateway.store.client import Store
from tests.live.gateway import LiveGateway, release

MODEL = "openai/gpt-4o-2024-08-06"


def tool(name: str, description: str = "Looks.") -> dict[str, Any]:
    """A neutral tool."""
    return {"name": name, "description": description, "parameters": {"type": "object", "properties": {}}}


def chat_tool(name: str, description: str = "Looks.") -> dict[str, Any]:
    """The same as a chat completion request carries it."""
    return {"type": "function", "function": tool(name, description)}


def toolset(*names: str) -> bytes:
    """Canonical bytes of some tools."""
    return canonical(read_file(json.dumps([tool(name) for name in names])))


def made(
    prompt: str = "", tools: bytes = b"", *, prompt_mode: Mode = Mode.SERVE, tools_mode: Mode = Mode.SERVE, **more: Any
) -> tuple[Release, dict[str, bytes]]:
    """A release and its artifacts."""
    artifacts: dict[str, bytes] = {}
    legs: dict[str, Leg] = {}
    if prompt:
        data = canonical_prompt(prompt)
        artifacts[digest(data)] = data
        legs["prompt"] = Leg(prompt_mode, digest(data))
    if tools:
        artifacts[digest(tools)] = tools
        legs["tools"] = Leg(tools_mode, digest(tools))
    return release(more.pop("model", MODEL), **legs, **more), artifacts


def stored(gateway: LiveGateway, kept: tuple[Release, dict[str, bytes]], **named: str) -> Release:
    """Put a release with its artifacts, and labels for digests, into the store."""

    async def put() -> None:
        control = Store(gateway.settings.store)
        await releases.put(control, *kept)
        for label, address in named.items():
            await labels.give(control, label.replace("__", "@"), address)
        await control.close()

    gateway.call(put())
    return kept[0]


def served(gateway: LiveGateway, name: str, kept: tuple[Release, dict[str, bytes]], **more: Any) -> AliasState:
    """An alias that serves a release with legs."""
    return gateway.alias(name, stored(gateway, kept, **more.pop("named", {})), **more)
