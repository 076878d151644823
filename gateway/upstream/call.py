"""One request to one provider, inside one release: the attempts, and nothing about models.

A call is repeated at most once, and only when nothing was sent, or when the provider refused with a wait short enough to sit
out; inside the retry budget; never when the client's SDK is already repeating; never after the first byte of an answer.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.telemetry.counters import Reading, Registry
from gateway.upstream.answer import SHORT, Answer, quota_spent, retry_after
from gateway.upstream.faults import UpstreamFault, broken_open, failed, redirected
from gateway.upstream.providers import Endpoint, Provider, endpoint, endpoint_settings, place
from gateway.upstream.request import Heads
from gateway.wire.client import Origin, Pool
from gateway.wire.errors import ConnectFailed, DeadlineExceeded, UpstreamBroken, UpstreamLost
from gateway.wire.flow import Wait
from gateway.wire.tls import client_context

if TYPE_CHECKING:
    from gateway.settings.model import ProviderSettings, Settings
    from gateway.wire.client import BodyStream, Outgoing
    from gateway.wire.deadlines import Sweeper

__all__ = ["Answer", "Ask", "Upstreams"]

REFUSALS = frozenset((429, 503, 529))
"""Statuses with which a provider refuses before working on a request."""
REDIRECTS = frozenset((300, 301, 302, 303, 305, 306, 307, 308))
RETIRE_SECONDS = 5.0
"""How often a provider that left the settings is looked at, until its last answer has ended."""
UPSTREAM_PHASES = frozenset(("connect", "first_byte", "between_chunks", "total"))


@dataclass(slots=True)
class Ask:
    """What to ask of a provider. `path` is a path template of the dialect, or what follows `/{provider}` on a pass-through."""

    provider: str
    model: str
    """Snapshot id: chooses breaker and endpoint."""
    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes | BodyStream | None
    credential: bytes | None
    """The caller's own credential for this provider; used only where `api_key` is the word `client`."""
    retryable: bool
    generation: bool
    client_retry: int = 0


class Upstreams:
    """All providers of a process. Construct inside the running loop.

    `wall` is the wall clock in seconds, read only for a `retry-after` that is a date; `background` takes
    `background_api_key` where a provider forwards the caller's key.
    """

    def __init__(
        self,
        settings: Settings,
        sweeper: Sweeper,
        counters: Registry,
        *,
        wall: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        background: bool = False,
    ) -> None:
        self._sweeper = sweeper
        self._registry = counters
        self._wall = wall
        self._clock = clock
        self._background = background
        self._providers: dict[str, Provider] = {}
        self._heads: dict[str, list[tuple[Endpoint, Heads]]] = {}
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._retired: set[Provider] = set()
        counters.source(self._connections)
        self.renew(settings)

    def provider(self, name: str) -> Provider:
        """A provider by name. Raises Fault 404 `unknown_provider`."""
        found = self._providers.get(name)
        if found is None:
            raise Fault(
                Kind.NOT_FOUND,
                "unknown_provider",
                "The provider is not configured on this gateway. Add it under `providers`.",
                reason="provider",
            )
        return found

    def wire_model(self, provider: str, model: str) -> str:
        """The name that goes into the body: what the endpoint's `models` map calls the snapshot (an Azure deployment)."""
        endpoints = self.provider(provider).endpoints
        return endpoints[0].model(model)

    def renew(self, settings: Settings) -> None:
        """Take new settings. A provider that did not change keeps connections, breakers and budget; answers in flight at
        one that did run on."""
        fresh: dict[str, Provider] = {}
        for name, wanted in settings.providers.items():
            known = self._providers.get(name)
            if known is not None and known.settings == wanted and known.retry == settings.retry:
                fresh[name] = known
            else:
                fresh[name] = self._provider(name, wanted, settings)
        old = [provider for name, provider in self._providers.items() if fresh.get(name) is not provider]
        self._heads = {name: [(at, Heads(at)) for at in provider.endpoints] for name, provider in fresh.items()}
        self._providers = fresh
        for provider in old:
            self._retire(provider)

    def close(self) -> None:
        """Close every connection; calls at hand fail. For the end of a process."""
        for provider in (*self._providers.values(), *self._retired):
            provider.close()
        self._retired.clear()

    def _retire(self, provider: Provider) -> None:
        """Close a provider that the settings no longer have, once its last answer has ended."""
        if not provider.busy:
            provider.close()
            self._retired.discard(provider)
            return
        self._retired.add(provider)
        asyncio.get_running_loop().call_later(RETIRE_SECONDS, self._look_again, provider)

    def _look_again(self, provider: Provider) -> None:
        if provider in self._retired:
            self._retire(provider)

    def _connections(self) -> Iterator[Reading]:
        for provider in self._providers.values():
            idle = sum(at.pool.idle for at in provider.endpoints)
            yield "upstream_connections", (provider.name, "idle"), idle
            yield "upstream_connections", (provider.name, "busy"), sum(at.pool.open for at in provider.endpoints) - idle

    async def call(self, ask: Ask) -> Answer:
        """Send and wait for the head of the answer. Awaited inside a flow. Raises UpstreamFault.

        An answer with an error status is an answer; `settle` judges it.
        """
        provider = self.provider(ask.provider)
        at, heads = self._heads[ask.provider][0]
        head = heads.head(
            (ask.method, ask.path, ask.query, ask.model),
            ask.headers,
            ask.body,
            ask.credential,
            generation=ask.generation,
        )
        now = self._clock()
        provider.budget.count(now)
        log: tuple[str, ...] = ()
        while True:
            try:
                out = await self._attempt(provider, at, head, ask)
            except UpstreamFault as fault:
                log = (*log, fault.word)
                fault.attempts = len(log) - (fault.failure == "breaker")  # which was no call
                fault.attempt_log = log
                fault.endpoint = at.name
                provider.error(fault.failure)
                if fault.failure != "connect" or not self._may_repeat(provider, ask, log):
                    raise
                provider.retried("connect")
                continue
            answer = Answer(out, at.name, len(log) + 1, log, provider, at, wall=self._wall)
            status = out.status
            provider.by_class[status // 100 if 100 <= status < 600 else 0].n += 1
            if status in REFUSALS and not log and await self._sits_out(provider, ask, answer):
                log = (str(status),)
                continue
            if not ask.generation and status >= 429 and (status == 429 or status >= 500):
                provider.error(str(status))
            return answer

    async def _attempt(self, provider: Provider, at: Endpoint, head: bytes, ask: Ask) -> Outgoing:
        """One attempt, watched by the breaker."""
        breaker = provider.breakers.get(ask.model) if provider.breakers else None
        if breaker is not None:
            wait = breaker.admit(self._clock())
            if wait:
                raise broken_open(wait)
        try:
            out = await at.pool.call(head, ask.body, provider.limits, ask.method)
        except (ConnectFailed, UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
            if isinstance(error, DeadlineExceeded) and error.phase not in UPSTREAM_PHASES:
                if breaker is not None:
                    breaker.abandon()
                raise
            fault = failed(error)
            if fault.failure != "busy":
                provider.breaker(ask.model).failure(self._clock())
            raise fault from error
        except BaseException:
            if breaker is not None:
                breaker.abandon()
            raise
        if out.status >= 500:
            provider.breaker(ask.model).failure(self._clock())
        elif breaker is not None:
            breaker.success()
        if out.status in REDIRECTS:
            out.abort()
            raise redirected()
        return out

    def _may_repeat(self, provider: Provider, ask: Ask, log: tuple[str, ...]) -> bool:
        """Whether the rules allow one more attempt; takes it out of the budget."""
        if (
            len(log) > 1
            or not ask.retryable
            or ask.client_retry
            or not (ask.body is None or isinstance(ask.body, bytes))
        ):
            return False
        if provider.budget.spend(self._clock()):
            return True
        provider.budget_exhausted.n += 1
        return False

    async def _sits_out(self, provider: Provider, ask: Ask, answer: Answer) -> bool:
        """Whether a refusal was waited out, so that the request is to be sent again; else `answer` is the client's."""
        out = answer.out
        wait = retry_after(out.fields, self._wall)
        if (
            wait is None
            or wait > provider.retry.wait_limit
            or not ask.generation
            or not ask.retryable
            or ask.client_retry
        ):
            return False
        try:
            body = await _short_body(out)
        except (UpstreamLost, UpstreamBroken, DeadlineExceeded):
            answer.body = b""
            return False
        if body is None:
            answer.body = b""
            return False
        answer.body = body
        if (out.status == 429 and quota_spent(body)) or not self._may_repeat(provider, ask, ()):
            return False
        provider.error(str(out.status))
        provider.retried(str(out.status))
        if wait:
            pause: Wait[None] = Wait()
            timer = asyncio.get_running_loop().call_later(wait, pause.done, None)
            try:
                await pause
            finally:
                timer.cancel()
        return True

    def _provider(self, name: str, wanted: ProviderSettings, settings: Settings) -> Provider:
        provider = Provider(name, wanted, settings.retry, self._registry)
        for index, each in enumerate(endpoint_settings(wanted)):
            where = place(each, wanted, provider.vendor)
            origin = Origin(where.host, where.port, self._context(wanted.ca_file) if where.secure else None, where.host)
            pool = Pool(origin, wanted.connections, self._sweeper)
            provider.endpoints.append(endpoint(provider, index, each, pool, where, background=self._background))
        return provider

    def _context(self, ca_file: str) -> ssl.SSLContext:
        """One TLS context per set of authorities: each holds a megabyte of certificates."""
        found = self._contexts.get(ca_file)
        if found is None:
            found = self._contexts[ca_file] = client_context(ca_file)
        return found


async def _short_body(out: Outgoing) -> bytes | None:
    """The whole body, or None (and the answer aborted) when it is longer than a refusal has any reason to be."""
    pieces: list[bytes] = []
    size = 0
    while data := await out.chunk():
        pieces.append(data)
        size += len(data)
        if size > SHORT:
            out.abort()
            return None
    return b"".join(pieces)
