"""One request to one provider, inside one release: the attempts, and nothing about models.

A call goes on to the next endpoint, or is repeated once at the only one, when nothing was sent or when the provider refused
before working on it; inside the retry budget; never when the client's SDK is already repeating; never after the first byte of
an answer. An endpoint whose breaker is open is passed over, which is no attempt.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.settings.endpoints import resolved
from gateway.telemetry.counters import Reading, Registry
from gateway.upstream.answer import SHORT, Answer, quota_spent, retry_after
from gateway.upstream.choice import ALONE, LONGEST_REST, Spread, ordered, rest, resting
from gateway.upstream.faults import UpstreamFault, broken_open, failed, redirected
from gateway.upstream.providers import Endpoint, Provider, endpoint, place
from gateway.wire.client import Origin, Pool
from gateway.wire.errors import ConnectFailed, DeadlineExceeded, UpstreamBroken, UpstreamLost
from gateway.wire.flow import Wait
from gateway.wire.tls import client_context

if TYPE_CHECKING:
    from gateway.settings.model import ProviderSettings, Settings
    from gateway.wire.client import BodyStream, Outgoing
    from gateway.wire.deadlines import Sweeper
    from gateway.wire.heads import Memo

__all__ = ["Answer", "Ask", "Spread", "Upstreams"]

REFUSALS = frozenset((429, 503, 529))
"""Statuses with which a provider refuses before working on a request."""
REDIRECTS = frozenset((300, 301, 302, 303, 305, 306, 307, 308))
UNSENT = frozenset(("connect", "busy"))
"""Failures by which the provider saw nothing of the request."""
RETIRE_SECONDS = 5.0
"""How often a provider that left the settings is looked at, until its last answer has ended."""
UPSTREAM_PHASES = frozenset(("connect", "first_byte", "between_chunks", "total"))


class Ask(msgspec.Struct):
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
    spread: Spread | None = None
    """What a provider with several endpoints needs to know."""
    memo: Memo | None = None
    """Of the request's head, where `headers` are just its own."""
    own: bool = False
    """A call of the gateway itself, for its gate or as a probe: its failures hold back nobody's traffic."""


Order = tuple[Endpoint, ...]
"""The endpoints for a request, in the order they are called."""


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

    def wire_model(self, provider: str, model: str, dialect: str = "") -> str:
        """The name that goes into the body: what the first endpoint's `models` map calls the snapshot (an Azure deployment).
        Raises Fault 404 `model_not_found` when no endpoint serves it."""
        return self.provider(provider).eligible(model, dialect)[0].model(model)

    def spreads(self, provider: str) -> bool:
        """Whether a provider has several endpoints, so that its Asks need a Spread."""
        return len(self.provider(provider).endpoints) > 1

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
        now = self._clock()
        provider.budget.count(now)
        order = provider.only or self._order(provider, ask, now)
        turn = self._free(order, 0, ask.model) if order[0].breakers else 0
        if turn < 0:
            raise self._held_back(provider, order, ask.model)
        log = _words(order[:turn], "passed") if turn else ()
        if turn:
            provider.went_on("breaker")
        calls, repeated = 0, False
        kept: Answer | None = None
        while True:
            at = order[turn]
            calls += 1
            try:
                out = await self._attempt(at, ask)
            except UpstreamFault as fault:
                log = (*log, *_words((at,), fault.word))
                provider.error(fault.failure)
                onward = self._after_fault(ask, order, turn, fault.failure, calls)
                if onward < 0:
                    if kept is not None and fault.failure in UNSENT:
                        kept.attempts, kept.attempt_log = calls, log
                        return kept
                    fault.attempts, fault.attempt_log, fault.endpoint = calls, log, at.name
                    raise
            else:
                answer = Answer(out, at.name, calls, log, provider, at, None, repeated, wall=self._wall)
                status = out.status
                provider.by_class[status // 100 if 100 <= status < 600 else 0].n += 1
                onward = await self._after_refusal(ask, order, turn, answer) if status in REFUSALS else -1
                if onward < 0:
                    if not ask.generation and status >= 429 and (status == 429 or status >= 500):
                        provider.error(str(status))
                    return answer
                log = (*log, *_words((at,), str(status)))
                kept = answer
            log = (*log, *_words(order[turn + 1 : onward], "passed"))
            turn, repeated = onward, onward == turn

    def _order(self, provider: Provider, ask: Ask, now: float) -> Order:
        """The endpoints that may serve a request: the run's own first, those that asked for a rest last."""
        spread = ask.spread or ALONE
        found = provider.eligible(ask.model, spread.dialect)
        if spread.at and (keeps := [at for at in provider.endpoints if at.name == spread.at]):
            return (keeps[0],)
        if len(found) == 1:
            return found
        found = ordered(found, spread.unit, 0 if spread.stays else ask.client_retry)
        if spread.stays:
            return found[:1]
        tired = [at for at in found if at.rests and resting(at, ask.model, now)]
        if tired and len(tired) < len(found):
            if found[0] in tired:
                provider.went_on("rest")
            found = (*(at for at in found if at not in tired), *tired)
        return found

    def _free(self, order: Order, start: int, model: str, but: bytes = b"") -> int:
        """The index of the first endpoint from `start` on whose breaker lets a call through and whose account is not
        `but`; -1 when there is none. A half-open breaker has given its probe away then."""
        for turn in range(start, len(order)):
            at = order[turn]
            breaker = at.breakers.get(model) if at.breakers else None
            if at.account != but and (breaker is None or not breaker.admit(self._clock())):
                return turn
        return -1

    def _held_back(self, provider: Provider, order: Order, model: str) -> UpstreamFault:
        """Every breaker is open: the Fault that says when the first of them lets a call through."""
        now = self._clock()
        fault = broken_open(min(at.breaker(model).admit(now) for at in order))
        fault.attempts, fault.attempt_log, fault.endpoint = 0, _words(order, "breaker"), order[0].name
        provider.error("breaker")
        return fault

    async def _attempt(self, at: Endpoint, ask: Ask) -> Outgoing:
        """One attempt, which the breaker has let through and now watches."""
        breaker = at.breakers.get(ask.model) if at.breakers else None
        try:
            path, body = ask.path, ask.body
            if ask.spread is not None and ask.spread.spell is not None:
                path, body = ask.spread.spell(at.model(ask.model))
            line = (ask.method, path, ask.query, ask.model)
            head = at.heads.head(line, ask.headers, body, ask.credential, generation=ask.generation, memo=ask.memo)
            out = await at.pool.call(head, body, at.of.limits, ask.method)
        except (ConnectFailed, UpstreamLost, UpstreamBroken, DeadlineExceeded) as error:
            if isinstance(error, DeadlineExceeded) and error.phase not in UPSTREAM_PHASES:
                if breaker is not None:
                    breaker.abandon()
                raise
            fault = failed(error)
            if fault.failure != "busy" and not ask.own:
                at.breaker(ask.model).failure(self._clock())
            elif breaker is not None:
                breaker.abandon()
            raise fault from error
        except BaseException:
            if breaker is not None:
                breaker.abandon()
            raise
        if out.status >= 500:
            if not ask.own:
                at.breaker(ask.model).failure(self._clock())
            elif breaker is not None:
                breaker.abandon()
        elif breaker is not None:
            breaker.success()
        if out.status in REDIRECTS:
            out.abort()
            raise redirected()
        return out

    def _after_fault(self, ask: Ask, order: Order, turn: int, failure: str, calls: int) -> int:
        """Where to call next when nothing was sent: the next endpoint, else once more this one; -1 for nowhere."""
        if failure not in UNSENT or not _repeatable(ask):
            return -1
        onward = self._free(order, turn + 1, ask.model)
        if onward < 0 and (failure != "connect" or calls > 1 or (onward := self._same(order, turn, ask.model)) < 0):
            return -1
        return self._spent(order, turn, onward, ask.model, failure)

    async def _after_refusal(self, ask: Ask, order: Order, turn: int, answer: Answer) -> int:
        """Where to call next when a provider refused before it worked on the request: the next endpoint at once, else this
        one after a short wait, which is over when this returns; -1 when `answer` is the client's."""
        at, out = order[turn], answer.out
        wait = retry_after(out.fields, self._wall)
        others = len(order) > turn + 1
        if len(order) > 1:
            rest(at, ask.model, wait, self._clock())
        short = answer.attempts == 1 and wait is not None and wait <= at.of.retry.wait_limit
        if not ask.generation or not (others or short):
            return -1
        if not _repeatable(ask):
            answer.elsewhere = others
            return -1
        body = await _short_body(out)
        answer.body = body or b""
        if body is None:
            return -1
        quota = out.status == 429 and quota_spent(body)
        if quota:
            rest(at, ask.model, LONGEST_REST, self._clock())
        onward = self._free(order, turn + 1, ask.model, at.account if quota else b"")
        answer.elsewhere = onward >= 0
        if onward < 0 and (quota or not short or (onward := self._same(order, turn, ask.model)) < 0):
            return -1
        onward = self._spent(order, turn, onward, ask.model, str(out.status))
        if onward >= 0:
            at.of.error(str(out.status))
        if onward == turn and wait:
            await _pause(wait)
        return onward

    def _same(self, order: Order, turn: int, model: str) -> int:
        """The endpoint that was just called, once more, while its breaker lets it; -1 when it does not."""
        return self._free(order[: turn + 1], turn, model)

    def _spent(self, order: Order, turn: int, onward: int, model: str, kind: str) -> int:
        """Take one more call out of the budget and count it; -1 when the budget is spent."""
        provider = order[turn].of
        if not provider.budget.spend(self._clock()):
            provider.budget_exhausted.n += 1
            held = order[onward].breakers.get(model)
            if held is not None:
                held.abandon()
            return -1
        provider.retried(kind)
        if onward != turn:
            provider.went_on(kind)
        return onward

    def _provider(self, name: str, wanted: ProviderSettings, settings: Settings) -> Provider:
        provider = Provider(name, wanted, settings.retry, self._registry)
        for index, each in enumerate(resolved(name, wanted)):
            where = place(each, wanted)
            origin = Origin(where.host, where.port, self._context(wanted.ca_file) if where.secure else None, where.host)
            pool = Pool(origin, wanted.connections, self._sweeper)
            provider.endpoints.append(endpoint(provider, index, each, pool, where, background=self._background))
        provider.ready()
        return provider

    def _context(self, ca_file: str) -> ssl.SSLContext:
        """One TLS context per set of authorities: each holds a megabyte of certificates."""
        found = self._contexts.get(ca_file)
        if found is None:
            found = self._contexts[ca_file] = client_context(ca_file)
        return found


def _repeatable(ask: Ask) -> bool:
    """Whether the gateway may call a second time for a request: not when its SDK does that, nor when its body is gone."""
    return ask.retryable and not ask.client_retry and (ask.body is None or isinstance(ask.body, bytes))


def _words(endpoints: Order, word: str) -> tuple[str, ...]:
    """The log's words for endpoints of one provider; which endpoint is said where there are several."""
    return tuple(word if len(at.of.endpoints) == 1 else f"{at.name}:{word}" for at in endpoints)


async def _pause(seconds: float) -> None:
    pause: Wait[None] = Wait()
    timer = asyncio.get_running_loop().call_later(seconds, pause.done, None)
    try:
        await pause
    finally:
        timer.cancel()


async def _short_body(out: Outgoing) -> bytes | None:
    """The whole body, or None (and the answer aborted) when it is cut, or longer than a refusal has any reason to be."""
    pieces: list[bytes] = []
    size = 0
    try:
        while data := await out.chunk():
            pieces.append(data)
            size += len(data)
            if size > SHORT:
                out.abort()
                return None
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded):
        return None
    return b"".join(pieces)
