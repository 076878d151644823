"""A gateway whose aliases are in the shadow of candidates that misbehave, and what became of every job.

    with stage({"hangs": hang}) as at:
        at.ask("hangs")
        at.ended("hangs", 1)

`plain` has no shadow; every other alias is in the shadow of the candidate at the provider of its own name, for every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.settings.model import StoreSettings
from gateway.store.client import store_url
from tests.faults import load
from tests.gateway_process import Gateway, port_of, running
from tests.provider import Behaviour, Provider, Received, Reply, answer, chat_body, events, stream
from tests.responding import body as response_body
from tests.responding import message_item

LIVE, CANDIDATE = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"
CALLER = "sk-of-the-caller-0123456789abcdef"
BACKGROUND = "sk-of-the-background-0123456789"
STATE = "trivet:shadow:state"
JOBS = "trivet:shadow:jobs"
DEAD = "trivet:shadow:dead"


async def says(received: Received, reply: Reply) -> None:
    """The same answer to everything, streamed where a stream is asked for."""
    asked = received.json
    if "input" in asked:
        await answer(response_body("resp_1", asked["model"], message_item("It costs 40.")))(received, reply)
    elif asked.get("stream"):
        await stream(events(["It costs", " 40."]))(received, reply)
    else:
        await answer(chat_body("It costs 40.", asked["model"]))(received, reply)


async def late(received: Received, reply: Reply) -> None:
    """As `says`, a little later."""
    await asyncio.sleep(0.1)
    await says(received, reply)


@dataclass
class Stage:
    """A gateway with its shadow process, the live provider, and the one that candidates are at."""

    gateway: Gateway
    live: Provider
    target: Provider
    url: str
    """The store's."""

    def ask(self, alias: str, headers: Mapping[str, str] | None = None, **members: Any) -> tuple[int, bytes]:
        """One chat request with the caller's key; status and the whole body."""
        link = http.client.HTTPConnection("127.0.0.1", port_of(self.gateway.base), timeout=20)
        try:
            return send(link, alias, headers, **members)
        finally:
            link.close()

    @contextlib.contextmanager
    def link(self) -> Iterator[http.client.HTTPConnection]:
        """A connection that is kept."""
        made = http.client.HTTPConnection("127.0.0.1", port_of(self.gateway.base), timeout=20)
        yield made
        made.close()

    def counts(self, alias: str) -> dict[str, int]:
        """How the jobs of an alias ended: `pair:divergent`, `skip:unreachable`, `dead`."""
        found: dict[str, int] = {}
        with load.connected(self.url) as client:
            for name, number in client.hgetall(f"trivet:shadow-counts:{{{alias}}}").items():
                word = name.decode().partition(" ")[2]
                found[word] = found.get(word, 0) + int(number)
        return found

    def depth(self) -> int:
        """Jobs that wait or are in hand."""
        with load.connected(self.url) as client:
            return int(client.xlen(JOBS))

    def ended(self, alias: str, count: int, seconds: float = 12.0) -> dict[str, int]:
        """How the jobs of an alias ended, once so many have and nothing is left; none has ended twice."""
        until = time.monotonic() + seconds
        while sum(found := self.counts(alias).values()) < count or self.depth():
            assert time.monotonic() < until, f"{found}, {self.depth()} left:\n{self.gateway.log[-2000:]}"
            time.sleep(0.03)
        with load.connected(self.url) as client:
            assert client.zcard(f"trivet:shadow-done:{{{alias}}}") == sum(found) == count
        return self.counts(alias)

    def ready(self) -> None:
        """Wait for the shadow process, which starts last."""
        load.until(lambda: self.gateway.parts().get("shadow", {}).get("state") == "ready", 15, "the shadow process")

    def stored(self) -> bytes:
        """Everything that is in the store, as one piece of text; pairs are unpacked."""
        parts: list[bytes] = []
        with load.connected(self.url) as client:
            reads = {
                b"string": client.get,
                b"hash": client.hgetall,
                b"stream": client.xrange,
                b"set": client.smembers,
                b"list": lambda key: client.lrange(key, 0, -1),
                b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            }
            for key in client.scan_iter(count=1000):
                found = reads[client.type(key)](key)
                parts.append(key + b" " + repr(found).encode())
                if isinstance(found, dict):
                    for value in found.values():
                        with contextlib.suppress(zlib.error):
                            parts.append(zlib.decompress(value))
        return b"\n".join(parts)


def send(
    link: http.client.HTTPConnection, alias: str, headers: Mapping[str, str] | None = None, **members: Any
) -> tuple[int, bytes]:
    """One chat request on a connection; status and the whole body."""
    body = json.dumps({"model": alias, "messages": [{"role": "user", "content": "What does it cost?"}], **members})
    fields = {"content-type": "application/json", "authorization": f"Bearer {CALLER}", **(headers or {})}
    link.request("POST", "/v1/chat/completions", body, {name: value for name, value in fields.items() if value})
    got = link.getresponse()
    return got.status, got.read()


@contextlib.contextmanager
def stage(
    targets: Mapping[str, Behaviour],
    *,
    refuses: str = "",
    live: Behaviour = says,
    url: str = "",
    key: str = "client",
    shadow: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Iterator[Stage]:
    """A gateway with an alias, a provider and a candidate for each of `targets`; nobody listens at `refuses`.

    `url` is a store of the test's own, `key` what live uses at its provider.
    """

    async def behave(received: Received, reply: Reply) -> None:
        await targets[received.target.split("/")[1]](received, reply)

    with Provider(live) as first, Provider(behave) as target:
        providers: dict[str, dict[str, Any]] = {
            name: {"base_url": f"{target.url}/{name}", "api_key": BACKGROUND, "vendor": "openai", "allow_private": True}
            for name in targets
        }
        if refuses:
            providers[refuses] = {
                "base_url": "http://127.0.0.1:9",
                "api_key": BACKGROUND,
                "vendor": "openai",
                "allow_private": True,
            }
        kept = {"api_key": key, "background_api_key": BACKGROUND, "allow_private": True}
        first_release = {"model": f"openai/{LIVE}"}
        aliases: dict[str, Any] = {"plain": {"first_release": first_release}}
        for name in providers:
            candidate = {"release": {"model": f"{name}/{CANDIDATE}"}, "rate": 1.0, "secondary": 0.0}
            aliases[name] = {"first_release": first_release, "shadow": [{**candidate, "acknowledge": True}]}
        given = {"capture": "full", "providers": {"openai": {"base_url": first.url, **kept}, **providers}}
        if url:
            settings |= {"store": {"redis": url}, "stamp_keys": load.STAMP_KEYS}
        limits = {"timeout": 0.5, "providers": list(providers), **(shadow or {})}
        with running(
            given.pop("providers"), aliases=aliases, shadow=limits, shadowing=True, **given, **settings
        ) as found:
            where = url or store_url(StoreSettings(data_dir=str(found.data_dir)))
            made = Stage(found, first, target, where)
            made.ready()
            yield made
