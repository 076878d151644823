"""A configured provider as the hot path wants it: everything constant encoded once, every counter resolved once.

Keys are placed here and leave in one header of one provider only. `repr` of these objects shows no secret.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.core.pinning.classify import vendor_of
from gateway.settings.model import EndpointSettings, ProviderSettings, RetrySettings
from gateway.telemetry.counters import Register, Registry
from gateway.upstream.breaker import Breaker
from gateway.upstream.budget import RetryBudget
from gateway.upstream.targets import Target, target
from gateway.wire.client import CallLimits, Pool

CLIENT = "client"
"""The word of `api_key` that forwards the caller's own credential."""
BREAKERS = 1000
"""Breakers of one provider at most; further models share the provider's own."""

_HEADER_OF_VENDOR = {"anthropic": "x-api-key", "azure": "api-key", "google": "x-goog-api-key"}
"""Which header a vendor reads its key from; every other vendor reads `authorization`."""
_ALSO_BEARER = ("anthropic", "azure")
"""Vendors that read `authorization` as well, where a caller sent its own credential that way."""


@dataclass(slots=True, repr=False)
class Endpoint:
    """One host of a provider. `constant` is the end of the head's constant part: Host, key, configured headers."""

    name: str
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
    api_version: str
    weight: int = 1

    def __repr__(self) -> str:
        return f"Endpoint({self.name!r})"

    def model(self, snapshot: str) -> str:
        """The name this host knows a snapshot by."""
        return self.models.get(snapshot, snapshot)

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
        self.budget = RetryBudget(retry.budget, retry.minimum)
        self.breakers: dict[str, Breaker] = {}
        self._registry = registry
        registry.know("provider", (name,))
        classes = ("other", "1xx", "2xx", "3xx", "4xx", "5xx")
        self.by_class: list[Register] = [registry.counter("upstream_requests_total", name, word) for word in classes]
        self.budget_exhausted = registry.counter("retry_budget_exhausted_total", name)
        self._errors: dict[str, Register] = {}
        self._retries: dict[str, Register] = {}

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

    def breaker(self, model: str) -> Breaker:
        """The breaker of a model, made at its first failure."""
        found = self.breakers.get(model)
        if found is None:
            if len(self.breakers) >= BREAKERS:
                model = ""
            gauge = self._registry.gauge("breaker_state", self.name, model)
            found = self.breakers.setdefault(
                model, Breaker(self.retry.breaker_failures, self.retry.breaker_seconds, gauge)
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


def endpoint_settings(settings: ProviderSettings) -> tuple[EndpointSettings, ...]:
    """The endpoints of a provider in the order they are tried: its own list, else its base URL."""
    if settings.endpoints:
        return settings.endpoints
    return (EndpointSettings(url=settings.base_url),)


def endpoint(
    provider: Provider, index: int, settings: EndpointSettings, pool: Pool, where: Target, *, background: bool
) -> Endpoint:
    """Put an endpoint together. `background` takes the key for shadow and probes in place of the word `client`."""
    of = provider.settings
    key = (settings.api_key or of.api_key).strip()
    if background and key == CLIENT:
        key = of.background_api_key.strip()
    header = of.auth_header.lower() or _HEADER_OF_VENDOR.get(provider.vendor, "authorization")
    if provider.vendor == "google" and where.path.endswith("/openai") and not of.auth_header:
        header = "authorization"
    forwards = key == CLIENT
    lines = [_line("host", where.authority)]
    if key and not forwards:
        lines.append(_line(header, f"Bearer {key}" if header == "authorization" else key))
    lines.extend(_line(name, value) for name, value in of.headers.items())
    name = provider.name if index == 0 else f"{provider.name}#{index}"
    return Endpoint(
        name=name,
        vendor=provider.vendor,
        target=where,
        pool=pool,
        constant="".join(lines).encode("latin-1"),
        key_header=header.encode(),
        forwards=forwards,
        own_headers=frozenset(each.lower().encode("latin-1") for each in of.headers),
        secrets=tuple(
            each.encode("latin-1", "replace") for each in (key, *of.headers.values()) if len(each) > 8 and not forwards
        ),
        models=settings.models,
        api_version=settings.api_version or of.api_version,
        weight=settings.weight,
    )


def place(settings: EndpointSettings, of: ProviderSettings, vendor: str) -> Target:
    """Where an endpoint is. Raises AddressError, which `settings.check` has said before.

    Azure's own paths begin at the host, so a base that was copied with `/openai` or `/openai/v1` loses it.
    """
    where = target(settings.url, private=of.allow_private)
    if vendor == "azure":
        where = replace(where, path=where.path.removesuffix("/v1").removesuffix("/openai"))
    return where


def _line(name: str, value: str) -> str:
    if not name.isascii() or not value.isprintable():
        raise ValueError(f"the provider header {name} has a value that cannot be sent")
    return f"{name}: {value}\r\n"
