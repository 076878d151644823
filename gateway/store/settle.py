"""Decides when the host log is replayed: after a start, after every reconnect, when the store was emptied or exchanged.

Rule of the file: until the store has what the log has, the binder asks the log first, so that a run bound meanwhile is
not bound again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.settings.model import RunSettings, StoreSettings
from gateway.store.bind import Binder
from gateway.store.counters import StoreCounters
from gateway.store.hostlog import HostLog
from gateway.store.journal import Journal
from gateway.store.line import Line
from gateway.store.logfile import path_of, segments
from gateway.store.pointers import PointerTable
from gateway.store.replay import (
    MARGIN_MS,
    NEVER,
    Checkpoint,
    Marks,
    Replay,
    host_lock,
    read_checkpoint,
    write_checkpoint,
)
from gateway.store.sinks import LineError

MARK_SECONDS = 5.0
SWEEP_SECONDS = 30.0
"""How often the checkpoint moves on while all is well; what another worker left pending is found by it."""
RETRY_SECONDS = 0.2


class Settler:
    """One task per worker."""

    about: tuple[PointerTable, Callable[[], int]]

    def __init__(
        self,
        lines: tuple[Line, Line],
        parts: tuple[HostLog, Journal, Binder],
        settings: tuple[StoreSettings, RunSettings],
        counters: StoreCounters,
    ) -> None:
        self._lines = lines
        self._log, journal, self._binder = parts
        self._counters = counters
        self._replay = Replay(lines[1], self._log.directory, journal, settings, counters)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._marks = Marks((0, 0))
        self._due = True
        self._whole = False
        self._lost_ms = 0
        self._returned_ms = 0
        self._next_sweep = 0.0

    def start(self) -> None:
        """Find where to begin; the replay itself waits for the lines."""
        directory = self._log.directory
        point = read_checkpoint(directory)
        start = (point.segment, point.offset)
        self._marks = Marks(start)
        self._log.begin(*start)
        self._lost_ms = self.about[1]()
        try:
            numbers = segments(directory)
            if numbers:
                newest = path_of(directory, numbers[-1]).stat().st_mtime_ns // 1_000_000
                self._lost_ms = min(newest, self._lost_ms)
            else:
                self._binder.unsettled = False
        except OSError:
            self._counters.log_error("unreadable")
        self._task = asyncio.get_running_loop().create_task(self._run(), name="store-settle")

    async def close(self) -> None:
        """Stop; what was not replayed is next time."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def lost(self) -> None:
        """The stamps line went down."""
        if not self._due:
            self._due = True
            self._lost_ms = self.about[1]()
        self._binder.unsettled = True

    def returned(self) -> None:
        """A line came up."""
        self._returned_ms = self.about[1]()
        self._wake.set()

    def exchanged(self) -> None:
        """The store was emptied or exchanged: stamps it acknowledged are gone, too."""
        self._due = self._whole = True
        self._binder.unsettled = True
        self._wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if all(line.up for line in self._lines):
                try:
                    await self._turn(loop.time())
                except LineError:
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                except OSError:
                    # The disk cannot be read or written; what the store knows still serves.
                    self._counters.log_error("replay")
                    await asyncio.sleep(RETRY_SECONDS)
            self._wake.clear()
            try:
                async with asyncio.timeout(MARK_SECONDS):  # wait_for may swallow the cancellation of a close
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _turn(self, now: float) -> None:
        wall = self.about[1]()
        if self._due:
            await self._replay_log(wall)
        elif now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            await self._sweep(wall)
        self._marks.add(wall, self._log.position())

    async def _replay_log(self, wall: int) -> None:
        table = self.about[0]
        directory = self._log.directory
        self._due = False
        if not segments(directory):
            self._done()
            return
        whole, self._whole = self._whole, False
        try:
            async with host_lock(directory):
                point = read_checkpoint(directory)
                whole |= bool(point.instance) and bool(table.instance) and point.instance != table.instance
                if whole:
                    start, since = (0, 0), 0
                else:
                    since = self._lost_ms - MARGIN_MS
                    start = min(self._marks.before(since), (point.segment, point.offset))
                if whole or point.done_ms <= self._returned_ms:
                    end = await self._replay.run(start, since, wall, whole=whole)
                    write_checkpoint(directory, Checkpoint(*end, self.about[1](), table.instance))
        except BaseException:
            self._due = True
            self._whole |= whole
            raise
        self._done()

    def _done(self) -> None:
        """Settled, unless a line went down meanwhile."""
        if not self._due and not self._whole:
            self._binder.unsettled = False
            self._counters.log_pending = 0
            self._log.warm()

    async def _sweep(self, wall: int) -> None:
        """Move the checkpoint on; replay what another worker of the host left behind."""
        directory = self._log.directory
        async with host_lock(directory):
            point = read_checkpoint(directory)
            if self._log.position() <= (point.segment, point.offset):
                return
            end = await self._replay.run((point.segment, point.offset), NEVER, wall)
            write_checkpoint(directory, Checkpoint(*end, point.done_ms, self.about[0].instance))
