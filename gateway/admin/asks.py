"""What each operation of the admin port is asked with. Member names are a public interface, as the records of the answers are."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gateway.admin.table import Ask
from gateway.core.contract.evidence import SuiteEvidence
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


class ShadowList(Ask, frozen=True):
    """Candidates that run alongside, or did."""

    alias: str = ""
    """One alias; without it all."""


class ShadowPlanAsk(Ask, frozen=True):
    """What a shadow would cost, and what it needs."""

    alias: Id
    candidate: Id
    rate: float = 0.1
    """Share of the runs, above 0 and at most 1."""
    secondary: float | None = None
    """Share of pairs for which the live release is asked a second time; by default what runs, or `shadow.secondary`."""
    until_ms: int = 0
    """End of the shadow; 0 is until it is stopped."""


class ShadowStart(Ask, frozen=True):
    """Run a candidate alongside, or change how it runs."""

    alias: Id
    candidate: Id
    reason: Reason
    rate: float = 0.1
    secondary: float | None = None
    until_ms: int = 0
    acknowledged: bool = False
    """Answers for what the plan's `acknowledge` names."""


class ShadowStop(Ask, frozen=True):
    """End a shadow."""

    alias: Id
    candidate: Id
    """A release, or `all`."""
    reason: Reason


class ShadowOne(Ask, frozen=True):
    """What a shadow found."""

    alias: Id
    candidate: str = ""
    """Needed when the alias had several."""
    since_ms: int = 0


class PairList(Ask, frozen=True):
    """Pairs of an alias."""

    alias: Id
    candidate: str = ""
    sort: Literal["severity", "time"] = "severity"
    limit: Many = 10


class LineList(Ask, frozen=True):
    """Whole lines of an alias, a page at a time."""

    alias: Id
    candidate: str = ""
    since_ms: int = 0
    before: str = ""
    """Cursor of the page before."""
    limit: Many = 500


class PairOne(Ask, frozen=True):
    """One pair."""

    pair: Id
    alias: str = ""
    """Spares the search through all aliases."""
    tenant: str = ""
    """Finds a pair whose line is gone from the stream."""


class RediffAsk(Ask, frozen=True):
    """Compare stored pairs again."""

    alias: Id
    since_ms: int = 0
    before: str = ""
    """Cursor of the piece before."""
    limit: Many = 500


class ReplayAsk(Ask, frozen=True):
    """Ask a candidate about the past."""

    alias: Id
    candidate: Id
    since_ms: int
    limit: Many = 1000
    """Newest requests that are asked again."""
    budget_micro: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Micro-USD after which no more is handed over; 0 is none but that of all shadows."""
    secondary: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2
    look: bool = False
    """Only tell how far it is."""


class TenantErase(Ask, frozen=True):
    """Take away everything that is stored of a tenant."""

    tenant: Id
    reason: Reason
    run: str = ""
    """Only this run of it."""
    cursor: str = ""
    """Of the piece before."""


class GateCheck(Ask, frozen=True):
    """The gate's word on a release, from the evidence there is."""

    alias: Id
    release: Id
    """The candidate."""
    incumbent: str = ""
    """What it would replace; by default what is stable in the lane `*`."""


class EvidenceImport(Ask, frozen=True):
    """Scores of two releases on one suite, from another engine."""

    alias: Id
    candidate: Id
    incumbent: Id
    suite: SuiteEvidence
    """Its name may be empty for the suite that the alias declares of this kind; its digest is set by the gateway."""
    engine: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    started_ms: int = 0
    ended_ms: int = 0
    """When the engine was done; 0 is now. Evidence ages from here."""
    models: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Release to the models that answered for it."""
    fallbacks: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Answers by another model than the release's."""
    note: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class EvidenceList(Ask, frozen=True):
    """The newest evidence of an alias."""

    alias: Id
    limit: Many = 100


class EvidenceOne(Ask, frozen=True):
    """One record."""

    digest: Id
    """Or its first eight digits and more."""


class DriftList(Ask, frozen=True):
    """Snapshots in use."""

    snapshot: str = ""
    """One, `provider/model-id`; without it all."""


class DriftAck(Ask, frozen=True):
    """What answers for a snapshot now is right."""

    snapshot: Id
    reason: Reason


class WarmList(Ask, frozen=True):
    """Releases that lanes can go back to."""

    alias: str = ""
    """One alias; without it all."""


class WarmProbe(Ask, frozen=True):
    """Ask every release of an alias now."""

    alias: Id


class DriftProbe(Ask, frozen=True):
    """Probe a release for a change of behaviour."""

    alias: Id
    release: str = ""
    """By default what is stable for everybody."""
    begin: bool = False
    """Begin a window where none is in progress."""
