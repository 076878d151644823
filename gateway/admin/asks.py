"""What each operation of the admin port is asked with. Member names are a public interface, as the records of the answers are."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.admin.table import Ask
from gateway.core.contract.records import PointerWant

Reason = Annotated[str, msgspec.Meta(max_length=4000)]
"""Why; kept in the alias's history for ever. Must not be empty."""
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
"""A name or an id. What does not exist is answered 404, whatever characters it has: no oracle, no wildcards."""
Many = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class StoreAsk(Ask, frozen=True):
    """Restore pointers from this host's copy, or accept an empty store."""

    reason: Reason


class ReleaseList(Ask, frozen=True):
    """The newest releases."""

    limit: Many = 100


class ReleaseOne(Ask, frozen=True):
    """One release."""

    release: Id


class ReleaseDiffAsk(Ask, frozen=True):
    """Two releases: `release` before, `to` after."""

    release: Id
    to: Id


class ReleaseRuns(Ask, frozen=True):
    """Runs that are bound to a release."""

    release: Id
    since_ms: int = 0
    limit: Many = 100


class ReleaseBlock(Ask, frozen=True):
    """Stop or resume the runs of a release."""

    release: Id
    reason: Reason


class AliasOne(Ask, frozen=True):
    """One alias."""

    alias: Id


class AliasHistory(Ask, frozen=True):
    """The newest entries of an alias's history."""

    alias: Id
    limit: Many = 100


class Undeclared(Ask, frozen=True):
    """What no release declares."""

    alias: str = ""
    """One alias; without it all."""


class TemplateAccept(Ask, frozen=True):
    """Answer for an undeclared template or toolset."""

    alias: Id
    id: Id
    """As `alias prompts` lists it."""
    reason: Reason


class PointersApply(Ask, frozen=True):
    """A pointer file, as `alias export` writes it."""

    reason: Reason
    aliases: dict[Id, PointerWant]
    v: int = 1
    override: str = ""
    attested: str = ""


class Promote(Ask, frozen=True):
    """Move every lane of an alias to a release."""

    alias: Id
    release: Id
    reason: Reason
    override: str = ""
    """Name of the person who overrides a missing proof where the stakes allow it."""
    attested: str = ""
    """A person's statement that an id of class unpinnable or unknown is fixed."""


class Rollback(Ask, frozen=True):
    """Move lanes back to a release that was stable in them."""

    alias: Id
    reason: Reason
    lane: str = ""
    """One lane; without it every lane that serves the bad release."""
    to: str = ""
    """Default: the release before."""
    stop_runs: bool = False
    """Also block the bad release, so that its runs in flight stop with 409."""


class RunList(Ask, frozen=True):
    """Runs, newest first."""

    release: str = ""
    since_ms: int = 0
    limit: Many = 100


class RunOne(Ask, frozen=True):
    """One run of a tenant."""

    run: Id
    tenant: str = ""
    """Needed when several tenants have a run of this id."""


class RunRestartAsk(Ask, frozen=True):
    """A new run on the current releases of the aliases of an old one."""

    run: Id
    tenant: str = ""
    """Needed when several tenants have a run of this id."""
