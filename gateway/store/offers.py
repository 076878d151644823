"""Hands captured exchanges over to the queue of the shadow, on a connection of their own that exists only once something is offered.

Rule of the file: an offer is one bounded, non-blocking append. What cannot be kept is dropped and counted by reason; once the
store has taken a batch nothing of it can be lost. Nothing is ever sent twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from msgspec.structs import replace

from gateway.settings.model import ShadowSettings, StoreSettings
from gateway.store.counters import StoreCounters
from gateway.store.keys import Keys
from gateway.store.line import Line, LineOptions
from gateway.store.resp import argument, pack
from gateway.store.scripts import PAUSE, sha
from gateway.store.sinks import LineError
from gateway.store.target import Finder

FLUSH_SECONDS = 0.05
"""A job may wait so long for others to share its batch: nobody waits for it, and a batch of one costs as much as one of fifty."""
CLOSE_STEP = 0.005
BATCH = 64
BATCH_BYTES = 1 << 20
UNSENT_LIMIT = 4 << 20
"""While the kernel has not taken this many bytes, later offers stay in our own, counted, queue."""
LIMIT_SECONDS = 2.0
"""Longest wait for the store to take a batch."""
CLOSE_SECONDS = 0.5
"""What the store gets at the end to answer the last batches."""
PARTS = 3
"""Arguments of the script per job: job, body, reply."""

RESERVE = 0.8
"""Share of the store's `maxmemory` that jobs may fill it up to; the rest is for stamps, and for the results of what waits."""

OFFER = f"""
local told = redis.pcall('INFO', 'memory')
if type(told) == 'string' then
  local most = tonumber(string.match(told, '\\nmaxmemory:(%d+)') or '0')
  if most > 0 and tonumber(string.match(told, '\\nused_memory:(%d+)') or '0') > most * {RESERVE} then return -1 end
end
local limit, bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local waiting = redis.call('XLEN', KEYS[1])
local taken = 0
for at = 3, #ARGV, 3 do
  if waiting + taken >= limit then break end
  if (waiting + taken) * (#ARGV[at] + #ARGV[at + 1] + #ARGV[at + 2]) < bytes then
    redis.call('XADD', KEYS[1], '*', 'job', ARGV[at], 'body', ARGV[at + 1], 'reply', ARGV[at + 2])
    taken = taken + 1
  end
end
return taken
"""
"""Append jobs while there is room: where as many of a job's size as wait would be too much, it is passed over, so that no book
of bytes has to be kept. KEYS: jobs. ARGV: jobs and bytes that may wait, then job, body and reply of each. Reply: how many were
taken; -1 when the server's memory is nearly full. A user that may not ask INFO gets no such warning."""


class Offers:
    """The queue in front of the shadow's stream."""

    def __init__(self, store: StoreSettings, shadow: ShadowSettings, worker: str, counters: StoreCounters) -> None:
        keys = Keys(store.prefix)
        self._keys = keys
        self._counters = counters
        self.renew(shadow)
        probe = pack("HSET", keys.shadow_state(), "probe", worker)
        options = LineOptions("shadow", lambda: probe, LIMIT_SECONDS, (OFFER, PAUSE))
        where = store if not store.shadow_redis else replace(store, redis=store.shadow_redis, sentinel=None)
        self._line = Line(Finder(where), options, counters.shadow)
        self._line.on_up = self._opened
        self._queue: deque[tuple[bytes, bytes, bytes]] = deque()
        self._bytes = 0
        self._asked = 0
        self._paused: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        """Pauses that the store has not been told yet."""
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def renew(self, shadow: ShadowSettings) -> None:
        """Take new bounds."""
        self._limit_bytes = shadow.queue_bytes
        words = ("EVALSHA", sha(OFFER), "1", self._keys.shadow_jobs(), str(shadow.queue), str(shadow.store_bytes))
        self._head = b"".join(argument(word.encode()) for word in words)

    def room(self, size: int) -> bool:
        """Whether a job of so many bytes would be taken now; where not, it is counted as dropped."""
        if self._bytes + size <= self._limit_bytes:
            return True
        self._counters.unshadowed("full")
        return False

    def put(self, job: bytes, body: bytes, reply: bytes) -> None:
        """Offer a job: its record as JSON, the client's body and the provider's answer. Never blocks, never raises."""
        size = len(job) + len(body) + len(reply)
        if not self.room(size):
            return
        # Packed when the batch leaves: a body is copied once, and until then it is the one that the request had.
        self._queue.append((job, body, reply))
        self._bytes += size
        self._counters.shadow_queued = len(self._queue)
        loop = self._loop or self._begin()
        if self._timer is None:
            self._timer = loop.call_later(FLUSH_SECONDS, self._tick)
        if len(self._queue) >= BATCH or self._bytes >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Send what is queued, batch by batch, while the store keeps up; it calls again when it is back."""
        line = self._line
        while self._queue and line.up and line.unsent < UNSENT_LIMIT:
            pieces: list[bytes] = [b"", self._head]
            count = size = 0
            while self._queue and count < BATCH and size < BATCH_BYTES:
                for part in self._queue.popleft():
                    pieces += (b"$%d\r\n" % len(part), part, b"\r\n")
                    size += len(part)
                count += 1
            pieces[0] = b"*%d\r\n" % (6 + PARTS * count)
            self._asked += 1
            line.send(b"".join(pieces), _Batch(self, count, size))
        self._counters.shadow_queued = len(self._queue)
        if self._queue and line.up and self._timer is None and self._loop is not None:
            self._timer = self._loop.call_later(FLUSH_SECONDS, self._tick)

    def pause(self, provider: str, until_ms: int) -> None:
        """Have the shadow leave a provider alone until then: said at once, or as soon as the store is there."""
        if until_ms <= self._paused.get(provider, 0):
            return
        self._paused[provider] = self._untold[provider] = until_ms
        if self._loop is None:
            self._begin()
        elif self._line.up:
            self._tell()

    def answered(self, size: int, sent: int, taken: int, why: str = "queue_full") -> None:
        """The fate of a batch of `sent` jobs in `size` bytes: so many were taken, the others were not for this reason. A batch
        whose answer never came counts as not taken, although it may have been."""
        self._asked -= 1
        self._bytes -= size
        self._counters.shadow_taken += taken
        if taken < sent:
            self._counters.unshadowed(why, sent - taken)

    async def close(self) -> None:
        """Send once more and leave; what stays is counted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.flush()
        if self._queue:
            self._counters.unshadowed("closed", len(self._queue))
            self._queue.clear()
        if self._loop is None:
            return
        until = self._loop.time() + CLOSE_SECONDS
        while self._asked and self._line.up and self._loop.time() < until:  # noqa: ASYNC110 - the end of a process
            await asyncio.sleep(CLOSE_STEP)
        await self._line.close()

    def _begin(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        self._line.start()
        return self._loop

    def _opened(self) -> None:
        self._tell()
        self.flush()

    def _tell(self) -> None:
        for provider, until_ms in self._untold.items():
            command = pack("EVALSHA", sha(PAUSE), 1, self._keys.shadow_state(), provider, until_ms)
            self._line.send(command, _Heard())
        self._untold.clear()

    def _tick(self) -> None:
        self._timer = None
        self.flush()


class _Heard:
    """Takes an answer that nobody waits for; an error is counted by the line."""

    __slots__ = ()

    def done(self, value: Any) -> None:
        """The store has it."""

    def fail(self, error: BaseException) -> None:
        """It has not: the shadow will see for itself."""


class _Batch:
    """Takes the store's answer to one batch."""

    __slots__ = ("_count", "_offers", "_size")

    def __init__(self, offers: Offers, count: int, size: int) -> None:
        self._offers = offers
        self._count = count
        self._size = size

    def done(self, value: Any) -> None:
        """The store's word: how many it took."""
        taken = int(value)
        if taken < 0:
            self._offers.answered(self._size, self._count, 0, "redis_oom")
        else:
            self._offers.answered(self._size, self._count, taken)

    def fail(self, error: BaseException) -> None:
        """Refused or lost."""
        kind = error.kind if isinstance(error, LineError) else "lost"
        self._offers.answered(self._size, self._count, 0, f"redis_{kind}")
