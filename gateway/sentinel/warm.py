"""Keeps the proof of every release that an alias names: by calls that are made anyway, and by a cheap probe where there were none.

Rule of the file: one process looks, the one that leads; what it learnt is in the store, so the next one goes on with it. A probe is
made only where nothing else proves a release, one after the other, within what a day has.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable as Function
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zlib import crc32

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import Release
from gateway.core.contract.sentinel import Callable, Proof
from gateway.core.pinning.warm import WARM_MS, Seen, Sign, due, judged, learn, unseen
from gateway.core.rollout.named import named
from gateway.sentinel.asking import ONE_TOKEN, Prober, party
from gateway.sentinel.seen import Calls, shadowed, traffic
from gateway.settings.model import Settings
from gateway.store import aliases, epochs, proofs, releases
from gateway.store.client import Store
from gateway.upstream.ownport import DataPort

PROBES = 8
"""Probes of one round, at most: the next round goes on."""
ALIASES = 200
"""Aliases whose traffic one look reads, about; of more each has its turn,"""
TURN_MS = 30_000
"""which is so long."""
UNASKED = "unasked"
"""Result of a probe that the gateway itself did not make: its data port is away, or what a day has is used up."""


@dataclass(frozen=True, slots=True)
class Survey:
    """The proofs of one moment."""

    states: Mapping[str, AliasState] = field(default_factory=dict)
    proofs: Mapping[str, Callable] = field(default_factory=dict)
    """By release, as of now."""
    probes: Counter[str] = field(default_factory=Counter)
    """Probes made, by what they came to."""


def warm_ms(settings: Settings) -> int:
    """Age at which a proof no longer counts."""
    return round(settings.probes.warm_every * 1000) or WARM_MS


def used(states: Iterable[AliasState]) -> list[str]:
    """Every release that one of these aliases names."""
    return list(dict.fromkeys(release for state in states for _, release in named(state)))


def turn(states: Mapping[str, AliasState], now_ms: int) -> Mapping[str, AliasState]:
    """The aliases whose traffic is read now: all of them, or of many a part, so that each has its turn."""
    parts = -(-len(states) // ALIASES)
    if parts < 2:
        return states
    return {name: state for name, state in states.items() if crc32(name.encode()) % parts == now_ms // TURN_MS % parts}


async def look(
    store: Store,
    settings: Settings,
    port: Function[[], DataPort] | None,
    clock: Function[[], int],
    results: Store | None = None,
) -> Survey:
    """Take in what calls came to, probe what nothing proves, and keep it.

    Without `port` nobody is asked. `results` is the store that has the shadow's pairs. Raises Fault when a store cannot be used.
    """
    states = await aliases.every(store)
    wanted = used(states.values())
    known = await proofs.get(store, wanted)
    before = {release: known.get(release, unseen(release)) for release in wanted}
    now = turn(states, clock())
    found = _learnt(before, await traffic(store, now, used(now.values())))
    paired = [name for name, state in now.items() if state.shadows or state.rollout is not None]
    with contextlib.suppress(Fault):  # a store of the shadow's own that is away proves nothing
        found = _learnt(found, await shadowed(results or store, paired))
    probes: Counter[str] = Counter()
    waiting = [name for name in wanted if due(found[name], clock(), warm_ms(settings))]
    if port is not None and settings.probes.warm_every and settings.probes.calls and waiting:
        asked = [found[name] for name in waiting[:PROBES]]
        for each in await probe(store, settings, port, clock, asked, counted=probes, gently=True):
            found[each.release] = each
    await _keep(store, states.values(), known, found.values(), clock())
    await proofs.keep_only(store, wanted)
    now_ms = clock()
    return Survey(states, {n: judged(each, now_ms, warm_ms(settings)) for n, each in found.items()}, probes)


async def ask_now(
    store: Store,
    settings: Settings,
    port: Function[[], DataPort],
    clock: Function[[], int],
    states: Iterable[AliasState],
) -> None:
    """Ask every release that these aliases name, whatever proves it, and keep what comes of it.

    Raises Fault: 409 `no_data_port`, and for the store.
    """
    states = list(states)
    wanted = used(states)
    known = await proofs.get(store, wanted)
    asked = [known.get(name, unseen(name)) for name in wanted]
    await _keep(store, states, known, await probe(store, settings, port, clock, asked), clock())


async def probe(
    store: Store,
    settings: Settings,
    port: Function[[], DataPort],
    clock: Function[[], int],
    known: Iterable[Callable],
    *,
    counted: Counter[str] | None = None,
    gently: bool = False,
) -> list[Callable]:
    """Ask each of these releases one question, whatever proves it, and return what is known then; nothing is stored.

    `gently` leaves a provider alone after the first question that it did not answer. Raises Fault: 409 `no_data_port`, and for
    the store.
    """
    wanted = {each.release: each for each in known}
    records = await releases.many(store, wanted)
    found = []
    troubled: set[str] = set()
    async with Prober(store, settings, port(), clock()) as prober:
        for name, each in wanted.items():
            provider = records[name].snapshot.provider if name in records else ""
            if gently and provider in troubled:
                continue
            after, word = await _probed(prober, store, settings, each, records.get(name), clock)
            found.append(after)
            if word == Sign.TROUBLE.value:
                troubled.add(provider)
            if counted is not None:
                counted[word] += 1
            if gently and word == UNASKED:
                break
    return found


async def _probed(
    prober: Prober,
    store: Store,
    settings: Settings,
    known: Callable,
    record: Release | None,
    clock: Function[[], int],
) -> tuple[Callable, str]:
    """What is known after a probe, and the probe's result in a word."""
    replace = msgspec.structs.replace
    asked = await party(store, settings, record) if record is not None else "its record is gone from the store"
    if isinstance(asked, str):
        return replace(known, asked_ms=clock(), why=asked), "impossible"
    told = await prober.ask(asked, ONE_TOKEN, {})
    at_ms = clock()
    known = replace(known, asked_ms=at_ms)
    if not told.asked:
        return replace(known, why=told.why), UNASKED
    return learn(known, Seen(max(at_ms, known.seen_ms + 1), told.sign, "probe", told.why)), told.sign.value


async def _keep(
    store: Store, states: Iterable[AliasState], before: Mapping[str, Callable], found: Iterable[Callable], now_ms: int
) -> None:
    """Store what is new. What died, and what came back, stands in the histories first: whoever looks again finds the note."""
    new = [each for each in found if each != before.get(each.release)]
    for each in new:
        last = before.get(each.release)
        if (each.proof is Proof.DEAD) is (last is not None and last.proof is Proof.DEAD):
            continue
        dead = each.proof is Proof.DEAD
        for state in states:
            roles = [role for role, release in named(state) if release == each.release]
            if roles:
                entry = HistoryEntry(
                    at_ms=now_ms,
                    actor="sentinel",
                    action="warm",
                    reason=f"{each.release} is dead: {each.why}" if dead else f"{each.release} answers again",
                    version=state.version,
                    before=None,
                    after=None,
                    operation=f"warm:{each.release}:{each.proof.value}:{each.refused_ms or each.at_ms}",
                    note=f"it is {' and '.join(dict.fromkeys(roles))} here; `trivet warm {state.name}` says what is left",
                )
                await epochs.note(store, state.name, entry)
    await proofs.put(store, new)


def _learnt(known: Mapping[str, Callable], calls: Calls) -> dict[str, Callable]:
    found = dict(known)
    for release, seen in calls.items():
        if release in found:
            for each in seen:
                found[release] = learn(found[release], each)
    return found


__all__ = ["PROBES", "UNASKED", "Survey", "look", "probe", "used", "warm_ms"]
