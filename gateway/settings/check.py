"""What one key cannot tell alone: the settings held against each other and against the files they name.

`findings` lists everything; `check` refuses what must not run and returns the rest as warnings. All offline: nothing is
resolved, connected to or changed. No message shows a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.core.binding.internal import TENANT as OWN_TENANT
from gateway.core.contract.release import Mode, Snapshot
from gateway.core.dialect.leg import leg_artifact
from gateway.settings import gate_rules, hosts, prices, secrecy, shadows, webhooks
from gateway.settings.hosts import AUTH_HEADERS
from gateway.settings.load import Config
from gateway.settings.model import AliasSettings, EndpointSettings, ProviderSettings, ReleaseSettings, Settings
from gateway.settings.problems import Problem, SettingsError, nearest, shown
from gateway.settings.urls import AddressError, listener, loopback, target

RESERVED = frozenset(("v1", "v1alpha", "v1beta", "trivet", "health", "livez", "readyz", "metrics", "api"))
"""First path segments of the data port that no provider may take."""
DIALECTS = ("openai", "responses", "anthropic", "gemini")
LONG_ENOUGH = 32
"""Characters of a stamp key."""

_PROVIDER = re.compile(r"^[a-z0-9][a-z0-9._-]{0,31}$")
_HEADER = re.compile(r"^[A-Za-z0-9-]+$")
_PINNED_MEMBERS = ("model", "stream", "trivet")
_STORES = ("redis://", "rediss://", "unix://")


class Level(StrEnum):
    """How bad a finding is: an error stops a start and a reload."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found. `text(file)` is `file:line: key: message`."""

    level: Level
    key: str
    message: str
    line: int = 0

    def text(self, file: str) -> str:
        """`file:line: key: message`."""
        return Problem(self.key, self.message, self.line).text(file)


Found = Iterator[tuple[Level, str, str]]


def check(config: Config) -> list[str]:
    """The warnings, as `file:line: key: message`. Raises SettingsError with every error."""
    found = findings(config)
    errors = [Problem(each.key, each.message, each.line) for each in found if each.level is Level.ERROR]
    if errors:
        raise SettingsError(str(config.path), errors)
    return [each.text(str(config.path)) for each in found]


def findings(config: Config) -> list[Finding]:
    """Everything worth saying about a configuration, in the order of the file."""
    rules = (
        _ports,
        _keys,
        _tenants,
        _segments,
        _store,
        _runs,
        _providers,
        _aliases,
        hosts.endpoints,
        prices.unpriced,
        shadows.findings,
        gate_rules.findings,
        webhooks.findings,
        secrecy.exposed_files,
    )
    return placed(config, (told for rule in rules for told in rule(config)))


def placed(config: Config, told: Iterable[tuple[str, str, str]]) -> list[Finding]:
    """Findings with the lines of their keys, in the order of the file."""
    found = [Finding(Level(level), key, message, config.line(key)) for level, key, message in told]
    return sorted(found, key=lambda each: each.line)


def _ports(config: Config) -> Found:
    settings = config.settings
    places = {}
    for key, text in (("listen", settings.listen), ("admin.listen", settings.admin.listen)):
        try:
            places[key] = listener(text)
        except AddressError as error:
            yield Level.ERROR, key, str(error)
    data, admin = places.get("listen"), places.get("admin.listen")
    if data and not loopback(data[0]) and settings.auth == "none":
        message = (
            "listens beyond this machine while auth is none; use auth: keys, or say auth: open if everybody may call it"
        )
        yield Level.ERROR, "listen", message
    if admin and not loopback(admin[0]) and not settings.admin.tokens:
        message = "listens beyond this machine without tokens; add admin.tokens or listen on 127.0.0.1"
        yield Level.ERROR, "admin.listen", message
    if settings.admin.metrics == "token" and not settings.admin.tokens:
        yield Level.ERROR, "admin.metrics", "asks for a token, but admin.tokens is empty"
    if data and data == admin and data[1]:
        yield Level.ERROR, "admin.listen", "is the address of the data port; give the admin port its own"
    if settings.tls:
        for name, file in (("certificate", settings.tls.certificate), ("key", settings.tls.key)):
            if not Path(file).is_file():
                yield Level.ERROR, f"tls.{name}", "names a file that does not exist"


def _keys(config: Config) -> Found:
    settings = config.settings
    if settings.auth == "keys" and not settings.keys:
        yield Level.ERROR, "auth", "is keys, but keys is empty; `trivet key new` makes one"
    if settings.auth != "keys" and settings.keys:
        yield Level.WARNING, "keys", f"are not looked at while auth is {settings.auth}; use auth: keys"
    seen: dict[str, int] = {}
    for index, key in enumerate(settings.keys):
        first = seen.setdefault(key.sha256, index)
        if first != index:
            yield Level.ERROR, f"keys[{index}].sha256", f"is the key of keys[{first}] again; keep one of the two"
    names: dict[str, int] = {}
    hashes: dict[str, int] = {}
    for index, token in enumerate(settings.admin.tokens):
        if names.setdefault(token.name, index) != index:
            yield (
                Level.ERROR,
                f"admin.tokens[{index}].name",
                "names another token already; the audit needs one name each",
            )
        if hashes.setdefault(token.sha256, index) != index:
            yield Level.ERROR, f"admin.tokens[{index}].sha256", "is another token again; keep one of the two"


def _tenants(config: Config) -> Found:
    settings = config.settings
    known = {key.tenant for key in settings.keys} if settings.auth == "keys" else {"default"}
    for name in settings.tenants:
        if name not in known:
            yield Level.WARNING, f"tenants.{shown(name)}", f"has no key{nearest(name, known)}"
    for index, key in enumerate(settings.keys):
        if key.tenant.startswith(OWN_TENANT):
            yield (
                Level.ERROR,
                f"keys[{index}].tenant",
                f"begins with {OWN_TENANT}, as what the gateway calls itself does",
            )


def _segments(config: Config) -> Found:
    settings = config.settings
    segment_of: dict[str, str] = {}
    for name, tenants in settings.segments.items():
        for index, tenant in enumerate(tenants):
            other = segment_of.setdefault(tenant, name)
            if other != name:
                message = f"is a tenant of segment {shown(other)} already; a tenant has one segment"
                yield Level.ERROR, f"segments.{name}[{index}]", message
    for index, key in enumerate(settings.keys):
        if not key.segment:
            continue
        other = segment_of.setdefault(key.tenant, key.segment)
        if other != key.segment:
            message = f"differs from segment {shown(other)} that the tenant has elsewhere; a tenant has one segment"
            yield Level.ERROR, f"keys[{index}].segment", message
    tenants_known = {key.tenant for key in settings.keys}
    if settings.auth == "keys":
        for name, tenants in settings.segments.items():
            for index, tenant in enumerate(tenants):
                if tenant not in tenants_known:
                    yield Level.WARNING, f"segments.{name}[{index}]", f"has no key{nearest(tenant, tenants_known)}"


def _store(config: Config) -> Found:
    settings = config.settings
    store = settings.store
    embedded = store.redis == "embedded"
    for name, url in (("redis", store.redis), ("shadow_redis", store.shadow_redis)):
        if url and url != "embedded" and not url.startswith(_STORES):
            yield Level.ERROR, f"store.{name}", "must be embedded, or begin with redis://, rediss:// or unix://"
    if store.sentinel and embedded:
        yield (
            Level.ERROR,
            "store.sentinel",
            "needs store.redis to be a redis:// URL (user, password, database), not embedded",
        )
    if store.sentinel and not store.sentinel.nodes:
        yield Level.ERROR, "store.sentinel.nodes", "is empty; write host:port of each sentinel"
    if not settings.stamp_keys and not embedded:
        message = "is needed when the store is not embedded, the same on every host; `openssl rand -hex 32` makes one"
        yield Level.ERROR, "stamp_keys", message
    for index, key in enumerate(settings.stamp_keys):
        if len(key) < LONG_ENOUGH:
            yield (
                Level.ERROR,
                f"stamp_keys[{index}]",
                f"is shorter than {LONG_ENOUGH} characters; tickets could be forged",
            )
    if store.ca_file and not Path(store.ca_file).is_file():
        yield Level.ERROR, "store.ca_file", "names a file that does not exist"


def _runs(config: Config) -> Found:
    runs = config.settings.runs
    for key, value in (("runs.ttl", runs.ttl), ("runs.max_age", runs.max_age)):
        if value <= 0:
            yield Level.ERROR, key, "must be longer than nothing; runs keep their triple that long"
    if 0 < runs.max_age < runs.ttl:
        yield Level.WARNING, "runs.max_age", "is shorter than runs.ttl: tickets expire before their runs do"
    for index, source in enumerate(runs.sources):
        named = source.startswith("metadata.") and len(source) > len("metadata.")
        if source in {"state", "tool_calls"} or named or _HEADER.match(source):
            continue
        message = "is no source of run ids; write a header name, state, tool_calls or metadata.KEY"
        yield Level.ERROR, f"runs.sources[{index}]", message


def _providers(config: Config) -> Found:
    settings = config.settings
    if not settings.providers:
        yield Level.WARNING, "providers", "is empty: no request can be answered"
    for name, provider in settings.providers.items():
        key = f"providers.{shown(name)}"
        if name in RESERVED or not _PROVIDER.match(name):
            yield (
                Level.ERROR,
                key,
                "cannot be a provider's name; use lower-case letters, digits, dot, dash, and no route of ours",
            )
        yield from _provider(config, key, provider)
    for dialect, name in settings.default_provider.items():
        key = f"default_provider.{shown(dialect)}"
        if dialect not in DIALECTS:
            yield Level.ERROR, key, f"is no dialect{nearest(dialect, DIALECTS)}"
        if name not in settings.providers:
            yield Level.ERROR, key, f"names a provider that is not configured{nearest(name, settings.providers)}"


def _provider(config: Config, key: str, provider: ProviderSettings) -> Found:
    yield from _url(f"{key}.base_url", provider.base_url, provider)
    for index, endpoint in enumerate(provider.endpoints):
        yield from _url(f"{key}.endpoints[{index}].url", endpoint.url, provider)
        yield from _spoken(f"{key}.endpoints[{index}]", endpoint)
    if not provider.api_key.strip():
        message = "is empty; name the key, or write client to forward the caller's own"
        yield Level.ERROR, f"{key}.api_key", message
    if provider.background_api_key == "client":
        yield Level.ERROR, f"{key}.background_api_key", "cannot be client: nobody calls in the background"
    yield from _spoken(key, provider)
    if provider.ca_file and not Path(provider.ca_file).is_file():
        yield Level.ERROR, f"{key}.ca_file", "names a file that does not exist"
    if config.settings.auth == "keys" and provider.api_key == "client":
        message = "is client while auth is keys: callers must send x-trivet-key beside their own provider key"
        yield Level.WARNING, f"{key}.api_key", message


def _spoken(key: str, host: ProviderSettings | EndpointSettings) -> Found:
    """What a provider and an endpoint say in the same words."""
    for name in ("api_key", "background_api_key"):
        secret = getattr(host, name, "")
        if not secret.strip().isprintable() or not secret.isascii():
            yield Level.ERROR, f"{key}.{name}", "holds characters that no header can carry"
    if host.auth_header and host.auth_header.lower() not in AUTH_HEADERS:
        yield Level.ERROR, f"{key}.auth_header", f"must be one of {', '.join(AUTH_HEADERS)}"
    for index, dialect in enumerate(host.dialects):
        if dialect not in DIALECTS:
            yield Level.ERROR, f"{key}.dialects[{index}]", f"is no dialect{nearest(dialect, DIALECTS)}"
    for name, value in host.headers.items():
        if not _HEADER.match(name) or not value.isprintable() or not value.isascii():
            yield Level.ERROR, f"{key}.headers.{shown(name)}", "is no header that can be sent"


def _url(key: str, url: str, provider: ProviderSettings) -> Found:
    try:
        target(url, private=provider.allow_private)
    except AddressError as error:
        yield Level.ERROR, key, str(error)


def _aliases(config: Config) -> Found:
    settings = config.settings
    for name, alias in settings.aliases.items():
        key = f"aliases.{shown(name)}"
        if name.startswith("rel_"):
            yield Level.ERROR, key, "begins with rel_, which names releases"
        yield from _release(config, f"{key}.first_release", alias.first_release)
        for index, declared in enumerate(alias.shadow):
            yield from _release(config, f"{key}.shadow[{index}].release", declared.release)
        yield from _floating(key, alias)
    for index, each in enumerate(settings.keys):
        for model, name in each.aliases.items():
            if name.startswith("rel_"):
                yield Level.ERROR, f"keys[{index}].aliases.{shown(model)}", "must be an alias, not a release"


def _release(config: Config, key: str, release: ReleaseSettings) -> Found:
    yield from _model(config.settings, f"{key}.model", release.model)
    for leg, settings in (("prompt", release.prompt), ("tools", release.tools)):
        if settings is None:
            continue
        if settings.mode is Mode.AS_SENT:
            yield Level.WARNING, f"{key}.{leg}.mode", "is as-sent: the file is not used"
            continue
        path = config.resolve(settings.file)
        if not path.is_file():
            yield Level.ERROR, f"{key}.{leg}.file", "names a file that does not exist (relative to this file's folder)"
            continue
        try:
            leg_artifact(leg, settings.mode, path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            yield Level.ERROR, f"{key}.{leg}.file", f"cannot be released: {error}"
    params = release.params
    for part, names in (
        ("set", params.set),
        ("drop", params.drop),
        ("rename", (*params.rename, *params.rename.values())),
    ):
        for name in names:
            if name in _PINNED_MEMBERS:
                yield Level.ERROR, f"{key}.params.{part}", f"touches {name}, which the gateway decides itself"


def _model(settings: Settings, key: str, model: str) -> Found:
    try:
        snapshot = Snapshot.parse(model)
    except ValueError:
        yield Level.ERROR, key, "must be written provider/model-id, for example openai/gpt-4o-2024-08-06"
        return
    if snapshot.provider not in settings.providers:
        yield (
            Level.ERROR,
            key,
            f"names a provider that is not configured{nearest(snapshot.provider, settings.providers)}",
        )


def _floating(key: str, alias: AliasSettings) -> Found:
    if alias.allow_floating and alias.stakes.value != "standard":
        message = f"is a reason for stakes standard only; at {alias.stakes.value} it changes nothing"
        yield Level.WARNING, f"{key}.allow_floating", message
    if alias.strict and (alias.allow_floating or alias.stakes.value == "low"):
        yield Level.WARNING, f"{key}.strict", "guards pinned models only: a release that floats may resolve to any"
