"""Drift as operators see it: which snapshots are in which epoch and why, what to do, and that what answers now is right.

Rule of the file: acknowledging moves no pointer and thaws no rollout. It says what counts from now on, and leaves the rest to who
said it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import msgspec

from gateway.control import drift_windows
from gateway.control.desk import Desk, checked_reason
from gateway.core.contract.alias import AliasState, Lane
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import PinClass, Release, Snapshot
from gateway.core.contract.rollout import Phase
from gateway.core.contract.sentinel import (
    Alarm,
    Callable,
    DriftAcknowledged,
    DriftRow,
    DriftSeen,
    DriftTest,
    DriftUse,
    Epoch,
    Proof,
    Watched,
)
from gateway.core.pinning.identity import acknowledged
from gateway.core.rollout.named import CANDIDATE, STABLE, named
from gateway.store import aliases, epochs, proofs, releases

MARKED = 1000
"""Newest releases that are looked through for marks of an epoch."""
HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Survey:
    """The aliases, every release that they name, and what is known of whether those can be called."""

    states: Mapping[str, AliasState]
    releases: Mapping[str, Release]
    proofs: Mapping[str, Callable]
    open: frozenset[str] = frozenset()
    """Snapshots with an alarm that nobody has acknowledged, as far as looked up: none of them is a way back."""

    def uses(self, snapshot: str) -> tuple[DriftUse, ...]:
        """Who names a snapshot."""
        return tuple(
            DriftUse(name, role, release)
            for name, state in self.states.items()
            for role, release in named(state)
            if release in self.releases and self.releases[release].triple.model == snapshot
        )


async def status(desk: Desk, snapshot: str = "") -> list[DriftRow]:
    """The snapshots that aliases name, those with an open epoch first; or one of them. Raises Fault 404 `snapshot_unknown`."""
    survey = await _survey(desk)
    names = wanted = {release.triple.model for release in survey.releases.values()}
    if snapshot:
        wanted = {snapshot} if await _known(desk, survey, snapshot) else set()
    kept = await epochs.load(desk.store, sorted(names | wanted))
    survey = replace(survey, open=frozenset(name for name, found in kept.items() if found.watched.open))
    tests = await drift_windows.watched(
        desk.store, [name for name in wanted if snapshot or _probed(desk, survey, name)]
    )
    rows = [_row(desk, survey, name, kept[name].watched, tests.get(name, ())) for name in wanted if name in kept]
    return sorted(rows, key=lambda row: (not row.open, row.snapshot))


async def acknowledge(desk: Desk, snapshot: str, reason: str) -> DriftAcknowledged:
    """Take what answers for a snapshot now for the reference: a new epoch, told in the history of every alias that names it.

    Rollouts that it froze stay frozen until somebody resumes them; strict aliases take new runs again. Asking twice is harmless.
    Raises Fault 404 `snapshot_unknown`.
    """
    why = checked_reason(reason)
    survey = await _survey(desk)
    await _known(desk, survey, snapshot)
    after = await epochs.change(
        desk.store, snapshot, lambda known: acknowledged(known, desk.now_ms) if known.open else None
    )
    await _unmark(desk, survey, snapshot)
    if after is None:
        known = (await epochs.load(desk.store, (snapshot,)))[snapshot].watched
        right = tuple(sorted(known.names))
        return DriftAcknowledged(snapshot, known.epoch.number, changed=False, reference=right, aliases=(), frozen=())
    uses = survey.uses(snapshot)
    name = f"{snapshot}@{after.epoch.number}"
    for alias in dict.fromkeys(use.alias for use in uses):
        entry = msgspec.structs.replace(
            desk.entry("drift_ack", f"{snapshot}: {why}"),
            version=survey.states[alias].version,
            operation=f"drift_ack:{name}",
            evidence=name,
        )
        await epochs.note(desk.store, alias, entry)
    return DriftAcknowledged(
        snapshot=snapshot,
        epoch=after.epoch.number,
        changed=True,
        reference=tuple(sorted(after.names)),
        aliases=tuple(dict.fromkeys(use.alias for use in uses)),
        frozen=tuple(name for name, state in survey.states.items() if _frozen(state, snapshot)),
    )


async def outlook(desk: Desk, alias: str, lanes: Mapping[str, Lane]) -> tuple[str, ...]:
    """What lanes that are about to stand so, or stand so now, should warn of: their release is on a model that is not what it was.

    Never raises: what cannot be read warns of nothing.
    """
    try:
        found = await releases.many(desk.store, {lane.release for lane in lanes.values()})
        kept = await epochs.load(desk.store, sorted({each.triple.model for each in found.values()}), strict=False)
    except Fault:
        return ()
    declared = desk.settings.aliases.get(alias)
    strict = declared is not None and declared.strict
    warnings = []
    for release in found.values():
        watched = kept[release.triple.model].watched if release.triple.model in kept else Watched()
        if not watched.open:
            continue
        epoch = watched.epoch
        told = f"{epoch.after} answers in place of {epoch.before}" if epoch.alarm is Alarm.MODEL else epoch.test
        closed = f"; {alias} is strict and takes no new run on it" if strict and watched.drifted else ""
        warnings.append(
            f"{release.triple.model} of {release.id} is not the model that it was, epoch {epoch.number}: {told}{closed} "
            f"(`trivet drift status {release.triple.model}` names the way)"
        )
    return tuple(warnings)


async def _survey(desk: Desk) -> Survey:
    states = await aliases.every(desk.store)
    wanted = {release for state in states.values() for _, release in named(state)}
    found = await releases.many(desk.store, wanted)
    return Survey(states, found, await proofs.get(desk.store, found))


async def _known(desk: Desk, survey: Survey, snapshot: str) -> bool:
    """Whether an alias names the snapshot or something is kept of it. Raises Fault 404 `snapshot_unknown` when neither."""
    names = sorted({release.triple.model for release in survey.releases.values()})
    if snapshot in names or (await epochs.load(desk.store, (snapshot,)))[snapshot].rev:
        return True
    message = f"no alias names the model {snapshot}. Named are: {', '.join(names[:20]) or 'none yet'}."
    raise Fault(Kind.NOT_FOUND, "snapshot_unknown", message, param="snapshot")


async def _unmark(desk: Desk, survey: Survey, snapshot: str) -> None:
    """Let strict aliases take new runs on the snapshot's releases again."""
    newest = {release.id: release for release in await releases.newest(desk.store, MARKED)}
    for release in {**newest, **survey.releases}.values():
        if release.triple.model == snapshot and release.drifted:
            await releases.mark(desk.store, release.id, "")


def _frozen(state: AliasState, snapshot: str) -> bool:
    rollout = state.rollout
    if rollout is None or rollout.phase is not Phase.FROZEN:
        return False
    return any(code.startswith(f"drift:{snapshot}@") for code in rollout.causes)


def _probed(desk: Desk, survey: Survey, snapshot: str) -> bool:
    """Whether probes are declared for an alias that names the snapshot."""
    declared = [desk.settings.aliases.get(use.alias) for use in survey.uses(snapshot)]
    return any(each is not None and each.probes is not None for each in declared)


def _row(desk: Desk, survey: Survey, snapshot: str, watched: Watched, tests: tuple[DriftTest, ...]) -> DriftRow:
    epoch, uses = watched.epoch, survey.uses(snapshot)
    seen = [
        DriftSeen(endpoint, each.model, each.fingerprint, each.since_ms, each.at_ms, each.mismatch)
        for endpoint, each in sorted(watched.observed.items())
    ]
    return DriftRow(
        snapshot=snapshot,
        pin=_pin(desk, snapshot),
        epoch=epoch.number,
        since_ms=epoch.since_ms,
        alarm=epoch.alarm.value if epoch.alarm is not None else "",
        open=watched.open,
        before=epoch.before,
        after=epoch.after,
        test=epoch.test,
        endpoint=epoch.endpoint,
        observed=tuple(seen),
        used=uses,
        advice=tuple(_advice(desk, survey, snapshot, epoch)) if watched.open else (),
        tests=tests,
    )


def _pin(desk: Desk, snapshot: str) -> str:
    parsed = Snapshot.parse(snapshot)
    if parsed.provider not in desk.settings.providers:
        return PinClass.UNKNOWN.value
    return desk.verdict(parsed).pin.value


def _advice(desk: Desk, survey: Survey, snapshot: str, epoch: Epoch) -> Iterator[str]:
    """What to do about an open epoch, for each alias; then what to do where nothing is wrong."""
    told: set[str] = set()
    for use in survey.uses(snapshot):
        if use.role == STABLE and use.alias not in told:
            told.add(use.alias)
            yield _way_back(desk, survey, use.alias, use.release)
        elif use.role == CANDIDATE:
            yield (
                f"{use.alias}: {use.release} is a candidate; run its gate again, or end it: "
                f"`trivet rollout abort {use.alias} --reason '...'`"
            )
    now = epoch.after if epoch.alarm is Alarm.MODEL else "what answers now"
    yield (
        f"if {now} is right: `trivet drift ack {snapshot} --reason '...'`, "
        "then `trivet rollout resume` where a rollout is frozen"
    )


def _way_back(desk: Desk, survey: Survey, alias: str, release: str) -> str:
    """The newest former release on another snapshot, a proven one before others."""
    model = survey.releases[release].triple.model
    lanes = [lane for lane in survey.states[alias].lanes.values() if lane.release == release]
    former = [
        kept
        for name in dict.fromkeys(name for lane in lanes for name in lane.previous)
        if (kept := survey.releases.get(name)) is not None
        and kept.triple.model not in (model, *survey.open)
        and not kept.blocked
        and not kept.drifted
        and _proof(survey, name) is not Proof.DEAD
    ]
    if not former:
        return f"{alias}: no former release is on another model; make one with `trivet release create` and roll it out"
    found = next((each for each in former if _proof(survey, each.id) is Proof.PROVEN), former[0])
    proof = survey.proofs.get(found.id)
    if proof is not None and proof.proof is Proof.PROVEN:
        said = f"proven {max(desk.now_ms - proof.at_ms, 0) / HOUR_MS:.1f} hours ago by {proof.source}"
    else:
        said = "not proven; `trivet warm` tells"
    return (
        f"{alias}: `trivet rollback {alias} --to {found.id} --reason '...'` goes back to {found.triple.model}, {said}"
    )


def _proof(survey: Survey, release: str) -> Proof:
    found = survey.proofs.get(release)
    return found.proof if found is not None else Proof.UNPROVEN
