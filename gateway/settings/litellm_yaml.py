"""A converted LiteLLM configuration as the text of Trivet's, with a word where the operator must look.

The rule: what is written passes `trivet check` once the variables it names are set, and holds no secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from gateway.core.contract.release import PinClass
from gateway.core.pinning.classify import vendor_of
from gateway.settings.litellm import Imported, Moved
from gateway.settings.litellm_models import Host, Provider

_PLAIN = re.compile(r"^[A-Za-z][A-Za-z0-9._/-]*$")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
ALLOWED = "carried over from LiteLLM, where it floats too; pin it"


def render(found: Imported, source: str) -> str:
    """The YAML text. `source` names the file it was made from."""
    return "".join(f"{line}\n" for line in _lines(found, source))


def _lines(found: Imported, source: str) -> Iterator[str]:
    yield f"# Made by `trivet import litellm` from {source}. Look at every line with FLOATS before agents rely on it."
    if found.environment:
        yield "# Needs these in the environment: " + ", ".join(sorted(found.environment))
    yield "listen: 127.0.0.1:4000                # LiteLLM's port"
    yield f"auth: {'keys' if found.client_keys else 'none'}"
    yield "unmanaged: refuse                     # as LiteLLM does; `learn` makes aliases of names that clients send"
    if found.client_keys:
        yield "keys:                                 # sha256 of the keys that clients have"
        for digest, tenant in found.client_keys:
            yield f"  - {{sha256: {_text(digest)}, tenant: {_text(tenant)}}}"
    yield "providers:" if found.providers else "providers: {}"
    for provider in found.providers:
        yield from _provider(provider)
    yield "aliases:" if found.aliases else "aliases: {}"
    for alias in found.aliases:
        yield from _alias(alias)


def _provider(provider: Provider) -> Iterator[str]:
    first = provider.hosts[0]
    yield f"  {provider.name}:"
    yield f"    base_url: {_text(first.url)}"
    yield f"    api_key: {_text(first.key)}"
    if vendor_of(provider.name, first.url) != provider.judged_as:
        yield f"    vendor: {provider.judged_as}"
    if any(host.private for host in provider.hosts):
        yield "    allow_private: true"
    if provider.timeout:
        yield f"    timeouts: {{first_byte: {provider.timeout:g}s}}"
    if provider.plain:
        if first.api_version:
            yield f"    api_version: {_text(first.api_version)}"
        if first.organization:
            yield f"    headers: {{OpenAI-Organization: {_text(first.organization)}}}"
        return
    yield "    endpoints:"
    for host in provider.hosts:
        yield from _endpoint(provider, host)


def _endpoint(provider: Provider, host: Host) -> Iterator[str]:
    yield f"      - url: {_text(host.url)}"
    yield f"        api_key: {_text(host.key)}"
    if vendor_of(provider.name, host.url) != (host.vendor or provider.judged_as):
        yield f"        vendor: {host.vendor or provider.judged_as}"
    if provider.weights[host] != 1:
        yield f"        weight: {provider.weights[host]}"
    if host.api_version:
        yield f"        api_version: {_text(host.api_version)}"
    if host.organization:
        yield f"        headers: {{OpenAI-Organization: {_text(host.organization)}}}"
    yield "        models:"
    for snapshot, deployed in provider.models[host].items():
        yield f"          {_text(snapshot)}: {_text(deployed)}"


def _alias(alias: Moved) -> Iterator[str]:
    if alias.pin == PinClass.FLOATING.value:
        yield f"  # FLOATS: {alias.why}. Name a snapshot and take `allow_floating` out."
    elif alias.pin != PinClass.PINNED.value:
        yield f"  # {alias.pin}: {alias.why}."
    if alias.dialect != "openai":
        yield f"  # Speaks the {alias.dialect} API only: LiteLLM translated for clients of OpenAI's, Trivet does not."
    yield f"  {_text(alias.alias)}:"
    if alias.pin == PinClass.FLOATING.value:
        yield f"    allow_floating: {_text(ALLOWED)}"
    yield f"    first_release: {{model: {_text(alias.model)}}}"


def _text(text: str) -> str:
    """A scalar, quoted where plain YAML would read something else."""
    return text if _PLAIN.match(text) and text.lower() not in _WORDS else json.dumps(text)
