"""What the sentinel makes of what answers say: epochs, notes in histories, and marks on releases, each once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane, Shadow
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.release import PinClass, Release, Triple, release_id
from gateway.core.contract.sentinel import Alarm, Identity
from gateway.core.pinning.identity import RECENT_MS, acknowledged, opened
from gateway.sentinel import identity
from gateway.sentinel.identity import SETTLE_MS, Looked, Watcher, pin_of, surveyed
from gateway.settings import tables
from gateway.settings.model import ProviderSettings, Settings, StoreSettings
from gateway.store import aliases, epochs, releases
from gateway.store.client import Store
from tests.store.conftest import module_redis, redis_server
from tests.store.servers import RealRedis

__all__ = ["module_redis", "redis_server"]
pytestmark = pytest.mark.anyio

PIN = "gpt-4o-2024-08-06"
A, B = f"openai/{PIN}", "openai/gpt-4o-2024-11-20"
SETTINGS = Settings(providers={"openai": ProviderSettings(base_url="https://api.openai.com")})
PINS = tables.pinning()
NOW = 1_700_000_000_000


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


@pytest.fixture
async def store(redis_server: RealRedis, tmp_path: Path) -> AsyncIterator[Store]:
    """The control side's store on an empty server."""
    async with Store(StoreSettings(redis=redis_server.url, data_dir=str(tmp_path))) as opened_store:
        yield opened_store


def release(model: str, pin: PinClass = PinClass.PINNED) -> Release:
    """A release of one model."""
    triple = Triple(model)
    return Release(release_id(triple), triple, pin)


async def alias(store: Store, name: str, *models: str, **more: object) -> AliasState:
    """An alias, stable on the first of these models, with the others warm."""
    kept = [release(model) for model in models]
    for each in kept:
        await releases.put(store, each)
    lane = Lane(kept[0].id, tuple(each.id for each in kept[1:]))
    state = msgspec.structs.replace(AliasState(name, 1, {"*": lane}), **more)
    assert await aliases.create(store, state, HistoryEntry(1, "test", "first_release", "", 1, None, state))
    return state


async def tell(
    store: Store, model: str, at_ms: int, snapshot: str = A, *, fingerprint: str = "", released: str = "rel"
) -> None:
    """What a live worker tells of an answer."""
    said = Identity(snapshot, "openai", model, fingerprint, released, "agent", at_ms, model not in snapshot)
    await store.do("XADD", store.keys.identities(), "*", "entry", msgspec.json.encode(said))


async def look(watcher: Watcher, store: Store, now_ms: int = NOW) -> Looked:
    """One look."""
    return await watcher.look(store, SETTINGS, PINS, now_ms)


def numbers(found: Looked) -> dict[str, int]:
    """Epochs of a look."""
    assert found.standing is not None
    return {snapshot: watched.epoch.number for snapshot, watched in found.standing.items()}


async def notes(store: Store, name: str) -> list[tuple[str, str]]:
    """Action and evidence of an alias's history, oldest first."""
    return [(each.action, each.evidence) for each in reversed(await aliases.history(store, name))][1:]


async def test_another_model_is_told_wherever_its_snapshot_is_named(store: Store) -> None:
    """Stable, warm and shadowed: one note each, the release is marked, and an alias that does not name it hears nothing. Whoever looks
    after, from the beginning, changes nothing."""
    await alias(store, "agent", A)
    await alias(store, "warm", B, A)
    await alias(store, "shadow", B, shadows=(Shadow(release(A).id, "s"),))
    await alias(store, "other", B)
    watcher = Watcher()
    await tell(store, PIN, NOW, fingerprint="fp_1")
    await tell(store, PIN, NOW + 1, fingerprint="fp_2")
    first = await look(watcher, store)
    assert (first.alarms, numbers(first)) == ((), {A: 1, B: 1})
    assert await look(watcher, store) == Looked()
    await tell(store, "gpt-4o-mini", NOW + 2)
    assert (await look(watcher, store)).alarms == ((A, Alarm.MODEL),)
    for name, told in (("agent", 1), ("warm", 1), ("shadow", 1), ("other", 0)):
        assert await notes(store, name) == [("drift", f"{A}@2")] * told
    (entry, *_) = await aliases.history(store, "agent")
    assert entry.reason == f"{A}: gpt-4o-mini answers at endpoint openai, {PIN} did"
    found = await releases.many(store, (release(A).id, release(B).id))
    assert [found[release(name).id].drifted for name in (A, B)] == [f"{A}@2", ""]
    again = await look(Watcher(), store)
    assert (again.alarms, numbers(again)) == ((), {A: 2, B: 1})
    assert await notes(store, "agent") == [("drift", f"{A}@2")]
    seen = (await epochs.load(store, [A]))[A].watched.observed["openai"]
    assert (seen.model, seen.since_ms, seen.mismatch) == ("gpt-4o-mini", NOW + 2, True)


async def test_whoever_takes_over_does_what_is_owed(store: Store) -> None:
    """An epoch that was opened, here by a probe, is told by the next that settles, and not again by the one that comes after it; a
    release made meanwhile is marked, and unmarked once somebody has acknowledged."""
    await alias(store, "agent", B)
    watcher = Watcher()
    await look(watcher, store)
    await epochs.change(store, B, lambda known: opened(known, Alarm.PROBE, "", "", "mmd p = 0.001", NOW))
    assert (await look(watcher, store, NOW + 1)) == Looked()
    assert (await look(watcher, store, NOW + SETTLE_MS)).alarms == ((B, Alarm.PROBE),)
    assert (await look(Watcher(), store, NOW)).alarms == ()
    (entry, *_) = await aliases.history(store, "agent")
    assert (entry.evidence, entry.reason) == (f"{B}@2", f"{B}: mmd p = 0.001")
    assert (await releases.many(store, [release(B).id]))[release(B).id].drifted == ""
    await epochs.change(store, A, lambda known: opened(known, Alarm.MODEL, PIN, "x", "", NOW))
    await alias(store, "late", A)
    await look(Watcher(), store, NOW)
    assert (await releases.many(store, [release(A).id]))[release(A).id].drifted == f"{A}@2"
    await epochs.change(store, A, lambda known: acknowledged(known, NOW + 1))
    await look(Watcher(), store, NOW)
    assert (await releases.many(store, [release(A).id]))[release(A).id].drifted == ""


async def test_a_floating_name_that_moves_is_told_with_before_and_after(store: Store) -> None:
    """To whom serves it, and to the alias that was learnt under it, which stays on its pin; no epoch, no mark. Told once, also when the
    process dies between the note and what it keeps."""
    floats = "openai/gpt-4o"
    await alias(store, "low", floats)
    await alias(store, "gpt-4o", A, learned=True)
    await alias(store, "other", B)
    await tell(store, PIN, NOW, floats)
    await tell(store, "gpt-4o-2024-11-20", NOW + RECENT_MS + 1, floats)
    kept = (await epochs.load(store, [floats]))[floats]
    found = await look(Watcher(), store)
    assert found.moved == ((floats, PIN, "gpt-4o-2024-11-20"),)
    await store.do("DEL", store.keys.snapshot(floats))
    assert kept.rev == 0
    assert (await look(Watcher(), store)).moved
    for name, told in (("low", 1), ("gpt-4o", 1), ("other", 0)):
        assert await notes(store, name) == [("moved", floats)] * told
    (entry, *_) = await aliases.history(store, "gpt-4o")
    assert (entry.reason, entry.note) == (
        f"{floats} resolves to gpt-4o-2024-11-20, before to {PIN}",
        "this alias stays on its pin",
    )
    assert (await epochs.numbers(store, [floats])) == {}


async def test_what_clients_ask_for_fills_no_store(store: Store) -> None:
    """Of names without a release only those are kept that an alias was learnt under."""
    await alias(store, "gpt-4o", A, learned=True)
    await alias(store, "openai/gpt-5", B, learned=True)
    for name in ("openai/gpt-4o", "openai/gpt-5", "openai/made-up", "other/gpt-4o"):
        await tell(store, "x", NOW, name, released="")
    await look(Watcher(), store)
    kept = await epochs.load(store, ["openai/gpt-4o", "openai/gpt-5", "openai/made-up", "other/gpt-4o"])
    assert [found.rev for found in kept.values()] == [1, 1, 0, 0]


async def test_what_cannot_be_read_holds_up_nobody_else(store: Store) -> None:
    """A broken alias, a broken hash and a broken entry are passed over."""
    await alias(store, "agent", A)
    await alias(store, "broken", B)
    await store.do("HSET", store.keys.alias("broken"), "lane:*", "{")
    await store.do("HSET", store.keys.snapshot(B), "epoch", "{")
    await store.do("XADD", store.keys.identities(), "*", "entry", "{")
    await tell(store, "x", NOW, B)
    await tell(store, "gpt-4o-mini", NOW)
    assert (await look(Watcher(), store)).alarms == ((A, Alarm.MODEL),)
    assert set((await surveyed(store)).states) == {"agent"}


async def test_writers_at_the_same_time_are_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody else wrote between reading and writing stays, and is added to."""
    await alias(store, "agent", A)
    await tell(store, "gpt-4o-mini", NOW)
    real, times = epochs.save, []

    async def late(*values: object) -> bool:
        times.append(1)
        if len(times) == 1:
            await epochs.change(store, A, lambda known: opened(known, Alarm.PROBE, "", "", "mmd", NOW - RECENT_MS))
        return await real(*values)  # type: ignore[arg-type]

    monkeypatch.setattr(identity.epochs, "save", late)
    await look(Watcher(), store)
    assert await epochs.numbers(store, [A]) == {A: 3}


def test_the_class_is_the_tables() -> None:
    """A provider that is gone from the configuration leaves its snapshots unknown."""
    for name, pin in (
        (A, PinClass.PINNED),
        ("openai/gpt-4o", PinClass.FLOATING),
        ("gone/x", PinClass.UNKNOWN),
        ("x", PinClass.UNKNOWN),
    ):
        assert pin_of(SETTINGS, PINS, name) is pin
