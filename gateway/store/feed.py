"""Keeps the pointer table in step with the store: a message per pointer write, a poll behind it, a heartbeat back.

Rules of the file: no pointer is older than one poll while the store answers; every change is acknowledged in `workers`
at once; polls travel on the bulk line so that they never stand before a stamp.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.release import Release
from gateway.store import artifacts
from gateway.store.counters import StoreCounters
from gateway.store.keys import Keys
from gateway.store.line import Line
from gateway.store.pointers import PointerTable, save
from gateway.store.records import Beat, StoreIdentity, alias_state, decode_release, releases_of
from gateway.store.resp import pack
from gateway.store.scripts import HEARTBEAT, sha
from gateway.store.sinks import LineError

POLL_SECONDS = 0.2
BEAT_SECONDS = 1.0
REFRESH_SECONDS = 2.0
"""How often release records are read again (a block arrives at once by message, at the latest by this)."""
SAVE_SECONDS = 30.0
"""How often an unchanged disk copy is dated anew."""


class Feed:
    """One task per worker. `on_exchanged` runs when the store turns out empty, exchanged or newly accepted."""

    def __init__(
        self,
        table: PointerTable,
        lines: tuple[Line, Line],
        about: tuple[Path, Keys, str],
        counters: StoreCounters,
        wall_ms: Callable[[], int],
    ) -> None:
        self.on_exchanged: Callable[[], None] = lambda: None
        self.first = asyncio.Event()
        """Set once the store has told its pointers (or that it is lost)."""
        self._wall_ms = wall_ms
        self._table = table
        self._stamps, self._bulk = lines
        self._data_dir, self._keys, self._worker = about
        self._counters = counters
        self._host = socket.gethostname()
        self._wake = asyncio.Event()
        self._hot: set[str] = set()
        self._blocked: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._names: tuple[bytes, ...] = ()
        self._asking: list[bytes] = []
        self._next_beat = 0.0
        self._next_refresh = 0.0
        self._next_save = 0.0
        self._changed = False
        self._raw: dict[str, bytes] = {}
        self._lease = (pack("HGET", self._keys.control(), "at_ms"), pack("TIME"))

    def start(self) -> None:
        """Begin to follow the store."""
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="store-pointers")

    async def close(self) -> None:
        """Stop; the disk copy is left as new as the table."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._changed:
            await self._save()

    def pushed(self, message: bytes) -> None:
        """A message of the pointers channel: `ALIAS VERSION` or `REL 0`."""
        name, _, number = message.decode("utf-8", "replace").rpartition(" ")
        if not number.isdigit():
            return
        if number == "0":
            self._blocked.add(name)
        elif int(number) > self._table.version(name):
            self._hot.add(name)
        self._wake.set()

    def poke(self) -> None:
        """Look at the store now: a line has come up."""
        self._wake.set()

    def beat(self) -> bytes:
        """The packed heartbeat; also the probe of both lines, because it writes."""
        table = self._table
        beat = Beat(
            at_ms=0,
            host=self._host,
            pid=os.getpid(),
            versions=table.versions,
            store_lost=table.store_lost,
            local=table.overridden,
        )
        rest = msgspec.json.encode(beat).removeprefix(b'{"at_ms":0,')
        return pack("EVALSHA", sha(HEARTBEAT), 1, self._keys.workers(), self._worker, rest)

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            changed = self._table.look_local()
            try:
                if self._line() is not None:
                    changed |= await self._poll(loop.time())
                    self.first.set()
            except LineError:
                pass  # counted by the line, which is coming back by itself
            except (ValueError, UnicodeDecodeError):
                self._counters.pointer_error("unreadable")
            self._changed |= changed
            now = loop.time()
            if changed or now >= self._next_beat:
                self._next_beat = now + BEAT_SECONDS
                await self._send_beat()
            if self._changed or (now >= self._next_save and not self._table.store_lost):
                await self._save()
            self._counters.pointer_age = self._table.age(now)
            self._counters.store_lost = int(self._table.store_lost)
            self._counters.lease_expired = int(time.monotonic() >= self._table.lease_until and self._table.splits)
            try:
                async with asyncio.timeout(POLL_SECONDS):  # wait_for may swallow the cancellation of a close
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _line(self) -> Line | None:
        """The line to read over: bulk, or stamps while bulk is down."""
        if self._bulk.up:
            return self._bulk
        return self._stamps if self._stamps.up else None

    async def _ask(self, commands: Iterable[bytes]) -> list[Any]:
        line = self._line()
        if line is None:
            raise LineError("down", sent=False)
        answers = await line.ask_many(list(commands))
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    async def _poll(self, now: float) -> bool:
        table, begun = self._table, time.monotonic()
        hot, self._hot = self._hot, set()
        changed = await self._fetch(hot) if hot and not table.store_lost else False
        # While there is a weight its lease is asked for along with it.
        commands = (pack("HGETALL", self._keys.store()), pack("SMEMBERS", self._keys.aliases()))
        store, names, *lease = await self._ask(commands + self._lease if table.splits else commands)
        before = (table.instance, table.store_lost)
        accepted = table.accepts(_identity(store))
        if before != (table.instance, table.store_lost) and before[0]:
            self._changed = True
            self.on_exchanged()
        if not accepted:
            return changed
        changed |= await self._fetch(await self._newer(tuple(names or ())))
        await self._refresh(now)
        table.confirmed(now)
        if table.splits:
            table.leased(begun, _age(*(lease or await self._ask(self._lease))))
        return changed

    async def _newer(self, names: tuple[bytes, ...]) -> list[str]:
        """Aliases whose version in the store is above ours; those below are noted as `behind`."""
        if set(names) != set(self._names):
            self._names = names
            self._asking = [pack("HGET", self._keys.alias(name.decode()), "version") for name in names]
        versions = await self._ask(self._asking)
        newer: list[str] = []
        behind = set(self._table.versions) - set(self._table.overridden) - {name.decode() for name in self._names}
        for raw, told in zip(self._names, versions, strict=True):
            name, version = raw.decode(), int(told or 0)
            known = self._table.version(name)
            if version > known:
                newer.append(name)
            elif version < known:
                behind.add(name)
        self._table.behind = behind
        return newer

    async def _fetch(self, names: Iterable[str]) -> bool:
        """Read aliases with the releases they name, and put each in force as a whole."""
        names = list(names)
        if not names:
            return False
        hashes = await self._ask(pack("HGETALL", self._keys.alias(name)) for name in names)
        states: list[AliasState] = []
        for fields in hashes:
            try:
                states.append(alias_state(_pairs(fields)))
            except (ValueError, KeyError):
                # Missing or unreadable: what is known stays in force.
                self._counters.pointer_error("unreadable")
        wanted = {release for state in states for release in self._table.missing(state)}
        releases = await self._releases(wanted)
        named = [releases.get(name) or self._table.release(name) for state in states for name in releases_of(state)]
        await self._texts(release for release in named if release is not None)
        adopted = [self._table.adopt(state, releases) for state in states]
        return any(adopted)

    async def _releases(self, wanted: Iterable[str]) -> dict[str, Release]:
        wanted = list(wanted)
        if not wanted:
            return {}
        found: dict[str, Release] = {}
        for name, data in zip(
            wanted, await self._ask(pack("GET", self._keys.release(name)) for name in wanted), strict=True
        ):
            if data is None:
                continue
            try:
                found[name] = decode_release(data)
            except ValueError:
                self._counters.pointer_error("unreadable")
                continue
            self._raw[name] = data
        return found

    async def _texts(self, releases: Iterable[Release]) -> None:
        """Read prompts and toolsets that these releases need, and the labels. What the store lacks is asked for again."""
        legs = [release for release in releases if artifacts.named(release)]
        if not legs:
            return
        wanted = self._table.without(legs)
        texts = await self._ask(pack("GET", self._keys.artifact(digest)) for digest in wanted) if wanted else ()
        for digest, data in zip(wanted, texts, strict=True):
            self._changed |= self._table.shelve(digest, data)
        (fields,) = await self._ask((pack("HGETALL", self._keys.labels()),))
        labels = _pairs(fields)
        if labels != self._table.labels:
            self._table.labels = labels
            self._changed = True

    async def _refresh(self, now: float) -> None:
        """Read release records again whose `blocked` may have changed."""
        if now >= self._next_refresh:
            self._next_refresh = now + REFRESH_SECONDS
            wanted = list(self._table.releases)
            await self._texts(self._table.known_releases())
        else:
            wanted = [name for name in self._blocked if self._table.release(name) is not None]
        self._blocked.clear()
        for at in range(0, len(wanted), 256):
            part = wanted[at : at + 256]
            answers = await self._ask(pack("GET", self._keys.release(name)) for name in part)
            for name, data in zip(part, answers, strict=True):
                if data is not None and self._raw.get(name) != data:
                    self._raw[name] = data
                    self._table.keep(decode_release(data))
                    self._changed = True
        if len(self._raw) > 2 * len(self._table.releases) + 64:
            self._raw.clear()

    async def _send_beat(self) -> None:
        line = self._stamps if self._stamps.up else self._line()
        if line is None:
            return
        try:
            await line.ask(self.beat())
        except LineError:
            return

    async def _save(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_save = loop.time() + SAVE_SECONDS
        self._changed = False
        if not self._table.versions or self._table.store_lost:
            return
        copy = self._table.copy(self._wall_ms())
        try:
            await loop.run_in_executor(None, save, self._data_dir, copy, self._table.texts(copy))
        except OSError:
            self._counters.pointer_error("disk_copy")
        except asyncio.CancelledError:
            self._changed = True
            raise


def _pairs(reply: Any) -> dict[str, str]:
    """A hash as RESP3 (map) or RESP2 (flat list) tells it."""
    if isinstance(reply, dict):
        return {key.decode(): value.decode() for key, value in reply.items()}
    flat = [item.decode() for item in reply or ()]
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _age(at_ms: bytes | None, told: list[bytes]) -> float:
    """Seconds since the control process gave a sign of life, by the store's clock; endless when it never did."""
    if at_ms is None or not at_ms.isdigit():
        return math.inf
    seconds, micro = told
    return int(seconds) + int(micro) / 1e6 - int(at_ms) / 1000


def _identity(reply: Any) -> StoreIdentity:
    fields = _pairs(reply)
    schema = fields.get("schema", "0")
    return StoreIdentity(fields.get("instance", ""), int(schema) if schema.isdigit() else 0, fields.get("replaces", ""))
