"""Everything that is written after the fact: steps, exposures, events, the index of runs by release.

Rule of the file: nothing here can delay or fail a request. Records wait in a queue bounded by bytes and count, leave in
batches over the bulk line, and what cannot be kept is dropped and counted by reason.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from gateway.core.contract.journal import Event, Exposure, Report, Step
from gateway.core.contract.run import Stamp
from gateway.settings.model import StoreSettings
from gateway.store.counters import StoreCounters
from gateway.store.line import Line
from gateway.store.resp import argument, literal, pack
from gateway.store.sinks import LineError

BATCH = 64
FLUSH_SECONDS = 0.005
QUEUE_BYTES = 16 << 20
QUEUE_RECORDS = 50_000
UNSENT_LIMIT = 1 << 20
"""While the kernel has not taken this many bytes of earlier batches, later ones stay in our own, counted, queue."""
GUARDRAIL_KEPT = 200_000
"""Entries kept of an alias's exposures and events."""
KNOWN_KEYS = 1024
INDEX_TRIM = 512
"""Every so many additions the index of a release forgets runs past their time."""

_encode = msgspec.json.Encoder().encode


class Bulk:
    """The queue in front of the bulk line."""

    __slots__ = (
        "_bytes",
        "_counters",
        "_line",
        "_loop",
        "_queue",
        "_timer",
        "limit_bytes",
        "limit_records",
    )

    def __init__(self, line: Line, counters: StoreCounters) -> None:
        self._line = line
        line.quiet = self
        self._counters = counters
        self._queue: deque[tuple[bytes, int]] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.limit_bytes = QUEUE_BYTES
        self.limit_records = QUEUE_RECORDS

    def put(self, commands: bytes, count: int) -> None:
        """Queue one record of `count` packed commands; dropped and counted when the queue is full."""
        size = self._bytes + len(commands)
        if size > self.limit_bytes:
            self._counters.dropped("full")
            return
        queue = self._queue
        queue.append((commands, count))
        self._bytes = size
        if self._timer is None:
            self._loop = self._loop or asyncio.get_running_loop()
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._tick)
        if len(queue) >= BATCH:
            self._long()

    def _long(self) -> None:
        """A whole batch is there: send it, or see that the queue keeps its bound."""
        if self._line.up:
            self.flush()
        if len(self._queue) > self.limit_records:
            self._bytes -= len(self._queue.pop()[0])
            self._counters.dropped("full")

    def _tick(self) -> None:
        self._timer = None
        self.flush()

    def flush(self) -> None:
        """Hand what is queued to the line, batch by batch; stops while the line is down or behind (it calls again when up)."""
        queue, line = self._queue, self._line
        while queue and line.up and line.unsent < UNSENT_LIMIT:
            if len(queue) <= BATCH:
                batch = list(queue)
                queue.clear()
            else:
                batch = [queue.popleft() for _ in range(BATCH)]
            records, counts = zip(*batch, strict=True)
            commands = b"".join(records)
            self._bytes -= len(commands)
            line.send_batch(commands, sum(counts), self)
        self._counters.bulk_queued = len(queue)
        if queue and line.up and self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._tick)

    def done(self, value: object) -> None:
        """One command was carried out."""
        del value
        self._counters.bulk_sent += 1

    def counted(self, count: int) -> None:
        """So many commands were carried out."""
        self._counters.bulk_sent += count

    def fail(self, error: BaseException) -> None:
        """One command was refused, or its answer never came (then it may have been carried out: it is not sent again)."""
        lost = isinstance(error, LineError) and error.message == ""
        self._counters.dropped("lost" if lost else "refused")

    def close(self) -> None:
        """Flush once more and stop; what stays is counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()
        if self._queue:
            self._counters.dropped("closed", len(self._queue))
            self._queue.clear()
            self._bytes = 0


class Journal:
    """Packs records into commands for the queue."""

    __slots__ = (
        "_added",
        "_bulk",
        "_digest",
        "_entry",
        "_heads",
        "_index_age",
        "_prefix",
        "_put",
        "_steps_kept",
        "_ttl_ms",
    )

    def __init__(
        self, bulk: Bulk, settings: StoreSettings, index_seconds: float, digest: Callable[[str, str], bytes]
    ) -> None:
        self._bulk = bulk
        self._put = bulk.put
        self._digest = digest
        self._prefix = settings.prefix.encode()
        self._steps_kept = settings.steps_kept
        self._ttl_ms = int(settings.journal_ttl * 1000)
        key = b"$%d\r\n%b:journal:{%%b}\r\n" % (len(self._prefix) + 43, literal(settings.prefix))
        self._entry = b"*5\r\n$4\r\nXADD\r\n" + key + b"$1\r\n*\r\n$5\r\nentry\r\n$%d\r\n%b\r\n"
        self._entry += b"*3\r\n$7\r\nPEXPIRE\r\n" + key + argument(b"%d" % self._ttl_ms)
        """An entry of a run's journal: RUN, length, record, RUN."""
        self._index_age = int(index_seconds * 1000)
        self._heads: dict[tuple[str, str], bytes] = {}
        self._added = 0

    def step(self, stamp: Stamp, entry: Step, *, stored: bool) -> None:
        """A step of a run: into the journal of a stored run, else into the alias's capped stream."""
        record = _encode(entry)
        if stored:
            run = self._digest(stamp.tenant, stamp.run)
            self._put(self._entry % (run, len(record), record, run), 2)
        else:
            self._put(self._capped("steps", stamp.alias, self._steps_kept) + argument(record), 1)

    def report(self, tenant: str, run: str, report: Report) -> tuple[bytes, bytes]:
        """The commands that append an outcome to a run's journal."""
        key = b"%b:journal:{%b}" % (self._prefix, self._digest(tenant, run))
        return pack("XADD", key, "*", "entry", _encode(report)), pack("PEXPIRE", key, self._ttl_ms)

    def exposure(self, entry: Exposure) -> None:
        """A run was bound under a rollout."""
        self._bulk.put(self._capped("exposures", entry.alias, GUARDRAIL_KEPT) + argument(_encode(entry)), 1)

    def event(self, alias: str, entry: Event) -> None:
        """One guardrail observation."""
        self._bulk.put(self._capped("events", alias, GUARDRAIL_KEPT) + argument(_encode(entry)), 1)

    def indexed(self, stamp: Stamp) -> None:
        """A stored run was bound to a release: `release runs` lists it until its ticket could no longer be used."""
        if not stamp.release:
            return
        key = b"%b:release-runs:{%b}" % (self._prefix, stamp.release.encode())
        self._bulk.put(pack("ZADD", key, stamp.at_ms, self._digest(stamp.tenant, stamp.run)), 1)
        self._added += 1
        if self._added % INDEX_TRIM == 1:
            self._bulk.put(pack("ZREMRANGEBYSCORE", key, "-inf", stamp.at_ms - self._index_age), 1)
            self._bulk.put(pack("PEXPIRE", key, self._index_age), 1)

    def plan(self, stamp: bytes, alias: str) -> bytes:
        """The command that records the plan of a run of one request."""
        return self._capped("steps", alias, self._steps_kept) + argument(b'{"type":"plan","stamp":%b}' % stamp)

    def _capped(self, kind: str, alias: str, kept: int) -> bytes:
        """Everything of an XADD to a capped stream but the record."""
        head = self._heads.get((kind, alias))
        if head is None:
            if len(self._heads) >= KNOWN_KEYS:
                self._heads.clear()
            key = b"%b:%b:{%b}" % (self._prefix, kind.encode(), quote(alias, safe="").encode())
            whole = pack("XADD", key, "MAXLEN", "~", kept, "*", "entry", "")
            head = self._heads[kind, alias] = whole.removesuffix(argument(b""))
        return head
