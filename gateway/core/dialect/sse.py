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

    __slots__ = ("_cap", "_rest")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._rest = bytearray()

    @property
    def rest(self) -> bytes:
        """What came after the last whole event."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> bytes:
        """All events that are whole now, as one piece of bytes; empty when there is none.

        Linear in the bytes fed, however small the pieces. Raises EventTooLarge once the unfinished event is over the cap
        and no whole event is left to give out.
        """
        rest = self._rest
        if not rest:
            if data.endswith(b"\n\n"):
                return data
            end = _last_end(data)
            rest += data[end:]
            if end:
                return data[:end]
        else:
            start = max(0, len(rest) - _OVERLAP)
            rest += data
            first, end = _ends(rest, start)
            if end:
                if first > self._cap:
                    raise EventTooLarge
                events = bytes(rest[:end])
                del rest[:end]
                return events
        if len(rest) > self._cap:
            raise EventTooLarge
        return b""


def _last_end(data: bytes) -> int:
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    end = 0
    for match in _blank(data):
        end = match.end()
    return end


def _ends(rest: bytearray, start: int) -> tuple[int, int]:
    """Ends of the first and of the last whole event, looked for from `start`; zeros when there is none."""
    if rest.find(b"\r", start) < 0:
        first = rest.find(b"\n\n", start)
        return (first + 2, rest.rfind(b"\n\n") + 2) if first >= 0 else (0, 0)
    first = end = 0
    for match in _blank(rest, start):
        end = match.end()
        first = first or end
    return first, end


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
