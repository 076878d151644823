"""Cuts a byte stream into whole server-sent events, and events into data. Nothing is forwarded before its event is whole.

An event ends at a blank line; a line ends with LF, CRLF or CR (WHATWG HTML, section 9.2.5). The bytes are never changed:
what `feed` returns, joined, and `rest` at the end are exactly what came in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_blank = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)").finditer
_OVERLAP = 3
"""Bytes before a piece that its first blank line may start in: the longest blank line has four."""


class EventTooLarge(Exception):
    """One event is larger than the cap. Every event before it was given out."""


class Splitter:
    """Collects pieces of a stream and gives whole events out. `cap` is the most bytes of one event."""

    __slots__ = ("_cap", "_over", "_rest")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._over = False
        self._rest = bytearray()

    @property
    def rest(self) -> bytes:
        """What came after the last event that was given out."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> bytes:
        """All events that are whole now, as one piece of bytes; empty when there is none.

        Linear in the bytes fed, however small the pieces. Raises EventTooLarge for an event over the cap, after all events
        before it were given out.
        """
        rest, cap = self._rest, self._cap
        if self._over:
            raise EventTooLarge
        if not rest and len(data) <= cap and data.endswith(b"\n\n"):
            return data
        start = max(0, len(rest) - _OVERLAP)
        rest += data
        end = _last_end(rest, start)
        if len(rest) > cap:
            end = self._checked(start, end)
        if not end:
            return b""
        events = bytes(rest[:end])
        del rest[:end]
        return events

    def _checked(self, start: int, end: int) -> int:
        """The end of the last event before one over the cap; `end` when there is no such."""
        begin = 0
        for match in _blank(self._rest, start):
            if match.end() - begin > self._cap:
                break
            begin = match.end()
        else:
            if len(self._rest) - begin <= self._cap:
                return end
        self._over = True
        if not begin:
            raise EventTooLarge
        return begin


def _last_end(rest: bytearray, start: int) -> int:
    """The end of the last whole event, looked for from `start`; 0 when there is none."""
    if rest.find(b"\r", start) < 0:
        return rest.rfind(b"\n\n", start) + 2 if rest.find(b"\n\n", start) >= 0 else 0
    end = 0
    for match in _blank(rest, start):
        end = match.end()
    return end


def datas(events: bytes) -> Iterator[bytes]:
    """The `data` of each event, lines joined by LF, in order; events without data are skipped.

    An unterminated last event counts as whole. Comments, names, ids and retry hints are passed over.
    """
    lines: list[bytes] = []
    for line in events.splitlines():
        if line.startswith(b"data:"):
            lines.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line and lines:
            yield lines[0] if len(lines) == 1 else b"\n".join(lines)
            lines = []
    if lines:
        yield lines[0] if len(lines) == 1 else b"\n".join(lines)
