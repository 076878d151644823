"""The host's own log of bindings and links, shared by all workers under `data_dir/stamps`.

Rules of the file: a batch of records is one O_APPEND write, so workers never tear each other's records and the order in
the file is one order for the whole host; `append` is in the page cache when it returns (survives the process), `commit`
is on disk (survives the machine), many at once by one fsync in a thread; the total is bounded; the disk being slow, full
or read-only is an error that callers see at once, never a wait without end.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from gateway.store.counters import StoreCounters
from gateway.store.logfile import BODY_LIMIT, Found, pack_record, path_of, prune, segments
from gateway.store.logindex import LogIndex
from gateway.wire.flow import Wait

COMMIT_SECONDS = 0.5
"""How long a binding may wait for the disk."""
FIND_SECONDS = 1.0
"""How long a look-up may wait for the index."""
INLINE_BYTES = 64 << 10
"""A tail this short is read on the spot; more goes to a thread."""
REST_SECONDS = (0.004, 0.0005)
"""Pause of the reading thread after each piece, at leisure and while somebody waits."""
BATCH_BYTES = 8 << 20

_WORDS = {errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EROFS: "readonly", errno.EACCES: "denied", errno.EIO: "io"}


class LogFailed(Exception):
    """The log could not take or find a record; `kind` is a metric label: full, readonly, denied, io, slow, other."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)


class _Noted(Wait[None]):
    """A wait that ends well whatever happens."""

    __slots__ = ()

    def fail(self, error: BaseException) -> None:
        del error
        self.done(None)


class _Writer:
    """The open segment. Used by one thread at a time: the loop's, or the one that commits."""

    def __init__(self, directory: Path, limit: int, counters: StoreCounters) -> None:
        self._directory = directory
        self._limit = limit
        self._segment_limit = max(64 << 10, min(16 << 20, limit // 8))
        self._counters = counters
        self._fd = -1
        self.segment = 0

    def write(self, data: bytes, *, sync: bool) -> None:
        """Append in one write. Raises OSError; then a part may be there, and readers skip it."""
        if self._fd < 0:
            self._open(0)
        self._write_whole(data)
        about = os.fstat(self._fd)
        if about.st_nlink == 0:
            # Another worker removed this old segment while this one was idle: what was written there is lost.
            self.close()
            self._open(0)
            self._write_whole(data)
            about = os.fstat(self._fd)
        if sync:
            os.fsync(self._fd)
        if about.st_size >= self._segment_limit:
            following = self.segment + 1
            self.close()
            self._open(following)
            self._counters.log_evicted += prune(self._directory, self._limit)

    def _write_whole(self, data: bytes) -> None:
        written = os.write(self._fd, data)
        if written != len(data):
            raise OSError(errno.ENOSPC, "short write")

    def _open(self, segment: int) -> None:
        if not segment:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            numbers = segments(self._directory)
            segment = numbers[-1] if numbers else 1
        path = path_of(self._directory, segment)
        new = not path.exists()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.segment = segment
        if new:
            # A file that a crash may lose the name of keeps nothing.
            directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class HostLog:
    """Append, commit and find. A record with key 0 cannot be found, only replayed. Everything but the threads' own work runs on the event loop."""

    def __init__(self, directory: Path, limit: int, counters: StoreCounters) -> None:
        self.directory = directory
        self._counters = counters
        self._writer = _Writer(directory, limit, counters)
        self._batch: list[bytes] = []
        self._batch_bytes = 0
        self._waits: list[Wait[None]] = []
        self._sync = False
        self._scheduled = False
        self._committing: list[Wait[None]] | None = None
        self._commit_timer: asyncio.TimerHandle | None = None
        self._slow = False
        self._index = LogIndex(directory)
        self._deep = True
        self._finders: list[Wait[None]] = []
        self._find_timer: asyncio.TimerHandle | None = None
        self._reading = False
        self._jobs: set[asyncio.Future[Any]] = set()
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="host-log")
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- writing ------------------------------------------------------------------------------------------------------

    def append(self, kind: int, flags: int, key: int, body: bytes) -> Wait[None]:
        """Write a record with everything else of this loop iteration; the wait ends when the kernel has it, or with LogFailed."""
        wait: Wait[None] = Wait()
        self._append(pack_record(kind, flags, key, body), len(body), wait)
        return wait

    def note(self, kind: int, key: int, body: bytes) -> Wait[None]:
        """As append, for what the store vouches for: a failure is only counted, and a disk that proved slow is not waited for.

        A commit that is under way is waited for (at most COMMIT_SECONDS): what goes upstream is in the kernel's hands first.
        """
        wait = _Noted()
        self._append(pack_record(kind, 0, key, body), len(body), wait)
        if self._slow:
            wait.done(None)
        return wait

    def _append(self, record: bytes, body: int, wait: Wait[None]) -> None:
        if self._batch_bytes > BATCH_BYTES or body > BODY_LIMIT:
            why = "slow" if self._batch_bytes > BATCH_BYTES else "too_big"
            self._counters.log_error(why)
            wait.fail(LogFailed(why))
            return
        self._batch.append(record)
        self._batch_bytes += len(record)
        self._waits.append(wait)
        if not self._scheduled and self._committing is None:
            self._scheduled = True
            self._loop = self._loop or asyncio.get_running_loop()
            self._loop.call_soon(self._flush)

    def commit(self, kind: int, flags: int, key: int, body: bytes) -> Wait[None]:
        """As append, and on disk; at most COMMIT_SECONDS, then LogFailed `slow` (the record may still get there)."""
        wait = self.append(kind, flags, key, body)
        self._sync = True
        if self._slow:
            wait.fail(LogFailed("slow"))
        return wait

    def _flush(self) -> None:
        self._scheduled = False
        if self._committing is not None or not self._batch:
            return
        data = b"".join(self._batch)
        count = len(self._batch)
        waits, self._waits = self._waits, []
        self._batch = []
        self._batch_bytes = 0
        if not self._sync:
            error: BaseException | None = None
            try:
                self._writer.write(data, sync=False)
            except OSError as caught:
                error = caught
            self._finish(waits, count, error)
            return
        self._sync = False
        self._committing = waits
        loop = self._loop or asyncio.get_running_loop()
        self._commit_timer = loop.call_later(COMMIT_SECONDS, self._late)
        job = loop.run_in_executor(self._threads, self._commit, data)
        self._jobs.add(job)
        job.add_done_callback(lambda ended: self._committed(waits, count, ended))

    def _commit(self, data: bytes) -> float:
        begun = time.perf_counter()
        self._writer.write(data, sync=True)
        return (time.perf_counter() - begun) * 1000

    def _committed(self, waits: list[Wait[None]], count: int, ended: asyncio.Future[float]) -> None:
        self._jobs.discard(ended)
        if self._commit_timer is not None:
            self._commit_timer.cancel()
            self._commit_timer = None
        self._committing = None
        self._slow = False
        error = asyncio.CancelledError() if ended.cancelled() else ended.exception()
        if error is None:
            took = ended.result()
            self._counters.log_fsyncs += 1
            self._counters.log_fsync_ms += took
            self._counters.log_fsync_max_ms = max(self._counters.log_fsync_max_ms, took)
        self._finish(waits, count, error)
        self._flush()

    def _late(self) -> None:
        """The disk does not answer in time: nobody waits for it, now or until it has answered."""
        self._slow = True
        self._counters.log_error("slow")
        for wait in [*(self._committing or ()), *self._waits]:
            wait.fail(LogFailed("slow"))

    def _finish(self, waits: list[Wait[None]], count: int, error: BaseException | None) -> None:
        if error is None:
            self._counters.log_appended += count
            for wait in waits:
                wait.done(None)
            return
        kind = _WORDS.get(error.errno or 0, "other") if isinstance(error, OSError) else "other"
        self._counters.log_error(kind)
        self._writer.close()
        for wait in waits:
            wait.fail(LogFailed(kind))

    # -- finding ------------------------------------------------------------------------------------------------------

    def begin(self, segment: int, offset: int) -> None:
        """Say where the part of the log begins that the store may not know; before the first look-up."""
        self._index = LogIndex(self.directory, segment, offset)
        self._deep = (segment, offset) == (0, 0)

    async def find(self, key: int, *, deep: bool = True) -> list[Found]:
        """Every record under a key, in the host's order (a flow); unless `deep`, only from where the log was said to begin.

        Raises LogFailed: `slow` when the index takes too long, `io` when the log cannot be read.
        """
        if deep and not self._deep and not self._reading:
            self.begin(0, 0)
        try:
            if not self._caught_up():
                wait: Wait[None] = Wait()
                self._finders.append(wait)
                self._read_ahead()
                if self._find_timer is None and self._loop is not None:
                    self._find_timer = self._loop.call_later(FIND_SECONDS, self._find_late)
                await wait
                if deep and not self._deep:
                    return await self.find(key, deep=True)
            return self._index.find(key)
        except OSError:
            self._counters.log_error("unreadable")
            raise LogFailed("io") from None

    def _caught_up(self) -> bool:
        """Read the end of the log into the index, if that is little enough to do on the spot."""
        reader = self._index.reader
        if self._reading or reader.behind() > INLINE_BYTES:
            return False
        while self._index.advance():
            pass
        self._counters.log_bad = reader.bad
        return True

    def warm(self) -> None:
        """Read the whole log into the index at leisure, so that an outage finds it ready."""
        if not self._reading and not self._deep:
            self.begin(0, 0)
            self._read_ahead()

    def _read_ahead(self) -> None:
        if self._reading:
            return
        self._reading = True
        loop = self._loop = self._loop or asyncio.get_running_loop()
        job = loop.run_in_executor(self._threads, self._read_all)
        self._jobs.add(job)
        job.add_done_callback(self._read)

    def _read_all(self) -> None:
        while not self._stop.is_set() and self._index.advance():
            time.sleep(REST_SECONDS[bool(self._finders)])

    def _read(self, ended: asyncio.Future[None]) -> None:
        self._jobs.discard(ended)
        if self._find_timer is not None:
            self._find_timer.cancel()
            self._find_timer = None
        self._reading = False
        self._counters.log_bad = self._index.reader.bad
        finders, self._finders = self._finders, []
        error = None if ended.cancelled() else ended.exception()
        for finder in finders:
            if error is None:
                finder.done(None)
            else:
                finder.fail(LogFailed("io"))

    def _find_late(self) -> None:
        self._find_timer = None
        self._counters.log_error("index_slow")
        finders, self._finders = self._finders, []
        for finder in finders:
            finder.fail(LogFailed("slow"))

    # -- life ---------------------------------------------------------------------------------------------------------

    def position(self) -> tuple[int, int]:
        """End of the log now: segment and offset."""
        numbers = segments(self.directory)
        if not numbers:
            return 0, 0
        try:
            return numbers[-1], path_of(self.directory, numbers[-1]).stat().st_size
        except FileNotFoundError:
            return numbers[-1], 0

    async def close(self) -> None:
        """Write what is queued and let the threads end."""
        self._stop.set()
        self._flush()
        for _ in range(3):
            if self._jobs:
                await asyncio.wait(self._jobs, timeout=COMMIT_SECONDS)
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._writer.close()
