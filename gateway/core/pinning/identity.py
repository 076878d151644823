"""What follows when an answer says who gave it: nothing, another model, or a floating name that moved. Pure.

Rule of the file: what was named lately is no news, at whichever endpoint, so a provider that wavers between two models raises one
alarm and not one per answer. Fingerprints change often for harmless reasons: they are kept and raise nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.core.contract.release import PinClass, Snapshot
from gateway.core.contract.sentinel import Alarm, Epoch, Identity, Sighted, Watched

RECENT_MS = 15 * 60_000
"""A model that was named within it is no news. Longer than workers wait until they tell again."""
NAMES = 32
"""Models kept of a snapshot: a server that makes up a name per answer fills no store."""
ENDPOINTS = 64


@dataclass(frozen=True, slots=True)
class Moved:
    """A floating name resolves to another model."""

    before: str
    after: str
    endpoint: str


def learn(known: Watched, said: Identity, pin: PinClass) -> tuple[Watched, Moved | None]:
    """What is known with `said` in it, and the move of a floating name. A new epoch is in the result, unacknowledged.

    `pin` is the class of the snapshot. An answer that names no model changes nothing.
    """
    if not said.model:
        return known, None
    changed = _changed(known, said, pin)
    before = _before(known, said)
    after = msgspec.structs.replace(known, observed=_observed(known, said), names=_names(known, said))
    if not changed:
        return after, None
    quiet = said.at_ms - known.news_ms < RECENT_MS
    if pin is PinClass.FLOATING:
        if quiet:
            return after, None
        return msgspec.structs.replace(after, news_ms=said.at_ms), Moved(before, said.model, said.endpoint)
    where = f" at endpoint {said.endpoint}" if said.endpoint else ""
    made = opened(after, Alarm.MODEL, before, said.model, f"the answers' own words{where}", said.at_ms, said.endpoint)
    if not (known.epoch.open and quiet):
        return msgspec.structs.replace(made, news_ms=said.at_ms), None
    # The alarm is up, and a third name within minutes is the same trouble: told only where the first was not told yet.
    told = made.epoch.number if known.told >= known.epoch.number else known.told
    return msgspec.structs.replace(made, told=told), None


def opened(known: Watched, alarm: Alarm, before: str, after: str, test: str, at_ms: int, endpoint: str = "") -> Watched:
    """With a new epoch that begins with an alarm."""
    epoch = Epoch(known.epoch.number + 1, at_ms, alarm, before, after, test, endpoint)
    drifted = epoch.number if alarm is Alarm.MODEL else known.drifted
    return msgspec.structs.replace(known, epoch=epoch, drifted=drifted)


def acknowledged(known: Watched, now_ms: int) -> Watched:
    """With a new epoch for which what is there now is right: every model that is observed, or was named lately."""
    names = {each.model: now_ms for each in known.observed.values()}
    names |= {name: now_ms for name, at_ms in known.names.items() if now_ms - at_ms <= RECENT_MS}
    last = known.epoch
    epoch = Epoch(last.number + 1, now_ms, Alarm.ACKNOWLEDGED, last.before, ", ".join(sorted(names)) or last.after)
    return msgspec.structs.replace(known, epoch=epoch, names=names, drifted=0, told=epoch.number)


def reference(known: Watched) -> frozenset[str]:
    """Models that a person has said are right for the snapshot besides its own name; none while an alarm is open."""
    if known.open or known.epoch.alarm is not Alarm.ACKNOWLEDGED:
        return frozenset()
    return frozenset(known.epoch.after.split(", ")) - {""}


def _changed(known: Watched, said: Identity, pin: PinClass) -> bool:
    last = known.observed.get(said.endpoint)
    if last is not None and last.model == said.model:
        return False
    if said.model in {each.model for each in known.observed.values()}:
        return False
    if said.at_ms - known.names.get(said.model, -RECENT_MS - 1) <= RECENT_MS:
        return False
    if last is None:
        return said.mismatch and pin is PinClass.PINNED
    return pin is PinClass.FLOATING or said.mismatch or last.mismatch


def _before(known: Watched, said: Identity) -> str:
    """What was named before: at this endpoint, else at any, else the name that was asked for."""
    last = known.observed.get(said.endpoint)
    if last is not None:
        return last.model
    others = sorted(known.observed.values(), key=lambda each: -each.at_ms)
    return others[0].model if others else Snapshot.parse(said.snapshot).model


def _observed(known: Watched, said: Identity) -> dict[str, Sighted]:
    last = known.observed.get(said.endpoint)
    since = last.since_ms if last is not None and last.model == said.model else said.at_ms
    found = {**known.observed}
    found[said.endpoint] = Sighted(said.model, said.fingerprint, since, said.at_ms, said.mismatch)
    if len(found) > ENDPOINTS:
        del found[min(found, key=lambda name: found[name].at_ms)]
    return found


def _names(known: Watched, said: Identity) -> dict[str, int]:
    kept = {name: at_ms for name, at_ms in known.names.items() if said.at_ms - at_ms <= RECENT_MS}
    kept[said.model] = max(said.at_ms, kept.get(said.model, 0))
    newest = sorted(kept, key=lambda name: -kept[name])[:NAMES]
    return {name: kept[name] for name in newest}
