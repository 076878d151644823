"""Asks floating names that aliases were learnt under who answers for them now: their aliases stay on a pin, so nobody else calls them.

Rule of the file: one token each, as seldom as proofs are renewed, out of the same day's budget; the answer goes the way of every
answer, and whoever reads identities tells a move. A name that cannot be asked is left alone for an hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from gateway.core.contract.release import PinClass, Release, Snapshot, Triple, release_id
from gateway.core.contract.sentinel import Sighted, Watched
from gateway.core.pinning.table import PinTable
from gateway.core.pinning.warm import Sign
from gateway.sentinel.asking import ONE_TOKEN, Prober, party
from gateway.sentinel.identity import AUTHOR, Survey, pin_of, surveyed
from gateway.sentinel.warm import UNASKED, warm_ms
from gateway.settings.model import Settings
from gateway.store import epochs, releases
from gateway.store.client import Store
from gateway.upstream.ownport import DataPort

AT_ONCE = 8
"""Names of one look."""
AGAIN_MS = 3_600_000
NOTE = "asks what the floating name resolves to; no alias serves it"


@dataclass(slots=True)
class Names:
    """When each name is asked again; one per process."""

    next_ms: dict[str, int] = field(default_factory=dict)

    async def look(
        self, store: Store, settings: Settings, pins: PinTable, port: Callable[[], DataPort], clock: Callable[[], int]
    ) -> Counter[str]:
        """Ask the names that are due; what that came to. Raises Fault: 409 `no_data_port`, and for the store."""
        results: Counter[str] = Counter()
        if not settings.probes.warm_every or not settings.probes.calls:
            return results
        survey = await surveyed(store)
        learnt = {name: aliases for name, aliases in survey.learnt().items() if _floats(settings, pins, name)}
        self.next_ms = {name: at_ms for name, at_ms in self.next_ms.items() if name in learnt}
        due = [name for name in learnt if self.next_ms.get(name, 0) <= clock()][:AT_ONCE]
        if not due:
            return results
        async with Prober(store, settings, port(), clock()) as prober:
            for name in due:
                await _remember(store, survey, name, learnt[name])
                asked = await party(store, settings, await _witness(store, name, clock()))
                word = "impossible"
                if not isinstance(asked, str):
                    told = await prober.ask(asked, ONE_TOKEN, {})
                    word = told.sign.value if told.asked else UNASKED
                results[word] += 1
                wait = warm_ms(settings) if word == Sign.WORKED.value else min(AGAIN_MS, warm_ms(settings))
                self.next_ms[name] = clock() + wait
        return results


def _floats(settings: Settings, pins: PinTable, name: str) -> bool:
    return pin_of(settings, pins, name) is PinClass.FLOATING


async def _witness(store: Store, name: str, now_ms: int) -> Release:
    """A release of the floating name itself, by which it can be asked through the data port."""
    triple = Triple(model=name)
    made = Release(release_id(triple), triple, PinClass.FLOATING, now_ms, AUTHOR, NOTE)
    await releases.put(store, made)
    return await releases.get(store, made.id) or made


async def _remember(store: Store, survey: Survey, name: str, aliases: list[str]) -> None:
    """What a name was learnt to resolve to is what it named before, where no answer to it is known yet."""
    provider = Snapshot.parse(name).provider
    models = _models(survey, aliases, provider)

    def make(known: Watched) -> Watched | None:
        if known.observed or not models:
            return None
        return msgspec.structs.replace(known, observed={provider: Sighted(models[0])})

    await epochs.change(store, name, make)


def _models(survey: Survey, aliases: list[str], provider: str) -> list[str]:
    """The models that these aliases serve from a provider."""
    kept: Mapping[str, Release] = survey.releases
    served = [
        kept[lane.release].snapshot
        for each in aliases
        for lane in survey.states[each].lanes.values()
        if lane.release in kept
    ]
    return [snapshot.model for snapshot in served if snapshot.provider == provider]
