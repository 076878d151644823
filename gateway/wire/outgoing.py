"""The answer of an upstream, read piece by piece.

It is whole only when its framing says so; any other ending is an error, never a short body. Pieces wait here up to a
bound, above which reading pauses, so a slow client throttles its provider.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from gateway.wire.chunks import ChunkDecoder, ChunkError
from gateway.wire.deadlines import NEVER
from gateway.wire.errors import DeadlineExceeded, UpstreamBroken, UpstreamLost, WireError
from gateway.wire.flow import Wait
from gateway.wire.replies import ReplyHead

if TYPE_CHECKING:
    from gateway.wire.client import CallLimits
    from gateway.wire.line import Line

UNREAD_HIGH = 256 * 1024
"""Answer bytes not yet read, above which reading from the upstream pauses."""

_TO_THE_END = -2
_CHUNKED = -1


class Outgoing(ReplyHead):
    """The answer of an upstream. `whole` once its last byte was received (read or not); `reused` tells whether the
    connection had carried a call before; `first_byte_at` is monotonic time of the final head, in seconds."""

    __slots__ = (
        "_decoder",
        "_error",
        "_gap",
        "_left",
        "_limits",
        "_line",
        "_method",
        "_parts",
        "_sink",
        "_size",
        "_total",
        "_wait",
        "first_byte_at",
        "phase",
        "reused",
        "uploaded",
        "whole",
    )

    first_byte_at: float

    def __init__(self, line: Line, method: str, limits: CallLimits, now: float, *, reused: bool) -> None:
        self._line: Line | None = line
        self._method = method
        self._limits = limits
        self._gap = limits.between_chunks
        self._total = now + limits.total if limits.total else NEVER
        self.reused = reused
        self.whole = False
        self.uploaded = True
        self.phase = "first_byte"
        self._left = 0
        self._decoder: ChunkDecoder | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._wait: Wait[bytes] | None = None
        self._sink: Callable[[bytes], bool] | None = None
        self._error: WireError | None = None

    async def chunk(self) -> bytes:
        """What has come since the last call, joined; waits when nothing has; b"" at the whole end.

        Raises UpstreamLost (began), UpstreamBroken, DeadlineExceeded. Any error, also one thrown into the waiting flow,
        closes the connection.
        """
        data = self.at_hand()
        if data is not None:
            return data
        if self._error is not None:
            raise self._error
        line = self._line
        if line is None:
            raise UpstreamLost(sent=True, began=True)
        wait: Wait[bytes] = Wait()
        self._wait = wait
        due = self._total
        if self._gap:
            due = min(due, line.loop.time() + self._gap)
        line.due = due
        try:
            return await wait
        except BaseException:
            self.abort()
            raise

    def at_hand(self) -> bytes | None:
        """What `chunk` would return at once; None where it would wait, or raise."""
        parts = self._parts
        if not parts:
            return b"" if self.whole else None
        line = self._line
        if self._size > UNREAD_HIGH and line is not None:
            line.resume_reading()
        self._size = 0
        if len(parts) == 1:
            return parts.pop()
        data = b"".join(parts)
        parts.clear()
        return data

    async def pump(self, sink: Callable[[bytes], bool]) -> bool:
        """Hand what comes to `sink`, straight from the connection's callback: a stream of small pieces then resumes no
        flow for each. True at the whole end; False when `sink` returned False, and what comes next is kept for another
        call. Each wait for a piece has its own deadline, as with `chunk`.

        Raises as `chunk`, and what `sink` raises. `sink` must not interrupt the flow that waits here.
        """
        while True:
            self._sink = sink
            try:
                data = await self.chunk()
            finally:
                self._sink = None
            if not data:
                return self.whole
            if not sink(data):
                return False

    @property
    def ready(self) -> bool:
        """Whether `chunk` would return at once."""
        return bool(self._parts) or self.whole

    def abort(self) -> None:
        """Close the connection; a reader gets UpstreamLost. Idempotent, and harmless after the whole answer."""
        line = self._line
        if line is not None:
            self.fail(UpstreamLost(sent=True, began=self.phase != "first_byte"))
            line.drop()

    # --- for the connection -------------------------------------------------------------------------------------

    def head(self) -> Wait[bytes] | None:
        """What to wait for until the final head is there, None when it is."""
        if self._error is not None:
            raise self._error
        if self.phase != "first_byte":
            return None
        wait: Wait[bytes] = Wait()
        self._wait = wait
        return wait

    def due_for_head(self, now: float) -> float:
        """Until when the head may take, from the moment the request left."""
        limit = self._limits.first_byte
        return min(self._total, now + limit) if limit else self._total

    def expired(self, now: float) -> DeadlineExceeded:
        """What deadline it was."""
        if now >= self._total:
            return DeadlineExceeded("total")
        return DeadlineExceeded(self.phase)

    def open_body(self) -> None:
        """The final head is read: get ready for its body."""
        self.first_byte_at = monotonic()
        self.phase = "between_chunks"
        if self.chunked:
            self._decoder = ChunkDecoder()
            self._left = _CHUNKED
        elif self.length is None:
            self._left = _TO_THE_END
        else:
            self._left = self.length
            self.whole = not self.length

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Body bytes in `data`, and whether something follows the answer's end. Raises UpstreamBroken."""
        decoder = self._decoder
        if decoder is not None:
            try:
                data = decoder.feed(data)
            except ChunkError:
                raise UpstreamBroken("chunk") from None
            if decoder.ended:
                self.whole = True
                return data, bool(decoder.rest)
            return data, False
        left = self._left
        if left == _TO_THE_END:
            return data, False
        size = len(data)
        if size < left:
            self._left = left - size
            return data, False
        self._left = 0
        self.whole = True
        return (data, False) if size == left else (data[:left], True)

    def take(self, data: bytes) -> bool:
        """Keep body bytes for the reader; True when there are too many unread."""
        self._parts.append(data)
        self._size += len(data)
        return self._size > UNREAD_HIGH

    def wake(self) -> None:
        """Let the waiting flow go on with what is there."""
        wait = self._wait
        if wait is not None:
            self._wait = None
            wait.done(b"")

    def ends_with_connection(self) -> bool:
        """The upstream closed: whether that is the answer's regular end."""
        return self._left == _TO_THE_END and self.phase == "between_chunks"

    def fail(self, error: WireError) -> None:
        """The answer will not become whole."""
        self._line = None
        if self._error is None and not self.whole:
            self._error = error
        wait = self._wait
        if wait is not None:
            self._wait = None
            wait.fail(error)
