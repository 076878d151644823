"""When the models of releases in use retire: the calendar of an installation, the way to each successor, and warnings ahead.

Rule of the file: a date comes from the provider's own endpoint or from the calendar and is told with its source; it refuses
nothing and moves nothing. Whoever cannot be looked up is unknown, and an operation that only wanted to warn goes on without.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from gateway.control.desk import Desk
from gateway.control.moves import candidate_of
from gateway.control.plans import planned
from gateway.core.contract.alias import AliasState, Lane, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Release, Snapshot, release_id
from gateway.core.contract.sentinel import LifecyclePath, LifecycleRow, Retirement
from gateway.core.pinning import lifecycle
from gateway.core.pinning.lifecycle import HORIZON, WARNINGS, Calendar
from gateway.core.rollout import manifest as manifests
from gateway.core.rollout.rigor import Refused, may_release
from gateway.settings import tables
from gateway.settings.shadows import refusals
from gateway.store import aliases, releases, snapshots

ACTION = "lifecycle"
"""Of the history entries that warn."""
ATTEST = " --attest 'NAME: WHY IT IS FIXED'"
"""What a person fills in where the stakes ask for an attestation,"""
OVERRIDE = " --override 'NAME: WHY NO SUITE SPEAKS FOR IT'"
"""and where they ask who answers for a missing GO."""


class Use(NamedTuple):
    """One place that names a release: the role is stable, candidate or warm; a candidate stands in every lane."""

    alias: str
    lane: str
    role: str
    release: str
    snapshot: str

    def __str__(self) -> str:
        return f"{self.alias} {self.lane} {self.role} {self.release}"


class Warned(NamedTuple):
    """A warning that went into an alias's history."""

    alias: str
    snapshot: str
    retires: str
    days_left: int


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything that is in use at one moment, and what is known of it."""

    states: Mapping[str, AliasState]
    releases: Mapping[str, Release]
    uses: tuple[Use, ...]
    known: Mapping[str, Retirement]
    """By snapshot."""
    now_ms: int

    def days(self, snapshot: str) -> int | None:
        """Days that a snapshot has left; None when nobody says."""
        found = self.known.get(snapshot)
        return lifecycle.days_left(found.retires, self.now_ms) if found is not None else None


async def survey(desk: Desk, calendar: Calendar) -> Survey:
    """Look at every release that an alias names as stable, candidate or warm. Raises Fault for the store."""
    states = await aliases.every(desk.store)
    named = [place for state in states.values() for place in _places(state)]
    found = await releases.many(desk.store, {release for *_, release in named})
    uses = tuple(Use(*place, found[place[3]].triple.model) for place in named if place[3] in found)
    return Survey(states, found, uses, await known(desk, calendar, {use.snapshot for use in uses}), desk.now_ms)


async def known(desk: Desk, calendar: Calendar, wanted: Iterable[str]) -> dict[str, Retirement]:
    """What is known of snapshots. Raises Fault for the store."""
    each = sorted(set(wanted))
    said = await snapshots.retirements(desk.store, each)
    return {name: lifecycle.retirement(name, _row(desk, calendar, name), said.get(name)) for name in each}


async def listed(desk: Desk) -> list[LifecycleRow]:
    """The calendar of what is in use: what retires first comes first, what nobody dates last. Raises Fault for the store."""
    calendar = tables.calendar()
    seen = await survey(desk, calendar)
    rows = [
        LifecycleRow(
            snapshot=name,
            used=tuple(str(use) for use in seen.uses if use.snapshot == name),
            retires=found.retires,
            days_left=seen.days(name),
            earliest=found.earliest,
            deprecated=found.deprecated,
            replacement=_successor(desk, calendar, name),
            source=found.source,
            read_ms=found.read_ms,
        )
        for name, found in seen.known.items()
    ]
    return sorted(rows, key=lambda row: (not row.retires, row.retires, row.snapshot))


async def paths(desk: Desk) -> list[LifecyclePath]:
    """For every stable release whose model retires within 90 days, or has: the commands that lead to its successor, the nearest
    first. Raises Fault for the store."""
    calendar = tables.calendar()
    seen = await survey(desk, calendar)
    found = []
    for state in seen.states.values():
        for release in dict.fromkeys(lane.release for lane in state.lanes.values()):
            record = seen.releases.get(release)
            days = seen.days(record.triple.model) if record is not None else None
            if record is not None and days is not None and days <= WARNINGS[0]:
                retires = seen.known[record.triple.model].retires
                successor = _successor(desk, calendar, record.triple.model)
                way = await _way(desk, state, record, successor, days)
                found.append(_path(desk, state, record, (retires, days), successor, way))
    return sorted(found, key=lambda path: (path.days_left, path.alias, path.release))


async def warn(desk: Desk, seen: Survey) -> list[Warned]:
    """Write a note into the history of each alias that names a model which retires in 90, 30 or 7 days: once each for every date.

    Raises Fault for the store; what was written stays written, and the next round goes on.
    """
    told = []
    for name, state in seen.states.items():
        mine = [use for use in seen.uses if use.alias == name]
        for snapshot in dict.fromkeys(use.snapshot for use in mine):
            days, found = seen.days(snapshot), seen.known[snapshot]
            due = lifecycle.warning(days)
            if days is None or due is None:
                continue
            date, at = await snapshots.warned(desk.store, snapshot, name)
            if date == found.retires and at <= due:
                continue
            places = ", ".join(f"{use.role} in {use.lane} ({use.release})" for use in mine if use.snapshot == snapshot)
            entry = desk.entry(
                ACTION,
                f"{snapshot} {retiring(found.retires, days)}: {places}",
                note=f"says {found.source}; `trivet lifecycle --plan` prints the way to a successor",
            )
            await aliases.note(desk.store, name, msgspec.structs.replace(entry, version=state.version))
            await snapshots.warn(desk.store, snapshot, name, found.retires, due)
            told.append(Warned(name, snapshot, found.retires, days))
    return told


async def outlook(desk: Desk, lanes: Mapping[str, Lane]) -> tuple[str, ...]:
    """What lanes that are about to stand so should warn of: a model that retires soon, and nothing left to roll back to.

    Never raises: what cannot be read warns of nothing.
    """
    try:
        named = {release for lane in lanes.values() for release in (lane.release, *lane.previous)}
        found = await releases.many(desk.store, named)
        models = {release: each.triple.model for release, each in found.items()}
        dates = await known(desk, tables.calendar(), models.values())
    except Fault:
        return ()
    left = {release: lifecycle.days_left(dates[model].retires, desk.now_ms) for release, model in models.items()}
    warnings = []
    for release in dict.fromkeys(lane.release for lane in lanes.values()):
        days = left.get(release)
        if days is not None and not lifecycle.callable_for(days):
            warnings.append(f"{models[release]} of {release} {retiring(dates[models[release]].retires, days)}")
    for name, lane in lanes.items():
        if lane.previous and lifecycle.leaves_nothing([left.get(release) for release in lane.previous]):
            ends = "; ".join(
                f"{models[each]} of {each} {retiring(dates[models[each]].retires, left[each] or 0)}"
                for each in lane.previous
            )
            warnings.append(
                f"within {HORIZON} days lane {name} has no release left to roll back to: {ends} (`trivet lifecycle`)"
            )
    return tuple(warnings)


def retiring(retires: str, days: int) -> str:
    """When a model retires, or did, as half a sentence."""
    if days < 0:
        return f"retired on {retires}"
    return f"retires on {retires}, {'today' if days == 0 else 'in 1 day' if days == 1 else f'in {days} days'}"


def _places(state: AliasState) -> list[tuple[str, str, str, str]]:
    """Alias, lane, role and release of everything that an alias names."""
    found = []
    for lane, pointer in state.lanes.items():
        found.append((state.name, lane, "stable", pointer.release))
        found += [(state.name, lane, "warm", release) for release in pointer.previous]
    candidate = candidate_of(state)
    return [*found, (state.name, "*", "candidate", candidate)] if candidate else found


def _vendor(desk: Desk, provider: str) -> str:
    """The vendor whose calendar applies to a provider, configured or no longer."""
    settings = desk.settings.providers.get(provider)
    if settings is None:
        return lifecycle.vendor_for(provider)
    return lifecycle.vendor_for(provider, settings.base_url, settings.vendor)


def _row(desk: Desk, calendar: Calendar, name: str) -> lifecycle.Row | None:
    snapshot = Snapshot.parse(name)
    return calendar.find(_vendor(desk, snapshot.provider), snapshot.model)


def _successor(desk: Desk, calendar: Calendar, name: str) -> str:
    """The successor of a snapshot at the same provider; empty when none is known."""
    snapshot = Snapshot.parse(name)
    model = lifecycle.successor(calendar, _vendor(desk, snapshot.provider), snapshot.model, desk.now_ms)
    return str(Snapshot(snapshot.provider, model)) if model else ""


class Way(NamedTuple):
    """How a candidate gets to everybody."""

    preset: str = ""
    """Of the rollout that the traffic of the last day suffices for; empty where it suffices for none."""
    skip_shadow: str = ""
    """Why there can be no shadow; empty where there can."""


async def _way(desk: Desk, state: AliasState, record: Release, successor: str, left: int) -> Way:
    """The first way that can be gone to its end, before the model retires where it has not. Raises Fault for the store."""
    if not successor:
        return Way()
    skip = ""
    snapshot = Snapshot.parse(successor)
    if {record.snapshot.provider, snapshot.provider} <= desk.settings.providers.keys():
        refused = next(refusals(desk.settings, record.snapshot, snapshot, 0.0), None)
        skip = refused.code if refused is not None and desk.stakes(state) is not Stakes.HIGH else ""
    for preset in ("default", "low-traffic"):
        manifest = {"kind": "Rollout", "alias": state.name, "release": record.id, "preset": preset}
        plan = manifests.plan_of(manifests.read({**manifest, "skip_shadow": skip} if skip else manifest))
        found = await planned(desk, state.name, record.id, plan)
        takes = found.forecast.days
        if not found.refused and (left < 0 or takes is None or takes < left):
            return Way(preset, skip)
    return Way("", skip)


def _path(
    desk: Desk, state: AliasState, record: Release, when: tuple[str, int], successor: str, way: Way
) -> LifecyclePath:
    lanes = tuple(name for name, lane in state.lanes.items() if lane.release == record.id)
    candidate, commands, notes = "", [], []
    if successor:
        candidate = release_id(msgspec.structs.replace(record.triple, model=successor))
        notes = _notes(desk, state, record, successor, candidate)
        if candidate_of(state) == candidate:
            commands = [f"trivet rollout status {shlex.quote(state.name)}"]
        else:
            notes += _on_the_way(desk, state, way)
            commands = _commands(desk, state, (record.id, candidate), successor, way)
        if len(commands) > 1 and any("--attest" in note for note in notes):
            commands[0] += ATTEST
            commands[-1] += ATTEST
    else:
        notes = [
            f"nobody names a successor of {record.triple.model}: choose one, and start with `trivet release create`"
        ]
    return LifecyclePath(
        alias=state.name,
        lanes=lanes,
        release=record.id,
        snapshot=record.triple.model,
        retires=when[0],
        days_left=when[1],
        successor=successor,
        candidate=candidate,
        commands=tuple(commands),
        notes=tuple(notes),
    )


def _commands(desk: Desk, state: AliasState, ids: tuple[str, str], successor: str, way: Way) -> list[str]:
    """What to paste; it asks nothing, for what is pasted after a question would answer it."""
    base, candidate = ids
    name = shlex.quote(state.name)
    why = f"--reason {shlex.quote(f'the model of {base} retires')}"
    commands = [f"trivet release create --base {base} --model {shlex.quote(successor)} --alias {name}"]
    if not way.preset and desk.stakes(state) is Stakes.HIGH:
        commands.append(f"trivet shadow start {name} --candidate {candidate} {why}")
    if _gated(desk, state):
        commands.append(f"trivet gate run {name} --release {candidate} --yes")
    if not way.preset:
        override = "" if _gated(desk, state) or desk.stakes(state) is not Stakes.STANDARD else OVERRIDE
        return [*commands, f"trivet rollout promote {name} --release {candidate} {why}{override}"]
    file = shlex.quote(f"rollout-{state.name.replace('/', '-').replace(':', '-')}.yaml")
    lines = [f"alias: {state.name}", f"release: {candidate}", *([f"preset: {way.preset}"] * (way.preset != "default"))]
    if way.skip_shadow:
        lines.append(f"skip_shadow: {way.skip_shadow}")
    wanted = " ".join(shlex.quote(line) for line in ("kind: Rollout", *lines))
    return [
        *commands,
        f"printf '%s\\n' {wanted} > {file}",
        f"trivet rollout start -f {file} --yes {why}",
    ]


def _gated(desk: Desk, state: AliasState) -> bool:
    declared = desk.settings.aliases.get(state.name)
    return declared is not None and declared.gate is not None


def _on_the_way(desk: Desk, state: AliasState, way: Way) -> list[str]:
    """What follows from how it goes to everybody."""
    notes = []
    if way.skip_shadow and way.preset:
        notes.append(f"without a shadow ({way.skip_shadow}): `trivet shadow start` says what would change that")
    if not way.preset:
        notes.append(
            "the last day's traffic is too little for a rollout in stages in the time left, so everybody moves at once"
        )
        if desk.stakes(state) is Stakes.HIGH:
            notes.append("the promotion is refused until enough pairs were compared: `trivet shadow report` tells")
        elif not _gated(desk, state) and desk.stakes(state) is Stakes.STANDARD:
            notes.append("no suite speaks for it, so somebody has to answer for that by name")
    elif not _gated(desk, state):
        notes.append(f"once it waits for the gate: `trivet rollout override {state.name} --name NAME --reason '...'`")
    if way.preset:
        notes.append(f"then it goes on by itself: `trivet rollout status {state.name} --watch`")
    return notes


def _notes(desk: Desk, state: AliasState, record: Release, successor: str, candidate: str) -> list[str]:
    """What to know or decide before the commands are typed."""
    snapshot, notes = Snapshot.parse(successor), []
    declared = desk.settings.aliases.get(state.name)
    settings = desk.settings.providers.get(snapshot.provider)
    if settings is not None:
        allow = declared.allow_floating if declared is not None else ""
        stakes, pin = desk.stakes(state), desk.verdict(snapshot).pin
        if isinstance(may_release(stakes, pin, allow_floating=allow), Refused):
            notes.append(
                f"{successor} is {pin.value}, which the stakes {stakes.value} take with --attest only, if at all"
            )
        if settings.endpoints and not any(
            not each.models or snapshot.model in each.models for each in settings.endpoints
        ):
            notes.append(f"no endpoint of {snapshot.provider} serves {snapshot.model} yet: add it to `models` of one")
    if declared is None or declared.gate is None:
        notes.append(
            f"{state.name} declares no suites, which would speak for a successor: aliases.{state.name}.gate names them"
        )
    if record.triple.params.set:
        notes.append(f"check that {successor} takes the params that are set: {', '.join(record.triple.params.set)}")
    if candidate_of(state):
        if candidate_of(state) == candidate:
            notes.append("a rollout of it is in progress")
        else:
            notes.append(f"a rollout of {candidate_of(state)} is in progress: it ends first, or `--supersede` ends it")
    return notes
