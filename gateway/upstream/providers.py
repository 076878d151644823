"""A configured provider as the hot path wants it: everything constant encoded once, every counter resolved once.

Keys are placed here and leave in one header of one provider only. `repr` of these objects shows no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import blake2b

from gateway.core.contract.fault import Fault, Kind
from gateway.core.pinning.classify import vendor_of
from gateway.settings.endpoints import CLIENT
from gateway.settings.model import EndpointSettings, ProviderSettings, RetrySettings
from gateway.telemetry.counters import Register, Registry
from gateway.upstream.breaker import Breaker
from gateway.upstream.budget import RetryBudget
from gateway.upstream.request import Heads
from gateway.upstream.targets import Target, target
from gateway.wire.client import CallLimits, Pool

BREAKERS = 1000
"""Breakers of one endpoint at most; further models share the endpoint's own."""
ELIGIBLE_KEPT = 1000
"""Pairs of model and dialect whose endpoints a provider remembers."""

_HEADER_OF_VENDOR = {"anthropic": "x-api-key", "azure": "api-key", "google": "x-goog-api-key"}
"""Which header a vendor reads its key from; every other vendor reads `authorization`."""
_ALSO_BEARER = ("anthropic", "azure")
"""Vendors that read `authorization` as well, where a caller sent its own credential that way."""


@dataclass(slots=True, repr=False, eq=False)
class Endpoint:
    """One host of a provider. `constant` is the end of the head's constant part: Host, key, configured headers."""

    name: str
    of: Provider
    vendor: str
    target: Target
    pool: Pool
    constant: bytes
    key_header: bytes
    forwards: bool
    """The caller's own credential is forwarded."""
    own_headers: frozenset[bytes]
    """Lower-case names that the configuration sets; the client's are dropped."""
    secrets: tuple[bytes, ...]
    models: dict[str, str]
    dialects: tuple[str, ...]
    api_version: str
    weight: int
    account: bytes
    """Digest of the key: endpoints with the same one share a quota."""
    salt: bytes
    """What the choice of endpoints mixes with a run: the URL, so that the order of the file does not matter."""
    mark: bytes = b""
    """The response header line that names it."""
    breakers: dict[str, Breaker] = field(default_factory=dict)
    rests: dict[str, float] = field(default_factory=dict)
    """Model to the moment (monotonic seconds) until which it said that it takes no calls."""
    heads: Heads = field(init=False)

    def __post_init__(self) -> None:
        self.heads = Heads(self)

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    def model(self, snapshot: str) -> str:
        """The name this host knows a snapshot by."""
        return self.models.get(snapshot, snapshot)

    def serves(self, model: str, dialect: str) -> bool:
        """Whether it has the model and speaks the dialect; an empty dialect is one that the gateway does not know.

        A `models` map is the whole list: a name that is neither a snapshot nor a deployment of it is not served.
        """
        if dialect and self.dialects and dialect not in self.dialects:
            return False
        return not self.models or model in self.models or model in self.models.values()

    def breaker(self, model: str) -> Breaker:
        """The breaker of a model at this endpoint, made at its first failure."""
        found = self.breakers.get(model)
        if found is None:
            if len(self.breakers) >= BREAKERS:
                model = ""
            found = self.breakers.get(model)
        if found is None:
            found = self.breakers[model] = self.of.new_breaker(self.name, model)
        return found

    def bearer_too(self) -> bool:
        """Whether the vendor also reads `authorization`."""
        return self.key_header == b"authorization" or self.vendor in _ALSO_BEARER


class Provider:
    """A provider with its endpoints, limits, breakers, budget and counters."""

    def __init__(self, name: str, settings: ProviderSettings, retry: RetrySettings, registry: Registry) -> None:
        self.name = name
        self.settings = settings
        self.retry = retry
        self.vendor = vendor_of(name, settings.base_url, settings.vendor)
        limits = settings.timeouts
        self.limits = CallLimits(
            connect=limits.connect,
            first_byte=limits.first_byte,
            between_chunks=limits.between_chunks,
            total=limits.total,
        )
        self.endpoints: list[Endpoint] = []
        self.only: tuple[Endpoint] | None = None
        """The endpoint, where there is one and it serves everything: nothing is chosen then."""
        self._eligible: dict[tuple[str, str], tuple[Endpoint, ...]] = {}
        self.budget = RetryBudget(retry.budget, retry.minimum)
        self._registry = registry
        registry.know("provider", (name,))
        classes = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")
        self.by_class: list[Register] = [registry.counter("upstream_requests_total", name, word) for word in classes]
        self.budget_exhausted = registry.counter("retry_budget_exhausted_total", name)
        self._errors: dict[str, Register] = {}
        self._retries: dict[str, Register] = {}
        self._failovers: dict[str, Register] = {}

    def __repr__(self) -> str:
        return f"Provider({self.name!r})"

    def error(self, kind: str) -> None:
        """Count a failed call."""
        register = self._errors.get(kind)
        if register is None:
            register = self._errors[kind] = self._registry.counter("upstream_errors_total", self.name, kind)
        register.n += 1

    def retried(self, kind: str) -> None:
        """Count a call that is repeated."""
        register = self._retries.get(kind)
        if register is None:
            register = self._retries[kind] = self._registry.counter("retries_total", self.name, kind)
        register.n += 1

    def went_on(self, kind: str) -> None:
        """Count a call that went to another endpoint than the one of its run."""
        register = self._failovers.get(kind)
        if register is None:
            register = self._failovers[kind] = self._registry.counter("failovers_total", self.name, kind)
        register.n += 1

    def new_breaker(self, endpoint: str, model: str) -> Breaker:
        """A breaker for a model at an endpoint, with its gauge."""
        gauge = self._registry.gauge("breaker_state", endpoint, model)
        return Breaker(self.retry.breaker_failures, self.retry.breaker_seconds, gauge)

    def ready(self) -> None:
        """All endpoints are there."""
        first = self.endpoints[0]
        self.only = (first,) if len(self.endpoints) == 1 and not first.models else None
        self._registry.know("provider", [at.name for at in self.endpoints])

    def eligible(self, model: str, dialect: str) -> tuple[Endpoint, ...]:
        """The endpoints that serve a model in a dialect, in the order of the file. Raises Fault 404 `model_not_found`.

        A request without a model goes to the first endpoint: what it names (files, batches) lives in one account.
        """
        which = (model, dialect)
        found = self._eligible.get(which)
        if found is None:
            if len(self._eligible) >= ELIGIBLE_KEPT:
                self._eligible.clear()
            found = tuple(at for at in self.endpoints if at.serves(model, dialect)) if model else (self.endpoints[0],)
            self._eligible[which] = found
        if not found:
            raise Fault(
                Kind.NOT_FOUND,
                "model_not_found",
                "No endpoint of the release's provider serves this model in this API. Add it to the `models` of one.",
                param="model",
                reason="model",
            )
        return found

    @property
    def busy(self) -> bool:
        """Whether a connection is in use or being made."""
        return any(at.pool.open > at.pool.idle for at in self.endpoints)

    def close(self) -> None:
        """Close every connection, those in use too."""
        for endpoint in self.endpoints:
            endpoint.pool.close()


def endpoint(
    provider: Provider, index: int, settings: EndpointSettings, pool: Pool, where: Target, *, background: bool
) -> Endpoint:
    """Put an endpoint together from resolved settings. `background` takes the key for shadow and probes in place of the
    word `client`."""
    key = settings.api_key
    if background and key == CLIENT:
        key = provider.settings.background_api_key.strip() if settings.vendor == provider.vendor else ""
    header = settings.auth_header.lower() or _HEADER_OF_VENDOR.get(settings.vendor, "authorization")
    if settings.vendor == "google" and where.path.endswith("/openai") and not settings.auth_header:
        header = "authorization"
    forwards = key == CLIENT
    lines = [_line("host", where.authority)]
    if key and not forwards:
        lines.append(_line(header, f"Bearer {key}" if header == "authorization" else key))
    lines.extend(_line(name, value) for name, value in settings.headers.items())
    name = provider.name if index == 0 else f"{provider.name}#{index}"
    before = sum(each.target == where for each in provider.endpoints)
    return Endpoint(
        name=name,
        of=provider,
        vendor=settings.vendor,
        target=where,
        pool=pool,
        constant="".join(lines).encode("latin-1"),
        key_header=header.encode(),
        forwards=forwards,
        own_headers=frozenset(each.lower().encode("latin-1") for each in settings.headers),
        secrets=tuple(
            each.encode("latin-1", "replace")
            for each in (
                (provider.settings.background_api_key.strip(),) if forwards else (key, *settings.headers.values())
            )
            if len(each) > 8
        ),
        models=settings.models,
        dialects=settings.dialects,
        api_version=settings.api_version,
        weight=settings.weight,
        account=blake2b(key.encode("latin-1", "replace"), digest_size=16).digest(),
        salt=blake2b(f"{settings.url}#{before}".encode(), digest_size=16).digest(),
        mark=_line("x-trivet-endpoint", name).encode(),
    )


def place(settings: EndpointSettings, of: ProviderSettings) -> Target:
    """Where an endpoint is. Raises AddressError, which `settings.check` has said before.

    Azure's own paths begin at the host, so a base that was copied with `/openai` or `/openai/v1` loses it.
    """
    where = target(settings.url, private=of.allow_private)
    if settings.vendor == "azure":
        where = replace(where, path=where.path.removesuffix("/v1").removesuffix("/openai"))
    return where


def _line(name: str, value: str) -> str:
    if not name.isascii() or not value.isprintable():
        raise ValueError(f"the provider header {name} has a value that cannot be sent")
    return f"{name}: {value}\r\n"
