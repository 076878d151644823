"""Calls a release with a captured request: the body as live would have made it, the gateway's own key, one call and no other.

Rules of the file: a caller's credential is nowhere in it. A call is never repeated, has a time and a size, and its failures stay
here: the connections and breakers are the shadow's own. What says nothing about the release is a Skip, never a failure of it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from gateway.core.contract.exchange import Observed
from gateway.core.contract.fault import Fault
from gateway.core.contract.job import Job
from gateway.core.contract.pair import Side
from gateway.core.contract.release import Release
from gateway.core.dialect import carry, variables
from gateway.core.dialect.legs import Legs, neutral
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation, Route, RouteKind
from gateway.core.dialect.splice import splice
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.prices import PriceTable
from gateway.settings.endpoints import dialects, unattended
from gateway.settings.model import Settings
from gateway.settings.prices import NO_LIST, PriceBook
from gateway.shadow.compare import Call, assembled, decoded
from gateway.shadow.harmless import check
from gateway.shadow.pace import pace
from gateway.shadow.ports import Called, Skip
from gateway.upstream.answer import error_code
from gateway.upstream.call import Ask, Upstreams
from gateway.upstream.choice import Spread
from gateway.upstream.faults import UpstreamFault, failed
from gateway.wire import flow
from gateway.wire.errors import DeadlineExceeded, UpstreamBroken, UpstreamLost

UNREACHABLE = frozenset(("connect", "busy", "breaker"))
"""Failures by which the provider saw nothing of the request."""


@dataclass(slots=True)
class Got:
    """What has come of an answer."""

    status: int = 0
    fields: dict[bytes, bytes] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    first_byte: float = 0.0
    """Monotonic seconds; 0 while there is none."""
    failed: str = ""

    @property
    def stream(self) -> bool:
        """Whether it is a stream of events."""
        return self.fields.get(b"content-type", b"").lower().startswith(b"text/event-stream")


class Request:
    """A captured request as one release sends it. Raises Skip where the release cannot take it."""

    def __init__(
        self, job: Job, body: bytes, release: Release, legs: Legs | None, harmless: Mapping[str, bytes]
    ) -> None:
        self._job = job
        self._dialect = DIALECTS[job.dialect]
        self._params = release.triple.params
        self._harmless = dict(harmless)
        operation = Operation(job.operation)
        try:
            self._envelope = self._dialect.read(operation, body)
            self._legs = self._carried(legs, Route(RouteKind.DIALECT, job.dialect, job.path, operation))
        except Fault as fault:
            raise Skip(fault.code) from fault

    def __call__(self, model: str) -> tuple[str, bytes]:
        """Path and body for an endpoint that calls the model so."""
        named = self._dialect.model_edit(model)
        edits = carry.edits(self._envelope, named, model, self._params, self._legs)
        return carry.placed(self._job.path, model), splice(self._envelope.members, {**edits, **self._harmless})

    def make_harmless(self, model: str) -> None:
        """The release's own tools and params may act too: look at the whole body. Raises Skip."""
        found = check(self._job.dialect, decoded(self(model)[1]), same_vendor=True)
        if found.skip:
            raise Skip(found.skip)
        self._harmless.update(found.edits)

    def _carried(self, legs: Legs | None, route: Route) -> Mapping[str, bytes | None]:
        if legs is None:
            return carry.AS_SENT
        envelope = self._envelope
        header = dict(self._job.headers).get(variables.HEADER.decode())
        own = envelope.members.get(variables.OWN_MEMBER)
        values = variables.read(own, header.encode("latin-1") if header is not None else None)
        sent = neutral(envelope.toolset()) if legs.compares else ""
        return carry.leg_edits(legs, self._dialect, route, envelope, values, sent, lambda _digest: ())


class Calls:
    """Calls providers. One per process; construct inside the running loop."""

    def __init__(
        self,
        upstreams: Upstreams,
        legs: Callable[[Release], Awaitable[Legs | None]],
        settings: Settings,
        *,
        prices: PriceTable = NO_LIST,
        wall: Callable[[], float],
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Job, Release, Side], None] = lambda _job, _release, _side: None,
    ) -> None:
        """`upstreams` is this process's own, with `background` keys. `legs` reads what a release brings, or raises Skip;
        `wall` is the wall clock in seconds; `told` hears of every call."""
        self._upstreams = upstreams
        self._legs = legs
        self._table = prices
        self._wall = wall
        self._clock = clock
        self._told = told
        self.renew(settings)

    def renew(self, settings: Settings) -> None:
        """Take new settings; `upstreams` is renewed by who made it."""
        self._settings = settings
        self._vendors = {name: vendor_of(name, p.base_url, p.vendor) for name, p in settings.providers.items()}
        self._prices = PriceBook(settings.providers, self._vendors, self._table)

    def same_vendor(self, one: Release, other: Release) -> bool:
        """Whether both releases' providers are the same vendor's."""
        vendors = [self._vendors.get(release.snapshot.provider) for release in (one, other)]
        return vendors[0] is not None and vendors[0] == vendors[1]

    def allowed(self, live: Release, candidate: Release) -> bool:
        """Whether traffic that is live at the one's provider may be sent to the other's: it is the same, or configured."""
        there = candidate.snapshot.provider
        return there == live.snapshot.provider or there in self._settings.shadow.providers

    def cost(self, model: str, observed: Observed | None) -> int | None:
        """What an exchange with a model costs in micro-USD by the price table; None where that is not known."""
        return self._prices.cost(model, observed)

    async def call(self, job: Job, body: bytes, release: Release, edits: Mapping[str, bytes]) -> Called:
        """One call, never repeated. Raises Skip, and Fault while the release's legs cannot be read."""
        provider, model = release.snapshot.provider, release.snapshot.model
        wire = self._wire(job, provider, model)
        request = Request(job, body, release, await self._legs(release), edits)
        request.make_harmless(wire)
        path, data = request(wire)
        several = self._upstreams.spreads(provider)
        ask = Ask(
            provider=provider,
            model=model,
            method="POST",
            path=path,
            query=carry.without_key(job.query),
            headers=[(name.encode(), value.encode("latin-1")) for name, value in job.headers],
            body=data,
            credential=None,
            retryable=False,
            generation=True,
            client_retry=1,
            spread=Spread(dialect=job.dialect, unit=job.run, spell=request) if several else None,
        )
        started = self._clock()
        got = await self._got(ask)
        side = self._side(job, release, got, started)
        self._told(job, release, side)
        answer = b"".join(got.pieces)
        found = pace(got.status, got.fields, answer, self._wall)
        return Called(Call(side, answer), wait_seconds=found.seconds, limited=found.limited)

    def _wire(self, job: Job, provider: str, model: str) -> str:
        """The provider's name for the model, once nothing is in the way of a call. Raises Skip."""
        settings = self._settings.providers.get(provider)
        if settings is None:
            raise Skip("provider_unknown")
        spoken = dialects(provider, settings)
        if spoken and job.dialect not in spoken:
            raise Skip("wrong_dialect")
        if not unattended(provider, settings):
            raise Skip("no_credential")
        try:
            return self._upstreams.wire_model(provider, model, job.dialect)
        except Fault as fault:
            raise Skip(fault.code) from fault

    async def _got(self, ask: Ask) -> Got:
        """Everything that came of a call, within its time and size. Raises Skip when nothing was sent."""
        got = Got()
        try:
            with anyio.move_on_after(self._settings.shadow.timeout) as scope:
                await flow.run(self._collect(ask, got))
        except UpstreamFault as fault:
            if fault.failure in UNREACHABLE:
                raise Skip("unreachable") from fault
            got.failed = fault.code
        except Fault as fault:
            raise Skip(fault.code) from fault
        if scope.cancelled_caught:
            got.failed = "timeout"
        if got.failed:
            got.pieces.clear()
        return got

    async def _collect(self, ask: Ask, got: Got) -> None:
        out = (await self._upstreams.call(ask)).out
        got.status, got.fields, got.first_byte = out.status, out.fields, out.first_byte_at
        room = self._settings.shadow.job_bytes
        try:
            while data := await out.chunk():
                room -= len(data)
                if room < 0:
                    got.failed = "too_large"
                    out.abort()
                    return
                got.pieces.append(data)
        except UpstreamLost:
            got.failed = "cut"
            return
        except (UpstreamBroken, DeadlineExceeded) as error:
            raise failed(error) from error
        except BaseException:
            out.abort()
            raise
        if got.fields.get(b"content-encoding", b"identity").lower() != b"identity":
            got.failed = "coded"

    def _side(self, job: Job, release: Release, got: Got, started: float) -> Side:
        body, model = b"".join(got.pieces), release.triple.model
        fine = 200 <= got.status < 300 and not got.failed
        observed: Observed | None = assembled(job, body, stream=got.stream).observed if fine else None
        return Side(
            release=release.id,
            model=model,
            status=got.status,
            failed=got.failed or ("" if fine else error_code(body)),
            first_byte_ms=round((got.first_byte - started) * 1000, 3) if got.first_byte else 0.0,
            total_ms=round((self._clock() - started) * 1000, 3),
            observed=observed,
            cost=self.cost(model, observed),
            stream=got.stream,
        )
