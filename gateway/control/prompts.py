"""Prompts and toolsets that aliases are sent: learn them, list them, and say which no release declares.

Rule of the file: learning is a merge that counts every entry once, so it does not matter which process does it, or whether
several try. Values in holes are never written; a text that only one request had is kept for an hour at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.control.declared import Declarations, Declared, named, text_units
from gateway.control.desk import Desk, checked_reason
from gateway.core.contract.alias import Stakes
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.journal import Sightings
from gateway.core.contract.records import Accepted, HistoryEntry, TemplateList, TemplateRow
from gateway.core.templates import declare, learn
from gateway.core.templates.model import Cluster, Model, pack, shown, unpack
from gateway.store import aliases, templates
from gateway.store.templates import Kept, Text

LEGS = ("prompt", "tools")
AUTHOR = "learner"
"""Actor of what the learner writes into a history."""
NEWS = 8
"""Entries that one look writes into the history of an alias; the list tells all."""
MATCHED = 16
"""Undeclared templates that one look holds against the artifacts of releases."""
RETRIES = 3
QUIET_LOOKS = 10
PAUSE_LOOKS = 5
"""After so many looks that brought no new template, only every fifth looks: what is kept is written less often."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What one look brought, by alias and leg: requests found undeclared, and undeclared templates that stand."""

    requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    standing: Mapping[tuple[str, str], int] = field(default_factory=dict)
    news: tuple[tuple[str, str], ...] = ()
    """Alias and id of templates that were found undeclared now."""


@dataclass(slots=True)
class Batch:
    """What came for one alias since the last look, and what releases declare."""

    alias: str
    version: int
    stakes: Stakes
    sightings: list[tuple[str, Sightings]] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)
    declared: Mapping[str, Declared] = field(default_factory=dict)


class Learner:
    """One per background process."""

    def __init__(self) -> None:
        self._declarations = Declarations()
        self._quiet = 0
        self._begun = False

    async def look(self, desk: Desk) -> Learnt:
        """Learn from what came since the last look. Raises Fault when the store cannot be used."""
        store = desk.store
        self._quiet += 1
        if self._quiet > QUIET_LOOKS and self._quiet % PAUSE_LOOKS:
            return Learnt()
        before = {} if self._begun else await _standing(desk)
        self._begun = True
        seen = await templates.sightings(store)  # before the texts: a text is there before it is counted
        texts = await templates.texts(store)
        if not seen and not texts:
            return Learnt(standing=before)
        states = await aliases.every(store)
        batches: dict[str, Batch] = {}
        for alias in dict.fromkeys([entry.alias for _, entry in seen] + [text.alias for text in texts]):
            if alias in states:
                batches[alias] = Batch(alias, states[alias].version, desk.stakes(states[alias]))
        for identifier, entry in seen:
            if entry.alias in batches:
                batches[entry.alias].sightings.append((identifier, entry))
        for text in texts:
            if text.alias in batches and text.kind in LEGS:
                batches[text.alias].texts.append(text)
        results: list[Result] = []
        for batch in batches.values():
            wanted = {row.release for _, entry in batch.sightings for row in entry.seen}
            batch.declared = await self._declarations.of(desk, wanted | named(states[batch.alias]))
            result = await _merge(desk, batch)
            if result is None:
                return _summed(results, before)  # somebody else learns: what is left is theirs, and nothing is trimmed
            results.append(result)
            if result.stirred:
                self._quiet = 0
        await templates.trim(store, seen[-1][0] if seen else "", texts[-1].id if texts else "")
        return _summed(results, before)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one batch."""

    alias: str
    kept: Kept
    requests: Mapping[str, int]
    standing: Mapping[str, int]
    marked: Sequence[str]
    news: Sequence[HistoryEntry]
    stirred: bool
    """Whether a template came, went or was settled."""


async def _standing(desk: Desk) -> dict[tuple[str, str], int]:
    """What stands since before this process was there, so that an alarm outlives a restart."""
    found: dict[tuple[str, str], int] = {}
    for alias in await aliases.names(desk.store):
        kept = await templates.load(desk.store, alias)
        for at, leg in enumerate(LEGS):
            if kept.version:
                found[alias, leg] = len(declare.undeclared(_model(kept, at)))
    return found


async def _merge(desk: Desk, batch: Batch) -> Result | None:
    """Put a batch into what is kept of its alias; None when others were faster every time."""
    wanted = desk.settings.undeclared
    patience = declare.Patience(wanted.baseline_runs, int(wanted.baseline_time * 1000))
    for _ in range(RETRIES):
        kept = await templates.load(desk.store, batch.alias)
        result = await asyncio.to_thread(merged, kept, batch, patience, desk.now_ms)
        if await templates.save(desk.store, batch.alias, result.kept, result.marked, result.news):
            return result
    return None


def merged(kept: Kept, batch: Batch, patience: declare.Patience, now_ms: int) -> Result:
    """What is kept, with everything of the batch that is not in it yet. Pure; a damaged model begins anew."""
    models = {leg: _model(kept, at) for at, leg in enumerate(LEGS)}
    known = _settled(models.values())
    before = {leg: declare.requests(model) for leg, model in models.items()}
    text_id, seen_id = kept.text, kept.seen
    for text in batch.texts:
        if templates.after(text.id, text_id):
            text_id = text.id
            at_ms = int(text.id.partition("-")[0])
            learn.read(models[text.kind], text.kind, text.digest, text_units(text.kind, text.text), at_ms)
    for identifier, entry in batch.sightings:
        if not templates.after(identifier, seen_id):
            continue
        seen_id = identifier
        models["prompt"].unread += entry.unread
        for row in entry.seen:
            declared = batch.declared.get(row.release)
            governs = declared.governs if declared is not None else (False, False)
            for leg, digest, governed in zip(LEGS, (row.prompt, row.tools), governs, strict=True):
                if digest:
                    sight = declare.Sight(row.release, digest, row.n, row.runs, entry.at_ms, governed)
                    declare.count(models[leg], sight, patience)
    requests: dict[str, int] = {}
    standing: dict[str, int] = {}
    news: list[HistoryEntry] = []
    marked: list[str] = []
    for at, (leg, model) in enumerate(models.items()):
        learn.prune(model, now_ms)
        _match(model, at, batch.declared)
        requests[leg] = declare.more(model, before[leg])
        found = declare.undeclared(model)
        standing[leg] = len(found)
        marked += declare.marked(model, templates.MARKED // 2)
        fresh = [each for each in found if not each.told]
        for cluster in fresh:
            cluster.told = True
        news += [_news(batch, leg, model, each, now_ms) for each in fresh[:NEWS]]
    (prompts, young), (tools, young_tools) = (pack(models[leg]) for leg in LEGS)
    after = Kept(kept.version, seen_id, text_id, (prompts, tools), (young, young_tools))
    return Result(batch.alias, after, requests, standing, marked, news, _settled(models.values()) != known)


def _match(model: Model, at: int, declared: Mapping[str, Declared]) -> None:
    """Find the release whose artifact an undeclared prompt or toolset is, whatever release it was sent under."""
    for cluster in declare.undeclared(model)[:MATCHED]:
        cluster.declared = tuple(name for name, each in declared.items() if each.covers(at, cluster.units))


def _settled(models: Iterable[Model]) -> set[tuple[str, bool]]:
    return {(each.id, each.settled) for model in models for each in model.clusters}


def _model(kept: Kept, at: int) -> Model:
    try:
        return unpack(kept.lasting[at], kept.passing[at])
    except ValueError:
        return Model()


def _news(batch: Batch, leg: str, model: Model, cluster: Cluster, now_ms: int) -> HistoryEntry:
    """The entry of a history that says: this is on the wire, and nobody answers for it. A rollout's control loop reads it."""
    freezes = batch.stakes is Stakes.HIGH
    return HistoryEntry(
        at_ms=now_ms,
        actor=AUTHOR,
        action="undeclared",
        reason=f"{leg} {cluster.id}: {_share(model, cluster, now_ms):.0%} of the last day's requests, "
        f"{cluster.n} since it was first seen",
        version=batch.version,
        before=None,
        after=None,
        operation=f"undeclared:{cluster.id}",
        evidence=cluster.id,
        note="freezes the rollout" if freezes else "",
    )


def _summed(results: Sequence[Result], before: Mapping[tuple[str, str], int]) -> Learnt:
    return Learnt(
        {(each.alias, leg): n for each in results for leg, n in each.requests.items() if n},
        {**before, **{(each.alias, leg): n for each in results for leg, n in each.standing.items()}},
        tuple((each.alias, entry.evidence) for each in results for entry in each.news),
    )


async def listed(desk: Desk, alias: str) -> TemplateList:
    """Templates and toolsets of an alias, those of most requests first. Raises Fault 404 `alias_unknown`."""
    await desk.alias(alias)
    kept = await templates.load(desk.store, alias)
    rows: list[TemplateRow] = []
    unread = 0
    for at, leg in enumerate(LEGS):
        model = _model(kept, at)
        unread += model.unread
        found = [_row(alias, leg, model, each, desk.now_ms) for each in model.clusters]
        rows += sorted(found, key=lambda row: (-row.share, -row.requests, row.id))
    return TemplateList(alias, tuple(rows), unread)


async def undeclared(desk: Desk, alias: str = "") -> list[TemplateRow]:
    """What no release declares, of one alias or of all. Raises Fault 404 `alias_unknown`."""
    names = [alias] if alias else await aliases.names(desk.store)
    found = [await listed(desk, name) for name in names]
    return [row for each in found for row in each.templates if row.state == "undeclared"]


async def accept(desk: Desk, alias: str, identifier: str, reason: str) -> Accepted:
    """Answer for an undeclared template: it is counted no more. Who and why is in the alias's history.

    Raises Fault 404 `template_unknown`, 409 `template_busy` when it is being learnt all the time.
    """
    state, why = await desk.alias(alias), checked_reason(reason)
    for _ in range(2 * RETRIES):
        kept = await templates.load(desk.store, alias)
        models = {leg: _model(kept, at) for at, leg in enumerate(LEGS)}
        cluster = next((found for model in models.values() if (found := model.cluster(identifier)) is not None), None)
        if cluster is None:
            raise Fault(
                Kind.NOT_FOUND,
                "template_unknown",
                f"alias {alias} has no template {identifier}; `trivet alias prompts {alias}` lists them.",
                param="id",
            )
        if not cluster.undeclared and (cluster.settled or cluster.accepted):
            return Accepted(alias, identifier, changed=False)
        cluster.accepted = desk.actor
        (prompts, young), (tools, young_tools) = (pack(models[leg]) for leg in LEGS)
        after = msgspec.structs.replace(kept, lasting=(prompts, tools), passing=(young, young_tools))
        marked = [digest for model in models.values() for digest in declare.marked(model, templates.MARKED // 2)]
        entry = msgspec.structs.replace(desk.entry("accept", why), version=state.version, evidence=identifier)
        if await templates.save(desk.store, alias, after, marked, [entry]):
            return Accepted(alias, identifier, changed=True)
    raise Fault(
        Kind.CONFLICT, "template_busy", f"alias {alias} is being learnt from all the time; try again", retry=True
    )


def _row(alias: str, leg: str, model: Model, cluster: Cluster, now_ms: int) -> TemplateRow:
    return TemplateRow(
        id=cluster.id,
        alias=alias,
        leg=leg,
        state=_state(cluster),
        releases=cluster.declared or ((cluster.baseline,) if cluster.baseline else ()),
        accepted=cluster.accepted,
        first_ms=cluster.first_ms,
        last_ms=cluster.last_ms,
        requests=cluster.n,
        share=round(_share(model, cluster, now_ms), 4),
        text=shown(cluster.units) if cluster.settled else None,
    )


def _state(cluster: Cluster) -> str:
    if cluster.declared:
        return "declared"
    if cluster.accepted:
        return "accepted"
    if not cluster.settled:
        return "new"
    return "baseline" if cluster.baseline else "undeclared"


def _share(model: Model, cluster: Cluster, now_ms: int) -> float:
    whole = sum(each.recent(now_ms) for each in model.clusters)
    return cluster.recent(now_ms) / whole if whole else 0.0
