"""Gate evidence as operators use it: the verdict on a candidate, what is stored, and what is brought from outside.

Rule of the file: a verdict is computed when it is asked for, from what is stored and the policy in force; none is stored. What
is imported is its author's word: it is labelled so, bound to the two releases he names, and never taken at stakes `high`.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import fsum

import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.alias import EVERYONE, Stakes
from gateway.core.contract.evidence import Evidence, GateReport, Origin, SuiteEvidence
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.proofs import EvidenceDetail, EvidenceRow, EvidenceStored, SuiteRow
from gateway.core.contract.release import Release
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate import whole
from gateway.core.gate.policy import Policy
from gateway.core.gate.stale import Wanted
from gateway.core.gate.suite import SuiteError
from gateway.core.gate.verdict import judge
from gateway.settings import gates
from gateway.store import aliases
from gateway.store import epochs as drift
from gateway.store import evidence as stored
from gateway.store import releases as records

OF_PAIR = 50
"""Newest records of the same two releases that are judged."""
OF_OTHERS = 5
"""Newest records of other releases that are looked at, to say what is wrong with them."""
DIGEST_LENGTH = 64
SHORTEST = 8
"""Digits by which a record may be named."""


class Import(msgspec.Struct, frozen=True):
    """What is brought: one suite's scores of two releases. Times are the engine's own; 0 is now."""

    alias: str
    candidate: str
    incumbent: str
    suite: SuiteEvidence
    """Its name may be empty for the one that the alias declares of this kind; its digest is set here."""
    engine: str
    started_ms: int = 0
    ended_ms: int = 0
    models: dict[str, tuple[str, ...]] = {}
    fallbacks: int = 0
    note: str = ""


def policy_for(desk: Desk, alias: str) -> Policy:
    """What the alias's gate asks for, from the configuration; no suites where it declares none."""
    declared = desk.settings.aliases.get(alias)
    return gates.policy(declared) if declared is not None else Policy()


async def epochs(desk: Desk, *releases: str, since_ms: int | None = None) -> dict[str, int]:
    """Drift epochs now, by snapshot, of these releases; with `since_ms` those that had begun by then. A snapshot that was never seen
    to drift is left out. Raises Fault."""
    found = await records.many(desk.store, releases)
    return await drift.numbers(desk.store, [kept.triple.model for kept in found.values()], since_ms)


async def report_for(desk: Desk, alias: str, candidate: str, incumbent: str) -> GateReport:
    """The gate's word on `candidate` in place of `incumbent`, from the evidence stored, as of `desk.now_ms`.

    Asks the store four times, twice more where there is a judge. Raises Fault when it cannot be read; it does not look whether alias and releases exist.
    """
    found = await _related(desk, alias, candidate, incumbent)
    policy = policy_for(desk, alias)
    wanted = Wanted(
        alias=alias,
        candidate=candidate,
        incumbent=incumbent,
        now_ms=desk.now_ms,
        epochs=await epochs(desk, candidate, incumbent),
        judge_epochs=await epochs(desk, policy.judge) if policy.judge else {},
    )
    return judge(found, policy, wanted)


async def check(desk: Desk, alias: str, candidate: str, incumbent: str = "") -> GateReport:
    """The same for a person: by default against the release that everybody has. Raises Fault 404 for unknown names."""
    state = await desk.alias(alias)
    await desk.release(candidate)
    against = incumbent or state.lanes[EVERYONE].release
    await desk.release(against)
    return await report_for(desk, alias, candidate, against)


async def listed(desk: Desk, alias: str, limit: int = 100) -> list[EvidenceRow]:
    """Evidence of an alias, newest first. Raises Fault 404 `alias_unknown`."""
    await desk.alias(alias)
    entries = await stored.index(desk.store, alias)
    found = await stored.many(desk.store, [entry.digest for entry in entries[:limit]])
    return [_row(digest, made) for digest, made in found.items()]


async def show(desk: Desk, digest: str) -> EvidenceDetail:
    """One record by its digest or at least the first eight digits of it, with the verdict on its releases now.

    Raises Fault 404 `evidence_unknown`, 409 `evidence_ambiguous`.
    """
    whole_digest = digest if len(digest) == DIGEST_LENGTH else await _search(desk, digest)
    found = await stored.get(desk.store, whole_digest) if whole_digest else None
    if found is None:
        message = f"there is no evidence {digest[:DIGEST_LENGTH]}; `trivet evidence list ALIAS` shows what there is"
        raise Fault(Kind.NOT_FOUND, "evidence_unknown", message, param="digest")
    report = await report_for(desk, found.alias, found.candidate, found.incumbent)
    return EvidenceDetail(digest=whole_digest, evidence=found, report=report)


async def bring(desk: Desk, ask: Import) -> EvidenceStored:
    """Store evidence from outside, labelled so.

    Raises Fault: 404 for unknown names, 409 `import_refused` at stakes `high`, 400 `suite_needed`, `other_items` or
    `bad_scores`, 413 `evidence_too_large`.
    """
    state = await desk.alias(ask.alias)
    if desk.stakes(state) is Stakes.HIGH:
        message = (
            f"alias {ask.alias} has stakes `high`: only runs through this gateway are evidence for it. "
            f"`trivet gate run {ask.alias} --release {ask.candidate}` makes them."
        )
        raise Fault(Kind.CONFLICT, "import_refused", message)
    releases = {name: await desk.release(name) for name in (ask.candidate, ask.incumbent)}
    wrong = next(whole.problems(ask.suite), None)
    if wrong is not None:
        raise Fault(Kind.BAD_REQUEST, "bad_scores", f"the scores cannot be: {wrong}", param="suite")
    suite, warnings = _placed(desk, ask)
    ended = min(ask.ended_ms or desk.now_ms, desk.now_ms)
    made = Evidence(
        alias=ask.alias,
        candidate=ask.candidate,
        incumbent=ask.incumbent,
        origin=Origin.IMPORTED,
        engine=ask.engine[:128],
        actor=desk.actor,
        started_ms=min(ask.started_ms or ended, ended),
        ended_ms=ended,
        suites=(suite,),
        models=ask.models,
        epochs=await epochs(desk, ask.candidate, ask.incumbent, since_ms=min(ask.started_ms or ended, ended)),
        fallbacks=ask.fallbacks,
        note=ask.note[:1000],
    )
    digest, new = await stored.put(desk.store, made)
    report = await report_for(desk, ask.alias, ask.candidate, ask.incumbent)
    warnings += _models(releases, ask.models)
    return EvidenceStored(digest, new, _row(digest, made), report, tuple(warnings))


def _placed(desk: Desk, ask: Import) -> tuple[SuiteEvidence, list[str]]:
    """The suite under its full name, with the digest that the policy knows it by where its items are the same."""
    declared = {each.suite: each for each in policy_for(desk, ask.alias).suites}
    of_kind = [each for each in declared.values() if each.kind is ask.suite.kind]
    name = ask.suite.suite or (of_kind[0].suite if of_kind else "")
    if not name:
        kind = ask.suite.kind.value
        message = f"say which suite it is, NAME@VERSION: alias {ask.alias} declares none of kind {kind}"
        raise Fault(Kind.BAD_REQUEST, "suite_needed", message, param="suite")
    digest = whole.items_digest(ask.suite)
    known = declared.get(name)
    warnings: list[str] = []
    if known is None:
        told = ", ".join(declared) or "none"
        warnings.append(f"no verdict rests on it: the alias declares {told}, not {name}")
    elif not known.external:
        digest = _same_items(desk, ask, known.kind, known.digest)
    return msgspec.structs.replace(ask.suite, suite=name, digest=digest), warnings


def _same_items(desk: Desk, ask: Import, kind: SuiteKind, digest: str) -> str:
    gate = desk.settings.aliases[ask.alias].gate
    where = gates.named(gate)[kind] if gate is not None else ""
    try:
        known = {item.id for item in gates.read(where, kind).items}
    except SuiteError as error:
        raise Fault(Kind.BAD_REQUEST, "other_items", f"the declared suite cannot be read: {error}") from error
    brought = {score.item for score in ask.suite.scores}
    if known != brought:
        message = (
            f"the scores are not of the suite declared: {len(known - brought)} of its items are missing and "
            f"{len(brought - known)} are others. Name the suite as external/NAME@VERSION under "
            f"`aliases.{ask.alias}.gate.{kind.value}` if another engine has its own items."
        )
        raise Fault(Kind.BAD_REQUEST, "other_items", message, param="suite")
    return digest


def _models(releases: dict[str, Release], models: dict[str, tuple[str, ...]]) -> list[str]:
    """What an engine says answered, where that is neither the release nor its model."""
    told: list[str] = []
    for name, release in releases.items():
        known = (name, release.snapshot.model, str(release.snapshot))
        others = [model for model in models.get(name, ()) if not model.endswith(known)]
        if others:
            told.append(
                f"the log says that {', '.join(others[:3])} answered for {name}, whose model is {release.snapshot}"
            )
    return told


async def _related(desk: Desk, alias: str, candidate: str, incumbent: str) -> list[Evidence]:
    entries = await stored.index(desk.store, alias)
    same = [each.digest for each in entries if (each.candidate, each.incumbent) == (candidate, incumbent)]
    others = [each.digest for each in entries if (each.candidate, each.incumbent) != (candidate, incumbent)]
    wanted = [*same[:OF_PAIR], *others[:OF_OTHERS]]
    return list((await stored.many(desk.store, wanted)).values()) if wanted else []


async def _search(desk: Desk, begins: str) -> str:
    """The digest that begins so; nothing when there is none."""
    if len(begins) < SHORTEST:
        return ""
    found = {
        entry.digest
        for alias in await aliases.names(desk.store)
        for entry in await stored.index(desk.store, alias)
        if entry.digest.startswith(begins)
    }
    if len(found) > 1:
        message = f"{len(found)} records begin with {begins}; give more digits"
        raise Fault(Kind.CONFLICT, "evidence_ambiguous", message, param="digest")
    return next(iter(found), "")


def _row(digest: str, made: Evidence) -> EvidenceRow:
    return EvidenceRow(
        digest=digest,
        candidate=made.candidate,
        incumbent=made.incumbent,
        origin=made.origin,
        engine=made.engine,
        actor=made.actor,
        ended_ms=made.ended_ms,
        suites=tuple(_suite_row(suite) for suite in made.suites),
        fallbacks=made.fallbacks,
        note=made.note,
    )


def _suite_row(suite: SuiteEvidence) -> SuiteRow:
    return SuiteRow(
        suite=suite.suite,
        kind=suite.kind,
        items=len(suite.scores),
        repeats=suite.repeats,
        unscored=suite.unscored,
        candidate=_mean(value for score in suite.scores for value in score.candidate),
        incumbent=_mean(value for score in suite.scores for value in score.incumbent),
    )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return fsum(found) / len(found) if found else 0.0
