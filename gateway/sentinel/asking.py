"""A call of the sentinel's own to a release, through the gateway's own data port, and what it says of that release.

Rule of the file: the call is a stranger's: it names the release and no run, carries a credential of the role `probe`, and is what an
agent of the release would send. Nothing it comes to is an error here; what nobody could be asked is said in a word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from gateway.core.contract.release import Release
from gateway.core.contract.reply import Reply
from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.core.dialect.legs import as_sent, parsed
from gateway.core.gate.requests import OPERATIONS, Asking, manner, whole
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.warm import Sign
from gateway.settings import tables
from gateway.settings.endpoints import dialects, unattended
from gateway.settings.model import Settings
from gateway.settings.prices import PriceBook
from gateway.store import proofs, releases
from gateway.store.artifacts import named
from gateway.store.client import Store
from gateway.store.proofs import Limits
from gateway.upstream.answer import error_code
from gateway.upstream.ownport import DataPort, OwnCalls, Party, assembled

CALL_SECONDS = 30.0
"""Longest call: a probe that takes longer says nothing."""
ANSWER_BYTES = 1 << 20
GONE_STATUS = frozenset((404, 410))
REFUSED_STATUS = frozenset((401, 403))
SPOKE = (b"output limit was reached", b"max_tokens", b"max_output_tokens", b"max_completion_tokens")
"""In the body of a 400: the model is there, and does not like to be asked for one token."""
ONE_TOKEN = Item("warm", (Said("user", "."),), Check(), Answer(), Answer(), max_tokens=1)


@dataclass(frozen=True, slots=True)
class Told:
    """What a call came to. `why` is empty when it worked."""

    sign: Sign
    why: str = ""
    reply: Reply | None = None
    body: bytes = b""
    asked: bool = True
    """False when the data port did not take it, or the budget is spent: then it says nothing, not even of trouble."""
    status: int = 0
    cost: int | None = 0
    """Micro-USD; None where no price is known."""


async def party(store: Store, settings: Settings, release: Release) -> Party | str:
    """A release as it is asked, or what keeps it from being asked. Raises Fault for the store."""
    name = release.snapshot.provider
    provider = settings.providers.get(name)
    if provider is None:
        return f"provider {name} is not configured"
    if release.blocked:
        return f"it is blocked: {release.blocked}"
    if not unattended(name, provider):
        return f"provider {name} is called with its callers' own keys; `background_api_key` would let it be probed"
    spoken = dialects(name, provider)
    dialect = next((each for each in spoken if each in OPERATIONS), "openai")
    legs = None
    if not as_sent(release):
        data = {digest: await releases.artifact(store, digest) for digest in named(release)}
        try:
            legs = parsed(release, data.get)
        except ValueError:
            return "its prompt or its tools cannot be read"
        if legs.template is not None and not whole(legs.template):
            return "its prompt has variables, whose values nobody knows here"
    vendor = vendor_of(name, provider.base_url, provider.vendor)
    return Party(release, legs, dialect, *manner(dialect, vendor, release.snapshot.model))


class Prober:
    """Asks, within what a day has. One per round, inside its `async with`."""

    def __init__(self, store: Store, settings: Settings, port: DataPort, now_ms: int) -> None:
        self._store = store
        self._now_ms = now_ms
        probes, providers = settings.probes, settings.providers
        self.limits = Limits(probes.calls, round(probes.budget * 1_000_000))
        vendors = {name: vendor_of(name, each.base_url, each.vendor) for name, each in providers.items()}
        self._prices = PriceBook(providers, vendors, tables.prices())
        self._calls = OwnCalls(port, "probe", now_ms, seconds=CALL_SECONDS, answer_bytes=ANSWER_BYTES)

    async def __aenter__(self) -> Self:
        """Open connections to the data port."""
        await self._calls.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await self._calls.__aexit__()

    async def ask(self, asked: Party, item: Item, extra: Mapping[str, Any]) -> Told:
        """Ask once. Raises Fault for the store, and nothing else."""
        try:
            asking = asked.asking(item, extra)
        except ValueError as error:
            return Told(Sign.TROUBLE, f"it cannot be asked: {error}", asked=False)
        limit = await proofs.take(self._store, self.limits, 1, self._now_ms)
        if limit:
            return Told(Sign.TROUBLE, f"today's probes are used up (probes.{limit})", asked=False)
        try:
            told = await self._call(asking, asked.release)
        except TimeoutError:
            return Told(Sign.TROUBLE, f"no answer within {CALL_SECONDS:.0f} s")
        except aiohttp.ClientConnectorError:
            return Told(Sign.TROUBLE, "the gateway's own data port cannot be reached", asked=False)
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as error:
            return Told(Sign.TROUBLE, f"connection lost ({type(error).__name__})")
        await proofs.spent(self._store, told.cost, self._now_ms)
        return told

    async def _call(self, asking: Asking, release: Release) -> Told:
        answer = await self._calls.send(asking)
        status, body, ours = answer.status, answer.body, answer.ours
        if 200 <= status < 300:
            reply = assembled(asking, body)
            cost = self._prices.cost(release.triple.model, reply.observed)
            if reply.observed.error:
                return Told(Sign.TROUBLE, reply.observed.error, status=status, cost=cost)
            return Told(Sign.WORKED, "", reply, body, status=status, cost=cost)
        sign, why = judged(status, body, release, ours=ours)
        return Told(sign, why, body=body, status=status, asked=not (ours and status in GONE_STATUS | REFUSED_STATUS))


def judged(status: int, body: bytes, release: Release, *, ours: bool) -> tuple[Sign, str]:
    """What an error says of a release; `ours` is one of the gateway itself, which says nothing of any provider."""
    code = error_code(body)
    told = f"status {status}" + (f", {code}" if code else "")
    if ours:
        return Sign.TROUBLE, f"the gateway refused the probe: {told}"
    if status in REFUSED_STATUS:
        return Sign.REFUSED, f"the credential is refused: {told}"
    if status in GONE_STATUS:
        word, model = code.lower(), release.snapshot.model.encode()
        if "model" in word or "deployment" in word or model in body:
            return Sign.GONE, f"the model is gone: {told}"
    if status == 400 and any(word in body for word in SPOKE):
        return Sign.WORKED, ""
    return Sign.TROUBLE, told
