"""Keeps what answers say of who gave them, and raises the alarm when that is another model.

Rule of the file: only models of releases are kept, and names that aliases were learnt under: what else clients ask for fills no
store. Every entry of the stream counts once, whoever reads it and however often; a note stands once in a history. One
process looks at a time, the one that leads. What is owed is written down before it is done, so whoever takes over does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import PinClass, Release, Snapshot
from gateway.core.contract.sentinel import Alarm, Epoch, Identity, Watched
from gateway.core.pinning.classify import classify, vendor_of
from gateway.core.pinning.identity import Moved, learn
from gateway.core.pinning.table import PinTable
from gateway.core.rollout.named import named
from gateway.settings.model import Settings
from gateway.store import aliases, epochs, releases
from gateway.store.client import Store
from gateway.telemetry import log as logs

log = logs.Log("drift")

AUTHOR = "sentinel"
"""Actor of what it writes into a history."""
SETTLE_MS = 5_000
"""Time between two looks at what is owed: notes of epochs that others opened, releases that were made meanwhile."""
ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look brought."""

    alarms: tuple[tuple[str, Alarm], ...] = ()
    """Snapshots whose new epoch was told now, with why it began."""
    moved: tuple[tuple[str, str, str], ...] = ()
    """Floating names that moved, with before and after."""
    standing: Mapping[str, Watched] | None = None
    """What is kept of each snapshot that an alias names; None where this look did not ask."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The aliases with every release that they name."""

    states: Mapping[str, AliasState]
    releases: Mapping[str, Release]

    def uses(self, snapshot: str) -> dict[str, list[str]]:
        """Aliases that name a snapshot, each with the roles that its releases on it have."""
        found: dict[str, list[str]] = {}
        for name, state in self.states.items():
            for role, release in named(state):
                kept = self.releases.get(release)
                if kept is not None and kept.triple.model == snapshot and role not in found.get(name, ()):
                    found.setdefault(name, []).append(role)
        return found

    def learnt(self) -> dict[str, list[str]]:
        """Floating names that aliases were learnt under, which stay on their pin, as snapshots: each with its aliases."""
        found: dict[str, list[str]] = {}
        for name, state in self.states.items():
            kept = [self.releases[lane.release] for lane in state.lanes.values() if lane.release in self.releases]
            for provider in {each.snapshot.provider for each in kept} if state.learned else ():
                found.setdefault(f"{provider}/{name.removeprefix(provider + '/')}", []).append(name)
        return found


@dataclass(slots=True)
class Watcher:
    """One per background process; asked to look only while it leads."""

    cursor: str = "0-0"
    settled_ms: int = -SETTLE_MS
    learnt: frozenset[str] | None = None
    """Floating names that are kept although no release has them; None before the first look."""

    async def look(self, store: Store, settings: Settings, pins: PinTable, now_ms: int) -> Looked:
        """Take in what workers told since the last look, and do what is owed. Raises Fault when the store cannot be used."""
        fresh = await epochs.identities(store, self.cursor)
        said: dict[str, list[tuple[str, Identity]]] = {}
        for identifier, entry in fresh:
            if entry.snapshot and (entry.release or entry.snapshot in await self._learnt(store)):
                said.setdefault(entry.snapshot, []).append((identifier, entry))
        moved: list[tuple[str, str, str]] = []
        stirred = False
        for snapshot, entries in said.items():
            found, moves = await _taken(store, snapshot, entries, pin_of(settings, pins, snapshot))
            stirred |= found
            moved += [(snapshot, each.before, each.after) for each in moves]
        if fresh:
            self.cursor = fresh[-1][0]
        if not stirred and 0 <= now_ms - self.settled_ms < SETTLE_MS:
            return Looked(moved=tuple(moved))
        survey = await surveyed(store)
        self.learnt = frozenset(survey.learnt())
        alarms, standing = await settle(store, survey, now_ms)
        self.settled_ms = now_ms
        return Looked(alarms, tuple(moved), standing)

    async def _learnt(self, store: Store) -> frozenset[str]:
        if self.learnt is None:
            self.learnt = frozenset((await surveyed(store)).learnt())
        return self.learnt


def pin_of(settings: Settings, pins: PinTable, snapshot: str) -> PinClass:
    """What the pinning table says of a snapshot; unknown at a provider that is not configured any more."""
    try:
        parsed = Snapshot.parse(snapshot)
    except ValueError:
        return PinClass.UNKNOWN
    provider = settings.providers.get(parsed.provider)
    if provider is None:
        return PinClass.UNKNOWN
    return classify(pins, vendor_of(parsed.provider, provider.base_url, provider.vendor), parsed.model).pin


async def settle(store: Store, survey: Survey, now_ms: int) -> tuple[tuple[tuple[str, Alarm], ...], dict[str, Watched]]:
    """Do what is owed for every snapshot that an alias names: notes of epochs that began with an alarm, and the mark on releases
    by which strict aliases refuse. What was told now, and how everything stands. Raises Fault."""
    wanted = sorted({kept.triple.model for kept in survey.releases.values()})
    kept = await epochs.load(store, wanted, strict=False)
    alarms: list[tuple[str, Alarm]] = []
    for snapshot, found in kept.items():
        epoch = found.watched.epoch
        if epoch.open and found.watched.told < epoch.number:
            await _tell(store, survey, snapshot, epoch, now_ms)
            if await epochs.change(store, snapshot, lambda known, number=epoch.number: _as_told(known, number)):  # type: ignore[misc]
                alarms.append((snapshot, epoch.alarm or Alarm.MODEL))
        mark = marked(snapshot, found.watched)
        for release in survey.releases.values():
            if release.triple.model == snapshot and release.drifted != mark:
                await releases.mark(store, release.id, mark)
    return tuple(alarms), {snapshot: found.watched for snapshot, found in kept.items()}


def marked(snapshot: str, watched: Watched) -> str:
    """What releases on a snapshot say of its drift: the epoch that began because another model answers, or nothing."""
    return f"{snapshot}@{watched.drifted}" if watched.drifted else ""


async def surveyed(store: Store) -> Survey:
    """The aliases that can be read, with every release they name. Raises Fault."""
    states = await _states(store)
    wanted = {release for state in states.values() for _, release in named(state)}
    return Survey(states, await releases.many(store, wanted))


async def _states(store: Store) -> dict[str, AliasState]:
    """Every alias; one that cannot be read is left out, so that the others do not wait for it."""
    try:
        return await aliases.every(store)
    except Fault as fault:
        if fault.code != "alias_unreadable":
            raise
    found: dict[str, AliasState] = {}
    for name in await aliases.names(store):
        try:
            state = await aliases.get(store, name)
        except Fault as fault:
            log.warning("an alias cannot be read", alias=name, problem=fault.message)
        else:
            found |= {name: state} if state is not None else {}
    return found


async def _taken(
    store: Store, snapshot: str, entries: Iterable[tuple[str, Identity]], pin: PinClass
) -> tuple[bool, list[Moved]]:
    """Take entries in; whether an epoch began, and the moves of a floating name, which then stand in the histories."""
    for _ in range(ATTEMPTS):
        kept = (await epochs.load(store, (snapshot,), strict=False)).get(snapshot)
        if kept is None:
            log.warning("what is kept of a snapshot cannot be read", model=snapshot)
            return False, []
        after, moves = _folded(kept.watched, entries, pin)
        if after == kept.watched:
            return False, []
        for identifier, move in moves:  # told first: whoever reads the entry again finds the note
            await _tell_move(store, snapshot, identifier, move)
        if await epochs.save(store, snapshot, kept, after):
            return after.epoch.number != kept.watched.epoch.number, [move for _, move in moves]
    log.warning("what is kept of a snapshot is changed all the time", model=snapshot)
    return False, []


def _folded(
    known: Watched, entries: Iterable[tuple[str, Identity]], pin: PinClass
) -> tuple[Watched, list[tuple[str, Moved]]]:
    moves: list[tuple[str, Moved]] = []
    for identifier, said in entries:
        if epochs.later(identifier, known.seen):
            known, move = learn(known, said, pin)
            known = msgspec.structs.replace(known, seen=identifier)
            moves += [(identifier, move)] if move is not None else []
    return known, moves


def _as_told(known: Watched, number: int) -> Watched | None:
    return msgspec.structs.replace(known, told=number) if known.told < number else None


async def _tell(store: Store, survey: Survey, snapshot: str, epoch: Epoch, now_ms: int) -> None:
    name = f"{snapshot}@{epoch.number}"
    where = f" at endpoint {epoch.endpoint}" if epoch.endpoint else ""
    told = f"{epoch.after} answers{where}, {epoch.before} did" if epoch.alarm is Alarm.MODEL else epoch.test
    log.warning("the model behind a snapshot changed", model=snapshot, result=told)
    for alias, roles in survey.uses(snapshot).items():
        entry = HistoryEntry(
            at_ms=now_ms,
            actor=AUTHOR,
            action="drift",
            reason=f"{snapshot}: {told}",
            version=survey.states[alias].version,
            before=None,
            after=None,
            operation=f"drift:{name}",
            evidence=name,
            note=f"it is the model of {' and '.join(roles)} here; `trivet drift status {snapshot}` says what to do",
        )
        await epochs.note(store, alias, entry)


async def _tell_move(store: Store, snapshot: str, identifier: str, move: Moved) -> None:
    """A floating name resolves to another model: a note in each alias that serves it, or was learnt under it."""
    survey = await surveyed(store)
    notes = {alias: f"it is the model of {' and '.join(roles)} here" for alias, roles in survey.uses(snapshot).items()}
    notes |= dict.fromkeys(survey.learnt().get(snapshot, ()), "this alias stays on its pin")
    for alias, note in notes.items():
        entry = HistoryEntry(
            at_ms=int(identifier.partition("-")[0]),
            actor=AUTHOR,
            action="moved",
            reason=f"{snapshot} resolves to {move.after}, before to {move.before}",
            version=survey.states[alias].version,
            before=None,
            after=None,
            operation=f"moved:{snapshot}:{identifier}",
            evidence=snapshot,
            note=note,
        )
        await epochs.note(store, alias, entry)
