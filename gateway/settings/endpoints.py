"""The endpoints of a provider with everything they have from it filled in: the one place that says what is passed on.

The rule: a key, and headers that may hold one, reach another host only where that is plainly meant. A host of the same
vendor has the provider's key and headers, one of another vendor has its own; the caller's own key (`client`) stays with the
host of `base_url` unless an endpoint says `client` itself.
"""

from __future__ import annotations

import msgspec

from gateway.core.dialect.vendors import spoken
from gateway.core.pinning.classify import vendor_of, vendor_of_host
from gateway.core.pinning.table import UNKNOWN_VENDOR
from gateway.settings.model import EndpointSettings, ProviderSettings
from gateway.settings.urls import AddressError, target

CLIENT = "client"
"""The word of `api_key` that forwards the caller's own credential."""


def resolved(name: str, provider: ProviderSettings) -> tuple[EndpointSettings, ...]:
    """The endpoints of a provider, in the order of the file: its own list, else its base URL alone.

    Every member is filled in; an `api_key` that is still empty means that the endpoint has none (`settings.check` says so).
    """
    vendor = vendor_of(name, provider.base_url, provider.vendor)
    if not provider.endpoints:
        alone = EndpointSettings(url=provider.base_url, vendor=vendor)
        return (_filled(alone, provider, kin=True, key=provider.api_key),)
    return tuple(_resolved(each, provider, vendor) for each in provider.endpoints)


def dialects(name: str, provider: ProviderSettings) -> tuple[str, ...]:
    """What the endpoints of a provider speak together; empty means any."""
    each = [endpoint.dialects for endpoint in resolved(name, provider)]
    return tuple(dict.fromkeys(dialect for said in each for dialect in said)) if all(each) else ()


def unattended(name: str, provider: ProviderSettings) -> bool:
    """Whether the gateway can call a provider when nobody asks: no endpoint is left without a credential where the caller's
    own is forwarded. `background_api_key` stands in for it at hosts of the provider's vendor."""
    vendor = vendor_of(name, provider.base_url, provider.vendor)
    stand_in = bool(provider.background_api_key.strip())
    return all(each.api_key != CLIENT or (stand_in and each.vendor == vendor) for each in resolved(name, provider))


def _resolved(endpoint: EndpointSettings, provider: ProviderSettings, vendor: str) -> EndpointSettings:
    own = endpoint.vendor or vendor_of_host(endpoint.url) or vendor
    near = _place(endpoint.url) == _place(provider.base_url)
    kin = near or (own == vendor and own != UNKNOWN_VENDOR)
    forwarded = provider.api_key.strip() == CLIENT
    key = endpoint.api_key or (provider.api_key if near or (kin and not forwarded) else "")
    return _filled(msgspec.structs.replace(endpoint, vendor=own), provider, kin=kin, key=key)


def _filled(endpoint: EndpointSettings, provider: ProviderSettings, *, kin: bool, key: str) -> EndpointSettings:
    return msgspec.structs.replace(
        endpoint,
        api_key=key.strip(),
        dialects=spoken(endpoint.dialects or provider.dialects, endpoint.vendor),
        auth_header=endpoint.auth_header or (provider.auth_header if kin else ""),
        api_version=endpoint.api_version or (provider.api_version if kin else ""),
        headers=endpoint.headers or (provider.headers if kin else {}),
    )


def _place(url: str) -> tuple[bool, str, int] | str:
    """Scheme, host and port; the text itself where it is no URL, which `settings.check` has said."""
    try:
        where = target(url, private=True)
    except AddressError:
        return url
    return where.secure, where.host, where.port
