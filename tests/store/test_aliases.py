"""Pointer writes: compare-and-set, fencing, lost answers, history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest
from redis.asyncio import Redis

from gateway.core.contract.alias import AliasState, Lane, SideEffects, Split, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import HistoryEntry
from gateway.settings.model import StoreSettings
from gateway.store import aliases
from gateway.store.aliases import PointerMoved
from gateway.store.client import Store
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio

STATE = AliasState(
    name="a b/{c}",
    version=1,
    lanes={"*": Lane("rel_1", ("rel_0",)), "tenant:x": Lane("rel_1", rolled_back="rel_2")},
    stakes=Stakes.HIGH,
    side_effects=SideEffects.REAL,
    split=Split("rel_2", "salt", {"*": 100}),
)


def entry(operation: str, action: str = "promote") -> HistoryEntry:
    """Who and why."""
    return HistoryEntry(1234, "alice", action, "because", 0, None, None, operation=operation)


async def test_round_trip(store: Store) -> None:
    """A state comes back as it was written, whatever characters its name has."""
    assert await aliases.get(store, STATE.name) is None
    assert await aliases.create(store, STATE, entry("1"))
    assert await aliases.get(store, STATE.name) == STATE
    assert await aliases.every(store) == {STATE.name: STATE}
    assert not await aliases.create(store, STATE, entry("2")), "somebody knows it"
    assert len(await aliases.history(store, STATE.name)) == 1


async def test_history_since_a_moment(store: Store) -> None:
    """Entries of before are left out, by the store's own clock."""
    await aliases.create(store, STATE, entry("1"))
    (first,) = await aliases.history(store, STATE.name)
    at_ms = int(first.id.partition("-")[0])
    assert await aliases.history(store, STATE.name, since_ms=at_ms) == [first]
    assert await aliases.history(store, STATE.name, since_ms=at_ms + 1) == []


async def test_write_replaces_the_whole_state(store: Store) -> None:
    """Lanes and split that the new state lacks are gone; the version goes up by one; the message names it."""
    await aliases.create(store, STATE, entry("1"))
    after = msgspec.structs.replace(STATE, lanes={"*": Lane("rel_2", ("rel_1",))}, split=None, learned=True)
    async with listening(store) as messages:
        stored = await aliases.write(store, STATE, after, entry("2"))
        assert await messages.get() == f"{STATE.name} 2"
    assert stored == msgspec.structs.replace(after, version=2)
    assert await aliases.get(store, STATE.name) == stored
    newest = (await aliases.history(store, STATE.name))[0]
    assert (newest.before, newest.after, newest.version) == (STATE, stored, 2)


async def test_f13_stale_version_is_refused(store: Store) -> None:
    """F13: a write that was planned on an older version changes nothing, not even the history."""
    await aliases.create(store, STATE, entry("1"))
    await aliases.write(store, STATE, STATE, entry("2"))
    with pytest.raises(PointerMoved) as caught:
        await aliases.write(store, STATE, msgspec.structs.replace(STATE, lanes={}), entry("3"))
    assert caught.value.stored == 2
    assert len(await aliases.history(store, STATE.name)) == 2
    await store.do("DEL", store.keys.alias(STATE.name))
    with pytest.raises(Fault, match="alias_gone"):
        await aliases.write(store, msgspec.structs.replace(STATE, version=2), STATE, entry("4"))


async def test_fencing_epoch_never_goes_down(store: Store) -> None:
    """A control process with an older epoch is fenced; a person's order needs none and keeps the stored one."""
    await aliases.create(store, STATE, entry("1"))
    led = await aliases.write(store, STATE, STATE, entry("2"), epoch=7)
    assert led.epoch == 7
    with pytest.raises(Fault, match="fenced"):
        await aliases.write(store, led, led, entry("3"), epoch=6)
    ordered = await aliases.write(store, led, led, entry("4"))
    assert ordered.epoch == 7
    assert await aliases.get(store, STATE.name) == ordered


async def test_f12_lost_answer_is_one_write(store: Store, redis_server: RealRedis) -> None:
    """F12: when the answer to a pointer write is lost, sending it again neither doubles nor denies it."""
    await aliases.create(store, STATE, entry("1"))
    async with deaf_once(redis_server) as url, Store(StoreSettings(redis=url)) as behind:
        stored = await aliases.write(behind, STATE, STATE, entry("2"))
    assert stored.version == 2
    assert await aliases.get(store, STATE.name) == stored
    assert [e.operation for e in await aliases.history(store, STATE.name)] == ["2", "1"]


async def test_lift_only_upwards(store: Store) -> None:
    """A state is put in place by its own version only where the store is below it, and only once."""
    await aliases.create(store, STATE, entry("1"))
    high = msgspec.structs.replace(STATE, version=9, lanes={"*": Lane("rel_9")}, split=None)
    assert await aliases.lift(store, STATE, high, entry("2", "local"))
    assert await aliases.get(store, STATE.name) == high
    assert not await aliases.lift(store, STATE, high, entry("3", "local"))
    assert not await aliases.lift(store, STATE, msgspec.structs.replace(STATE, version=8), entry("4", "local"))
    assert [(e.version, e.action) for e in await aliases.history(store, STATE.name)] == [(9, "local"), (1, "promote")]


async def test_unreadable_alias_is_named(store: Store) -> None:
    """A hash that was written by hand is a fault that names the alias, not a crash."""
    await store.do("SADD", store.keys.aliases(), "odd")
    await store.do("HSET", store.keys.alias("odd"), "version", "1")
    with pytest.raises(Fault, match="alias_unreadable") as caught:
        await aliases.get(store, "odd")
    assert "odd" in caught.value.message


async def test_many_operators_one_order(store: Store) -> None:
    """F13: of many writes at once each version is written by exactly one; the history has them all, in order."""
    await aliases.create(store, STATE, entry("start"))
    landed: list[str] = []

    async def operator(name: str) -> None:
        for number in range(10):
            state = await aliases.get(store, STATE.name)
            assert state is not None
            try:
                await aliases.write(store, state, state, entry(f"{name}{number}"))
                landed.append(f"{name}{number}")
            except PointerMoved:
                continue

    async with anyio.create_task_group() as group:
        for name in "abcde":
            group.start_soon(operator, name)
    entries = await aliases.history(store, STATE.name, 1000)
    assert [e.version for e in reversed(entries)] == list(range(1, len(entries) + 1))
    assert sorted(e.operation for e in entries) == sorted([*landed, "start"])


@asynccontextmanager
async def listening(store: Store) -> AsyncIterator[asyncio.Queue[str]]:
    """Messages of the pointers channel."""
    client = Redis.from_url(store.url)
    channel = client.pubsub()
    await channel.subscribe(store.keys.pointers())
    found: asyncio.Queue[str] = asyncio.Queue()

    async def pump() -> None:
        while True:
            message = await channel.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is not None:
                found.put_nowait(message["data"].decode())

    async with anyio.create_task_group() as group:
        group.start_soon(pump)
        await anyio.sleep(0.02)
        with anyio.fail_after(2):
            yield found
        group.cancel_scope.cancel()
    await channel.aclose()
    await client.aclose()


@asynccontextmanager
async def deaf_once(server: RealRedis) -> AsyncIterator[str]:
    """A proxy before the server that swallows the first answer to a script, as a broken network does."""
    swallowed = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal swallowed
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", server.port)
        asked = asyncio.Event()

        async def back() -> None:
            nonlocal swallowed
            while data := await up_reader.read(65536):
                if asked.is_set() and not swallowed and not data.startswith(b"-NOSCRIPT"):
                    swallowed += 1
                    continue
                writer.write(data)
            writer.close()

        async with anyio.create_task_group() as group:
            group.start_soon(back)
            while data := await reader.read(65536):
                if b"EVAL" in data:
                    asked.set()
                up_writer.write(data)
            up_writer.close()
            writer.close()
            group.cancel_scope.cancel()

    proxy = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxy:
        yield f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        await asyncio.sleep(0.02)
    assert swallowed == 1
