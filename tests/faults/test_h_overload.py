"""Row H2: a tenant that floods gets 429, and the others notice nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from hashlib import sha256
from typing import Any

from tests.gateway_process import Gateway, port_of, running
from tests.provider import Provider, Received, Reply, answer, chat_body

KEYS = {name: f"tk-tenant-{name}-0123456789abcdef" for name in ("flood", "quiet")}
MODEL = "gpt-4o-2024-08-06"
ALLOWED = 50
THINKS = 0.03
"""Seconds that the provider takes for an answer; an answer of a model takes longer."""
FLOODERS, PACED = 3, 40
TRIES = 5
"""The machine is shared: one quiet measurement in so many is enough, as a flood that gets through spoils them all."""


async def thinks(received: Received, reply: Reply) -> None:
    """An answer that takes its time."""
    await asyncio.sleep(THINKS)
    await answer(chat_body("Hello.", MODEL))(received, reply)


class Caller:
    """One tenant's connection."""

    def __init__(self, gateway: Gateway, tenant: str) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", port_of(gateway.base), timeout=20)
        self._headers = {"content-type": "application/json", "x-api-key": KEYS[tenant]}
        self._body = json.dumps({"model": "support", "messages": [{"role": "user", "content": tenant}]}).encode()

    def close(self) -> None:
        """Hang up."""
        self._link.close()

    def chat(self) -> int:
        """One request; its status."""
        self._link.request("POST", "/v1/chat/completions", self._body, self._headers)
        reply = self._link.getresponse()
        reply.read()
        return reply.status


def slowest(caller: Caller) -> float:
    """The 99th percentile of paced requests, seconds; each of them must be answered."""
    took = []
    for _ in range(PACED):
        begun = time.monotonic()
        assert caller.chat() == 200
        took.append(time.monotonic() - begun)
    return sorted(took)[-max(1, PACED // 100)]


def flood(gateway: Gateway, done: threading.Event, statuses: list[int]) -> None:
    """Ask as fast as the answers come."""
    caller = Caller(gateway, "flood")
    while not done.is_set():
        statuses.append(caller.chat())
    caller.close()


def test_h2_a_tenant_that_floods_harms_nobody_else() -> None:
    """H2: the flood gets its limit and then 429, the other tenant's slowest answers stay within a tenth of what they were."""
    keys = [{"sha256": sha256(secret.encode()).hexdigest(), "tenant": name} for name, secret in KEYS.items()]
    tenants: dict[str, Any] = {
        "flood": {"limits": {"requests_per_minute": ALLOWED}},
        "quiet": {"limits": {"requests_per_minute": 100_000}},
    }
    aliases = {"support": {"first_release": {"model": f"openai/{MODEL}"}}}
    with (
        Provider(thinks) as provider,
        running({"openai": provider.url}, auth="keys", keys=keys, tenants=tenants, aliases=aliases) as gateway,
    ):
        quiet = Caller(gateway, "quiet")
        quiet.chat()
        ratios, statuses = [], []
        for _ in range(TRIES):
            alone, done = slowest(quiet), threading.Event()
            flooders = [threading.Thread(target=flood, args=(gateway, done, statuses)) for _ in range(FLOODERS)]
            for each in flooders:
                each.start()
            ratios.append(slowest(quiet) / alone)
            done.set()
            for each in flooders:
                each.join(20)
            if ratios[-1] <= 1.1:
                break
        quiet.close()
        assert min(ratios) <= 1.1, ratios
        assert set(statuses) == {200, 429}
        assert statuses.count(200) <= 2 * ALLOWED, "at most a minute's worth in each of two minutes"
        flooded = [r for r in provider.requests if r.json["messages"][0]["content"] == "flood"]
        assert len(flooded) == statuses.count(200), "what was refused reached no provider"
        wanted = (
            f'trivet_limited_total{{limit="requests",scope="tenant"}} {statuses.count(429)}',
            'trivet_tenant_inflight{tenant="quiet"} 0',
        )
        until = time.monotonic() + 5
        while not all(line in scraped(gateway) for line in wanted):
            assert time.monotonic() < until, [line for line in scraped(gateway).splitlines() if "limited" in line]
            time.sleep(0.1)


def scraped(gateway: Gateway) -> str:
    """What /metrics says now; a worker's numbers are at most a second old."""
    return gateway.get(gateway.admin + "/metrics")[1].decode()
