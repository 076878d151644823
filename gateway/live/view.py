"""The settings as the live path wants them: one immutable view, every look-up prepared.

A reload builds a new `View` and swaps it in one assignment; a request keeps the view it was admitted under.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.core.binding import internal
from gateway.core.dialect import routes
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.prices import glob
from gateway.live.digests import Digests
from gateway.live.ledger import DEFAULT_TENANT, Ledger
from gateway.settings.endpoints import dialects
from gateway.settings.model import RIGHTS
from gateway.settings.prices import NO_LIST, PriceBook

if TYPE_CHECKING:
    from gateway.core.dialect.legs import Legs
    from gateway.core.dialect.routes import Route
    from gateway.core.pinning.prices import PriceTable
    from gateway.core.pinning.table import PinTable
    from gateway.live.account import Account
    from gateway.settings.model import ProviderSettings, Settings

ROUTES_KEPT = 4096
"""Paths whose route is remembered; ids in paths would otherwise grow the memory of a worker without end."""
VENDOR_OF_DIALECT = {"openai": "openai", "responses": "openai", "anthropic": "anthropic", "gemini": "google"}
"""Whose own wire format a dialect is: that vendor's provider takes paths that name no alias."""


LIVE = "live"
"""Role of what agents ask; the calls of shadow, gate and probe count under their own names."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sends a request: resolved once per key, not per request."""

    tenant: str
    segment: str
    rights: frozenset[str]
    aliases: Mapping[str, str]
    accounts: tuple[Account, ...] = ()
    """Where its requests count: the key's account and the tenant's, as far as they have limits."""
    allow: tuple[re.Pattern[str], ...] = ()
    """What an alias or model name must match, each of them, to exist for this caller."""
    role: str = LIVE
    """Who asks: agents, or one of `internal.ROLES` for calls of the gateway itself."""

    def may(self, name: str) -> bool:
        """Whether a name exists for this caller."""
        return not self.allow or all(pattern.fullmatch(name) for pattern in self.allow)


@dataclass(frozen=True, slots=True)
class Target:
    """What goes upstream for one model: provider, the name that provider knows it by, that name as a member edit, and the
    path, with the name in it where the dialect has it there."""

    provider: str
    model: str
    edit: Mapping[str, bytes | None]
    path: str
    several: bool = False
    """The provider has several endpoints (`live.spread`)."""


class View:
    """The settings as the live path wants them: every look-up prepared, nothing computed per request that could be computed here."""

    __slots__ = (
        "answered",
        "auth",
        "callers",
        "default_provider",
        "digests",
        "ledger",
        "legs",
        "lists",
        "marked",
        "marks",
        "max_age",
        "open_caller",
        "own_callers",
        "pins",
        "prices",
        "provider_names",
        "providers",
        "routes",
        "run_sources",
        "serve",
        "settings",
        "split_secret",
        "spoken",
        "spread",
        "stamp_keys",
        "targets",
        "toolsets",
        "unmanaged",
        "vendors",
        "version",
        "watched",
    )

    def __init__(
        self,
        settings: Settings,
        pins: PinTable,
        stamp_keys: tuple[bytes, ...],
        version: str,
        *,
        prices: PriceTable = NO_LIST,
        ledger: Ledger | None = None,
    ) -> None:
        """`ledger` holds the accounts that limits count in, over reloads; without one they are this view's own."""
        self.settings = settings
        self.version = version
        self.pins = pins
        self.auth = settings.auth
        self.unmanaged = settings.unmanaged
        self.serve = settings.serve
        self.max_age = settings.runs.max_age
        self.stamp_keys = stamp_keys
        self.split_secret = sha256(b"split\0" + stamp_keys[0]).digest()
        self.provider_names = frozenset(settings.providers)
        self.providers: Mapping[str, ProviderSettings] = settings.providers
        self.vendors = {name: vendor_of(name, p.base_url, p.vendor) for name, p in settings.providers.items()}
        self.prices = PriceBook(settings.providers, self.vendors, prices)
        self.spread = any(len(p.endpoints) > 1 for p in settings.providers.values())
        """Some provider has several endpoints, so who keeps state is more than which provider."""
        self.watched = frozenset(name for name, alias in settings.aliases.items() if alias.probes is not None)
        """Aliases whose answers are read for calls and JSON that fit no schema, rollout or not."""
        self.spoken = {name: dialects(name, p) for name, p in settings.providers.items()}
        """What the endpoints of a provider speak; empty means any."""
        self.default_provider = {d: self._default(settings, d) for d in VENDOR_OF_DIALECT}
        self.run_sources = tuple(s.lower() for s in settings.runs.sources)
        self.routes: dict[str, Route] = {}
        self.marks: dict[tuple[str, ...], bytes] = {}
        """Ready header lines, by what they say (`live.stamps`)."""
        self.marked: dict[tuple[str, str, str, int, str], tuple[bytes, bytes]] = {}
        """The same of runs, with their tickets (`live.stamps`)."""
        self.targets: dict[tuple[str, str, str, str], Target] = {}
        """Where a release's model goes, by model, and dialect, path and provider of the route (`live.rewrite`)."""
        self.legs: dict[str, Legs | None] = {}
        """Prompt and tools of releases, parsed, by release (`live.legs`)."""
        self.toolsets: dict[str, str] = {}
        """Neutral digest of toolsets that were sent, by the sha256 of their bytes (`live.legs`)."""
        self.answered: dict[bytes, bool] = {}
        """Which fields of an answer clients get, by name (`live.answers`)."""
        self.digests = Digests()
        """Of prompts and toolsets as sent."""
        self.lists: dict[bytes, tuple[Mapping[str, str], frozenset[str]]] = {}
        """Digests that a value of `x-trivet-tools` names, with the labels it was read by (`live.eligible`)."""
        every = frozenset(RIGHTS)
        rights = every if settings.auth == "none" else every - {"learn"}
        self.ledger = ledger or Ledger()
        self.ledger.renew(settings)
        allowed = {name: allow(tenant.allow) for name, tenant in settings.tenants.items()}
        everybody = self.ledger.everybody if settings.auth != "keys" else ()
        self.open_caller = Caller(DEFAULT_TENANT, "", rights, {}, everybody, allowed.get(DEFAULT_TENANT, ()))
        self.callers = dict(_callers(settings, self.ledger, allowed))
        self.own_callers = dict(_own_callers())
        """Who the gateway itself is when it calls, by role: without limits, and only releases exist for it."""

    def _default(self, settings: Settings, dialect: str) -> str:
        named = settings.default_provider.get(dialect)
        if not named and dialect == "responses":
            named = settings.default_provider.get("openai")
        if named:
            return named
        vendor = VENDOR_OF_DIALECT[dialect]
        return next((name for name, v in self.vendors.items() if v == vendor), "")

    def route(self, path: str) -> Route:
        """The route of a path, remembered within a bound."""
        known = self.routes.get(path)
        if known is None:
            if len(self.routes) >= ROUTES_KEPT:
                self.routes.clear()
            known = self.routes[path] = routes.find(path, self.provider_names)
        return known


def _callers(
    settings: Settings, ledger: Ledger, allowed: Mapping[str, tuple[re.Pattern[str], ...]]
) -> Iterator[tuple[bytes, Caller]]:
    """The callers by the digest of their key."""
    segments = {tenant: name for name, tenants in settings.segments.items() for tenant in tenants}
    for key in settings.keys:
        yield (
            bytes.fromhex(key.sha256),
            Caller(
                key.tenant,
                key.segment or segments.get(key.tenant, ""),
                frozenset(key.rights),
                key.aliases,
                ledger.keys[key.sha256],
                allow(key.allow) + allowed.get(key.tenant, ()),
            ),
        )


def _own_callers() -> Iterator[tuple[str, Caller]]:
    releases = (re.compile(r"rel_[0-9a-f]+"),)
    for role in internal.ROLES:
        yield role, Caller(internal.TENANT + role, "", frozenset({"pin-release"}), {}, (), releases, role)


def allow(names: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """The pattern that a list of allowed names makes; none for an empty list, which allows all."""
    return (re.compile("|".join(glob(name).pattern for name in names), re.DOTALL),) if names else ()
