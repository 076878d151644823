"""Every pointer write reaches every worker in well under a second, by message or by poll, and is acknowledged."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.alias import Split
from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.store import artifacts
from gateway.store.local import COPY, OVERRIDE, read_copy
from gateway.store.records import Beat, PointerFile, encode_release
from gateway.wire.flow import run
from tests.store.lives import KEYS, Command, opened, release, settled, state, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


@pytest.fixture
def tell(redis_server: RealRedis) -> Command:
    """A server with an identity and alias `a` at version 1."""
    command = Command(redis_server)
    command("HSET", KEYS.store(), "instance", "s1", "schema", "1")
    command.create(state(1))
    return command


def beat(tell: Command, worker: str = "w1") -> Beat:
    """A worker's heartbeat."""
    data = tell("HGET", KEYS.workers(), worker)
    return msgspec.json.decode(data or b'{"at_ms":0}', type=Beat)


async def test_message_is_acknowledged_at_once(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A pointer write is in force and acknowledged within a few milliseconds, and is in the disk copy."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        assert live.pointers.alias("a") == state(1)
        tell.move(state(2, lane="rel_2"))
        assert await until(lambda: live.pointers.alias("a") == state(2, lane="rel_2")) < 0.1
        assert await until(lambda: beat(tell).versions == {"a": 2}) < 0.15
        await until(lambda: (read_copy(tmp_path) or PointerFile()).aliases.get("a") == state(2, lane="rel_2"))
        assert not live.pointers.store_lost
        assert 0 <= live.pointers.age(asyncio.get_running_loop().time()) < 0.5


async def test_poll_without_messages(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """Without pub/sub a pointer write is in force within a poll, also for an alias made meanwhile."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        live._stamps.on_push = lambda _: None
        tell.move(state(2, lane="rel_2"))
        assert await until(lambda: live.pointers.alias("a") == state(2, lane="rel_2")) < 0.4
        tell.create(state(1, "b"))
        assert await until(lambda: live.pointers.alias("b")) < 0.4


async def test_a_lease_is_asked_for_only_while_there_is_a_weight(
    redis_server: RealRedis, tell: Command, tmp_path: Path
) -> None:
    """The control process's sign of life is read with the poll, by the store's clock; what is no sign is none."""
    now = asyncio.get_running_loop().time
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        seconds = int(tell("TIME")[0])
        tell("HSET", KEYS.control(), "at_ms", seconds * 1000)
        await asyncio.sleep(0.25)
        assert live.pointers.lease_until < 0
        tell("SET", KEYS.release("rel_2"), encode_release(release("rel_2")))
        split = Split("rel_2", "s", {"*": 500})
        tell.move(msgspec.structs.replace(state(2), split=split))
        assert await until(lambda: live.pointers.lease_until > now()) < 0.4
        assert live.pointers.lease_until <= now() + live.pointers.lease_seconds
        tell("HSET", KEYS.control(), "at_ms", "soon")
        await until(lambda: live.pointers.lease_until < 0)
        await until(lambda: live.counters.lease_expired)


async def test_missing_release_keeps_the_old_state(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A state whose release record is missing is not taken; once the record is there, it is."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell.move(state(2, lane="rel_9"), with_release=False)
        await until(lambda: live.counters.pointer_errors.get("release_missing"))
        assert live.pointers.alias("a") == state(1)
        tell("SET", KEYS.release("rel_9"), encode_release(release("rel_9")))
        await until(lambda: live.pointers.alias("a") == state(2, lane="rel_9"))


async def test_blocked_release_is_seen(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A release that is blocked is seen at once by message, and by the refresh without one."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell("SET", KEYS.release("rel_1"), encode_release(release("rel_1", "bad")))
        tell("PUBLISH", KEYS.pointers(), "rel_1 0")

        def blocked() -> str:
            found = live.pointers.release("rel_1")
            return found.blocked if found else ""

        assert await until(lambda: blocked() == "bad") < 0.3
        tell("SET", KEYS.release("rel_1"), encode_release(release("rel_1", "worse")))
        assert await until(lambda: blocked() == "worse") < 2.6


async def test_other_releases_are_fetched(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """The release of an old run, which no pointer names any more, is read from the store once."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell("SET", KEYS.release("rel_old"), encode_release(release("rel_old")))
        assert live.pointers.release("rel_old") is None
        assert await run(live.fetch_release("rel_old")) == release("rel_old")
        assert live.pointers.release("rel_old") == release("rel_old")
        assert await run(live.fetch_release("rel_none")) is None


async def test_f1_pointers_without_store(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """F1: a worker started without the store serves from the disk copy; without a copy it says that nothing is known."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live) and live.pointers.alias("a"))
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        assert live.pointers.alias("a") == state(1)
        assert live.pointers.known
        assert not live.up
    async with opened("redis://127.0.0.1:1", tmp_path / "fresh") as live:
        assert not live.pointers.known


async def test_f10_flushall_is_store_lost(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """F10: FLUSHALL under a running worker: pointers stay, the flag is up, nothing is re-seeded; a restore lowers it."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell("FLUSHALL")
        await until(lambda: live.pointers.store_lost)
        assert live.pointers.alias("a") == state(1)
        await until(lambda: beat(tell).store_lost)
        assert tell("EXISTS", KEYS.alias("a")) == 0
        tell("HSET", KEYS.store(), "instance", "s1")
        tell.create(state(1))
        await until(lambda: not live.pointers.store_lost)


async def test_another_store(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A store with another identity is not believed until it names the old one as replaced."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell("FLUSHALL")
        tell("HSET", KEYS.store(), "instance", "s2")
        tell.create(state(1, lane="rel_2"))
        await until(lambda: live.pointers.store_lost)
        assert live.pointers.alias("a") == state(1)
        tell("HSET", KEYS.store(), "replaces", "s1")
        await until(lambda: live.pointers.alias("a") == state(1, lane="rel_2"))
        assert live.pointers.instance == "s2"
        assert not live.pointers.store_lost


async def test_lost_pointer_write_is_flagged(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A store that went back to an older version is flagged; the worker stays where it was."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell.move(state(2, lane="rel_2"))
        await until(lambda: live.pointers.version("a") == 2)
        tell("HSET", KEYS.alias("a"), "version", "1")
        await until(lambda: live.pointers.store_lost)
        assert live.pointers.alias("a") == state(2, lane="rel_2")


async def test_local_override(tmp_path: Path, redis_server: RealRedis, tell: Command) -> None:
    """With the store dead, an override file takes effect within a poll; the store wins again once it is as new."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live) and (tmp_path / COPY).exists())
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        override = PointerFile(aliases={"a": state(2, lane="rel_7")}, releases={"rel_7": release("rel_7")})
        (tmp_path / OVERRIDE).write_bytes(msgspec.json.encode(override))
        assert await until(lambda: live.pointers.alias("a") == state(2, lane="rel_7")) < 0.4
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live) and beat(tell).local == ("a",))
        assert live.pointers.alias("a") == state(2, lane="rel_7")
        tell.move(state(2, lane="rel_2"))
        await until(lambda: live.pointers.alias("a") == state(2, lane="rel_2"))


async def test_many_aliases(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """Hundreds of aliases are followed; the last write among them arrives as fast."""
    for number in range(200):
        tell.create(state(1, f"n{number}"))
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: len(live.pointers.aliases) == 201)
        begun = time.monotonic()
        tell.move(state(2, "n199", "rel_2"))
        await until(lambda: live.pointers.version("n199") == 2)
        assert time.monotonic() - begun < 0.3


async def test_learned_alias(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """An alias is learned once, with its release and history, and every worker follows it."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        learned = msgspec.structs.replace(state(1, "gpt-4o", "rel_new"), learned=True)
        assert await run(live.create_alias(learned, release("rel_new")))
        assert not await run(live.create_alias(learned, release("rel_new")))
        await until(lambda: live.pointers.alias("gpt-4o") == learned)
        assert tell("XLEN", KEYS.history("gpt-4o")) == 1
        assert tell("ZSCORE", KEYS.releases(), "rel_new") is not None


async def test_texts_come_with_the_pointer(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A release's prompt and labels are at hand when its pointer is in force; labels given later follow; all is on disk."""
    made, text = legged("rel_2"), b"Be kind."
    tell("SET", KEYS.artifact(digest(text)), text)
    tell("HSET", KEYS.labels(), "kind@v1", digest(text))
    tell("SET", KEYS.release("rel_2"), encode_release(made))
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell.move(state(2, lane="rel_2"), with_release=False)
        await until(lambda: live.pointers.alias("a") == state(2, lane="rel_2"))
        assert live.pointers.artifact(digest(text)) == text
        assert live.pointers.labels_of(digest(text)) == ("kind@v1",)
        tell("HSET", KEYS.labels(), "again@v1", digest(text))
        await until(lambda: live.pointers.labels_of(digest(text)) == ("again@v1", "kind@v1"))
        await until(lambda: artifacts.read(tmp_path, digest(text)) == text)
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        assert live.pointers.artifact(digest(text)) == text
        assert live.pointers.labels_of(digest(text)) == ("again@v1", "kind@v1")


async def test_a_missing_text_does_not_hold_the_pointer(redis_server: RealRedis, tell: Command, tmp_path: Path) -> None:
    """A pointer whose release lacks its text is in force all the same, counted, and the text is taken once it is there."""
    tell("SET", KEYS.release("rel_2"), encode_release(legged("rel_2")))
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell.move(state(2, lane="rel_2"), with_release=False)
        await until(lambda: live.pointers.alias("a") == state(2, lane="rel_2"))
        assert live.counters.pointer_errors["artifact_missing"]
        assert not await run(live.fetch_artifacts(legged("rel_2")))
        tell("SET", KEYS.artifact(digest(b"Be kind.")), "Be kind.")
        assert await run(live.fetch_artifacts(legged("rel_2")))
        assert live.pointers.artifact(digest(b"Be kind.")) == b"Be kind."


def legged(name: str) -> Release:
    """A release that serves a prompt."""
    return msgspec.structs.replace(release(name), triple=Triple(f"openai/{name}", Leg(Mode.SERVE, digest(b"Be kind."))))
