"""What can be wrong with the endpoints of a provider: rules of `settings.check`, as (level, key, message).

The rule: an endpoint that could never be called, or would be called without a key, is an error; a map that may not mean what
it says is a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gateway.core.contract.release import PinClass, Snapshot
from gateway.core.pinning.classify import classify, vendor_of
from gateway.core.pinning.table import PinTable
from gateway.settings import tables
from gateway.settings.endpoints import CLIENT, resolved
from gateway.settings.load import Config
from gateway.settings.model import EndpointSettings, ProviderSettings
from gateway.settings.problems import nearest, shown

AUTH_HEADERS = ("authorization", "api-key", "x-api-key", "x-goog-api-key")
Found = Iterator[tuple[str, str, str]]


def endpoints(config: Config) -> Found:
    """Everything worth saying about endpoints, and about aliases that none of them serves."""
    for name, provider in config.settings.providers.items():
        if provider.endpoints:
            yield from _provider(name, provider)
    for name, alias in config.settings.aliases.items():
        yield from _alias(config, f"aliases.{shown(name)}.first_release.model", alias.first_release.model)


def _provider(name: str, provider: ProviderSettings) -> Found:
    key = f"providers.{shown(name)}.endpoints"
    filled = resolved(name, provider)
    if not any(each.weight for each in filled):
        yield "error", key, "has only standbys (weight 0); give at least one endpoint a weight"
    seen: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
    vendor = vendor_of(name, provider.base_url, provider.vendor)
    table = tables.pinning()
    for index, (written, each) in enumerate(zip(provider.endpoints, filled, strict=True)):
        here = f"{key}[{index}]"
        which = (each.url.rstrip("/"), each.api_key, tuple(sorted(each.models.values())))
        seen[which] += 1
        if seen[which] > 1:
            yield "error", f"{here}.url", "is another endpoint again, with the same key and models; keep one of the two"
        yield from _key(here, each, provider, vendor)
        if written.dialects and provider.dialects and not set(written.dialects) & set(provider.dialects):
            yield (
                "error",
                f"{here}.dialects",
                "has none of the provider's dialects, so no release reaches this endpoint",
            )
        yield from _models(f"{here}.models", each, name, vendor, table)


def _key(here: str, each: EndpointSettings, provider: ProviderSettings, vendor: str) -> Found:
    if each.api_key:
        return
    if provider.api_key.strip() == CLIENT:
        message = (
            "is missing: the caller's own key stays with the host of base_url. "
            "Name this host's key, or say client here if it may have the caller's"
        )
    else:
        message = (
            f"is missing: this host is of vendor {shown(each.vendor)}, the provider of {shown(vendor)}, "
            "and no key is passed on between them. Name this host's key"
        )
    yield "error", f"{here}.api_key", message


def _models(key: str, each: EndpointSettings, provider: str, vendor: str, table: PinTable) -> Found:
    for snapshot, name in each.models.items():
        here = f"{key}.{shown(snapshot)}"
        if snapshot.startswith(f"{provider}/"):
            yield "error", here, "must be the snapshot without its provider: what stands after the first slash"
            continue
        if not name.strip() or not name.isprintable():
            yield "error", here, "has no name that the host could know the model by"
        verdict = classify(table, vendor, snapshot)
        if verdict.pin is PinClass.FLOATING:
            yield "warning", here, f"floats ({verdict.why}); map the snapshot that the deployment serves"
        elif verdict.pin is PinClass.UNKNOWN and vendor in ("openai", "anthropic"):
            yield "warning", here, f"is no snapshot of {vendor} that the pinning table knows; is it spelled right?"


def served(provider: ProviderSettings) -> frozenset[str] | None:
    """The model ids that the endpoints of a provider serve, by either of their names; None when one serves any."""
    if not provider.endpoints or not all(each.models for each in provider.endpoints):
        return None
    return frozenset(name for each in provider.endpoints for name in (*each.models, *each.models.values()))


def _alias(config: Config, key: str, model: str) -> Found:
    """An alias whose snapshot no endpoint serves."""
    try:
        snapshot = Snapshot.parse(model)
    except ValueError:
        return
    provider = config.settings.providers.get(snapshot.provider)
    known = served(provider) if provider is not None else None
    if known is not None and snapshot.model not in known:
        near = nearest(snapshot.model, known)
        yield "error", key, f"is served by no endpoint of provider {shown(snapshot.provider)}{near}; add it to `models`"
