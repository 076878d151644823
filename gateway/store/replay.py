"""After the store was away: what the host log knows and the store may not is put there.

Rules of the file: one worker of a host replays at a time; in small batches over the bulk line, each answered before the
next, so that no stamp waits behind them; the earliest binding wins and every meeting of two is counted. Replaying a
record again changes nothing.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from gateway.core.contract.run import Stamp
from gateway.settings.model import RunSettings, StoreSettings
from gateway.store.counters import StoreCounters
from gateway.store.journal import Journal
from gateway.store.line import Line
from gateway.store.links import LinkRecord, link_command, replay_command
from gateway.store.logfile import LINK, PENDING, STAMP, Found, Reader
from gateway.store.recent import Recent
from gateway.store.sinks import LineError

BATCH = 64
MARGIN_MS = 30_000
"""Records this much older than the loss of the connection are put back even if acknowledged: a failover may have lost them."""
MARKS = 64
LOCK_SECONDS = 0.2
NEVER = 1 << 62
"""As `since_ms`: only what was written without the store."""
SEEN = 5_000
"""Bindings of a replay kept in mind to notice a second one of the same run; further apart, the script decides by time."""


class Checkpoint(msgspec.Struct, omit_defaults=True):
    """`replayed.json`: up to where every pending record of the host was put into which store, and when that ended."""

    segment: int = 0
    offset: int = 0
    done_ms: int = 0
    instance: str = ""


def read_checkpoint(directory: Path) -> Checkpoint:
    """The host's checkpoint; the beginning of the log when there is none."""
    try:
        return msgspec.json.decode((directory / "replayed.json").read_bytes(), type=Checkpoint)
    except (OSError, msgspec.MsgspecError):
        return Checkpoint()


def write_checkpoint(directory: Path, point: Checkpoint) -> None:
    """Replace the host's checkpoint in one step."""
    new = directory / f"replayed.{os.getpid()}.new"
    new.write_bytes(msgspec.json.encode(point))
    new.replace(directory / "replayed.json")


class Marks:
    """Where the log ended at which time, so that a replay knows where to begin."""

    def __init__(self, start: tuple[int, int]) -> None:
        self._start = start
        self._marks: deque[tuple[int, tuple[int, int]]] = deque(maxlen=MARKS)

    def add(self, now_ms: int, position: tuple[int, int]) -> None:
        """Note the end of the log; call every few seconds while the store is up."""
        self._marks.append((now_ms, position))

    def before(self, at_ms: int) -> tuple[int, int]:
        """A position that everything written since `at_ms` comes after."""
        best = self._start
        for when, position in self._marks:
            if when > at_ms:
                break
            best = position
        return best


class Replay:
    """One pass over the log. `whole` puts acknowledged stamps back too: the store was emptied or exchanged."""

    def __init__(
        self,
        line: Line,
        directory: Path,
        journal: Journal,
        settings: tuple[StoreSettings, RunSettings],
        counters: StoreCounters,
    ) -> None:
        store, runs = settings
        self._line = line
        self._directory = directory
        self._journal = journal
        self._prefix = store.prefix
        self._ttls = (int(runs.ttl * 1000), int(store.journal_ttl * 1000))
        self._counters = counters

    async def run(self, start: tuple[int, int], since_ms: int, now_ms: int, *, whole: bool = False) -> tuple[int, int]:
        """Replay from a position on; returns where the log ended. Records made after `since_ms` count as pending.

        Raises LineError when the store goes away again; call again then. Records already put there are found there.
        """
        reader = Reader(self._directory, *start)
        winners: Recent[int, Stamp] = Recent(SEEN)
        batch: list[tuple[Found, bytes]] = []
        loop = asyncio.get_running_loop()
        oldest = now_ms - self._ttls[0]
        while (found := await loop.run_in_executor(None, reader.step)) is not None:
            for record in found:
                late = since_ms < NEVER and (record.kind == LINK or _made(record) >= since_ms)
                if record.flags & PENDING or whole or late:
                    batch += [(record, command) for command in self._commands(record, winners, oldest)]
                if len(batch) >= BATCH:
                    await self._send(batch)
                    batch = []
            await asyncio.sleep(0)
        await self._send(batch)
        return reader.segment, reader.offset

    def _commands(self, record: Found, winners: Recent[int, Stamp], oldest: int) -> list[bytes]:
        pending = bool(record.flags & PENDING)
        try:
            if record.kind == LINK:
                link = msgspec.json.decode(record.body, type=LinkRecord)
                return [link_command(self._prefix, link, self._ttls[0])]
            stamp = msgspec.json.decode(record.body, type=Stamp)
        except msgspec.MsgspecError:
            return []
        if record.kind != STAMP or stamp.at_ms < oldest:
            return []
        if not record.key:
            # A run of one request: nothing can ask for it again, its plan is all there is.
            return [self._journal.plan(record.body, stamp.alias)] if pending else []
        winner = winners.get(record.key)
        if winner is not None and stamp.at_ms - winner.at_ms < self._ttls[0]:
            # This host bound the run twice; it serves the first, so the second must not reach the store.
            self._counters.conflicts += (winner.release, winner.model) != (stamp.release, stamp.model)
            return []
        winners.put(record.key, stamp)
        self._journal.indexed(stamp)
        return [replay_command(self._prefix, stamp, self._ttls, 1)]

    async def _send(self, batch: list[tuple[Found, bytes]]) -> None:
        if not batch:
            return
        answers = await self._line.ask_many([command for _, command in batch])
        for (record, _), answer in zip(batch, answers, strict=True):
            if isinstance(answer, LineError):
                raise answer
            if isinstance(answer, BaseException):
                raise answer
            self._count(record, answer)

    def _count(self, record: Found, answer: Any) -> None:
        counters = self._counters
        if record.flags & PENDING:
            counters.log_replayed += 1
        if isinstance(answer, list) and len(answer) == 2:
            counters.conflicts += answer[1] >= 2
            counters.stamps_repaired += answer[1] in {1, 3} and not record.flags & PENDING


def _made(record: Found) -> int:
    """When a stamp was made, without reading all of it: `at_ms` is a plain number in its JSON."""
    at = record.body.rfind(b'"at_ms":')
    if at < 0:
        return 0
    digits = record.body[at + 8 : at + 24]
    end = next((i for i, byte in enumerate(digits) if not 48 <= byte <= 57), len(digits))
    return int(digits[:end] or b"0")


@asynccontextmanager
async def host_lock(directory: Path) -> AsyncIterator[None]:
    """Held by the one worker of a host that replays; waits for the others."""
    descriptor = _open_lock(directory)
    try:
        while not _locked(descriptor):  # noqa: ASYNC110 - another process holds it
            await asyncio.sleep(LOCK_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _open_lock(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(directory / "replay.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
