"""A replay puts into the store what it misses, once, and lets the earliest binding win."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.run import Source, Stamp
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store.links import LinkRecord
from gateway.store.live import LiveStore
from gateway.store.logfile import LINK, PENDING, STAMP, Found, link_key, pack_record, path_of, stamp_key
from gateway.store.records import decode_stamp, encode_stamp
from gateway.store.replay import NEVER, Checkpoint, Marks, Replay, _made, host_lock, read_checkpoint, write_checkpoint
from tests.store.lives import KEYS, Command, now_ms, opened, settled, stamp, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


def record(value: Stamp, flags: int = PENDING) -> bytes:
    """A stamp as the log has it."""
    key = 0 if value.source is Source.NONE else stamp_key(value.tenant, value.run, value.alias)
    return pack_record(STAMP, flags, key, encode_stamp(value))


def of(live: LiveStore, directory: Path) -> Replay:
    """A replay of a directory through the lines of a live store."""
    settings = (StoreSettings(), RunSettings())
    return Replay(live._bulk_line, directory, live._journal, settings, live.counters)


def in_store(redis_server: RealRedis, name: str) -> str | None:
    """The release a run is bound to in the store."""
    data = Command(redis_server)("HGET", KEYS.run("t", name), "stamp:a")
    return decode_stamp(data).release if data else None


async def test_pending_records_reach_the_store_once(redis_server: RealRedis, tmp_path: Path) -> None:
    """Pending stamps and links are written; junk is skipped; a second replay changes nothing but says the same."""
    old = now_ms() - 100_000_000_000
    link = LinkRecord("call_1", "t", "n", "a")
    turned = stamp("n", "rel_4", source=Source.NONE)
    tmp_path.joinpath("log").mkdir()
    path_of(tmp_path / "log", 1).write_bytes(
        record(stamp("r1", "rel_1"))
        + b"junk"
        + record(stamp("acknowledged", "rel_2"), 0)
        + record(stamp("n2", "rel_3", source=Source.NONE))
        + pack_record(STAMP, PENDING, stamp_key("t", "n", "a"), encode_stamp(turned))
        + pack_record(LINK, PENDING, link_key("t", "call_1"), msgspec.json.encode(link))
        + record(stamp("expired", at=old))
        + record(stamp("r1", "rel_9"))
        + pack_record(STAMP, PENDING, 5, b"{not a stamp")
    )
    async with opened(redis_server.url, tmp_path / "d") as live:
        await until(lambda: settled(live))
        replay = of(live, tmp_path / "log")
        for _ in range(2):
            end = await replay.run((0, 0), NEVER, now_ms())
        assert end == (1, path_of(tmp_path / "log", 1).stat().st_size)
        assert in_store(redis_server, "r1") == "rel_1", "the host's first record, not its second"
        assert in_store(redis_server, "n") == "rel_4"
        assert in_store(redis_server, "acknowledged") is in_store(redis_server, "expired") is None
        tell = Command(redis_server)
        assert b'"n"' in tell("GET", KEYS.link("t", "call_1"))
        assert tell("XLEN", KEYS.journal("t", "r1")) == 1
        assert tell("XLEN", KEYS.steps("a")) == 2, "plans of single requests are at least once"
        assert live.counters.conflicts == 2, "r1 was bound twice on this host; seen in each of two replays"


async def test_recent_acknowledged_records(redis_server: RealRedis, tmp_path: Path) -> None:
    """F9: acknowledged records from shortly before the loss are put back; a whole replay puts all of them back."""
    tmp_path.joinpath("log").mkdir()
    path_of(tmp_path / "log", 1).write_bytes(
        record(stamp("early", at=now_ms() - 50_000), 0) + record(stamp("late", at=now_ms()), 0)
    )
    async with opened(redis_server.url, tmp_path / "d") as live:
        await until(lambda: settled(live))
        replay = of(live, tmp_path / "log")
        await replay.run((0, 0), now_ms() - 10_000, now_ms())
        assert (in_store(redis_server, "early"), in_store(redis_server, "late")) == (None, "rel_1")
        await replay.run((0, 0), 0, now_ms(), whole=True)
        assert in_store(redis_server, "early") == "rel_1"
        assert live.counters.stamps_repaired == 2


@pytest.mark.parametrize(("shift", "winner"), [(-1000, "rel_log"), (1000, "rel_store")])
async def test_earliest_wins(redis_server: RealRedis, tmp_path: Path, shift: int, winner: str) -> None:
    """Where log and store disagree, the earlier binding stands, and the conflict is counted."""
    at = now_ms()
    tmp_path.joinpath("log").mkdir()
    Command(redis_server)("HSET", KEYS.run("t", "r"), "stamp:a", encode_stamp(stamp("r", "rel_store", at=at)))
    path_of(tmp_path / "log", 1).write_bytes(record(stamp("r", "rel_log", at=at + shift)))
    async with opened(redis_server.url, tmp_path / "d") as live:
        await until(lambda: settled(live))
        await of(live, tmp_path / "log").run((0, 0), NEVER, now_ms())
        assert in_store(redis_server, "r") == winner
        assert live.counters.conflicts == 1


async def test_one_worker_at_a_time(tmp_path: Path) -> None:
    """The lock of a host is held by one worker; the next gets it when that one is done or dead."""
    order: list[str] = []

    async def hold(name: str) -> None:
        async with host_lock(tmp_path):
            order.append(name)
            await asyncio.sleep(0.05)
            order.append(name)

    await asyncio.gather(hold("a"), hold("b"))
    assert order in (["a", "a", "b", "b"], ["b", "b", "a", "a"])


def test_checkpoint_and_marks(tmp_path: Path) -> None:
    """A checkpoint survives; a broken one means the beginning. Marks give the last place before a time."""
    assert read_checkpoint(tmp_path) == Checkpoint()
    write_checkpoint(tmp_path, Checkpoint(3, 40, 5, "s1"))
    assert read_checkpoint(tmp_path) == Checkpoint(3, 40, 5, "s1")
    (tmp_path / "replayed.json").write_text("{")
    assert read_checkpoint(tmp_path) == Checkpoint()
    marks = Marks((1, 0))
    for at in range(10, 20):
        marks.add(at, (2, at))
    assert [marks.before(at) for at in (5, 10, 15, 99)] == [(1, 0), (2, 10), (2, 15), (2, 19)]


def test_time_of_a_record_without_reading_it() -> None:
    """The time of a stamp is found in its JSON; junk has none."""
    assert _made(Found(1, 0, STAMP, 0, 1, encode_stamp(stamp("r", at=1234567890123)))) == 1234567890123
    assert _made(Found(1, 0, STAMP, 0, 1, b"{}")) == 0
    assert _made(Found(1, 0, STAMP, 0, 1, b'"at_ms":x')) == 0
