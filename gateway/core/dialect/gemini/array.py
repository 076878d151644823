"""Cuts a JSON array that comes over time into its elements, whatever pieces it comes in. The bytes are only looked at.

Linear in the bytes fed. It follows strings and brackets, not the whole grammar: an element is whatever stands between two
commas of the array, and is for its reader to accept or refuse.
"""

from __future__ import annotations

import re

_WHOLE = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_mark = re.compile(_WHOLE + rb'|["\[\]{},]', re.DOTALL).search
_within = re.compile(_WHOLE + rb'|["\[\]{}]', re.DOTALL).search
"""A whole string, or a byte that matters: commas only between the elements."""
_string_end = re.compile(rb'["\\]').search
_BLANK = b" \t\r\n"
_START, _QUOTE, _BACKSLASH, _COMMA, _CLOSE = ord("["), ord('"'), ord("\\"), ord(","), ord("]")
_OPENING, _CLOSING = frozenset(b"[{"), frozenset(b"]}")


class Elements:
    """The elements of one array. `cap` is the most bytes of an element that are kept; a longer one is followed to its end and
    left out, and `skipped` says that there was one."""

    __slots__ = ("_broken", "_cap", "_depth", "_escaped", "_held", "_over", "_string", "closed", "closing", "skipped")

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._depth = 0
        self._string = self._escaped = self._over = self._broken = False
        self._held = bytearray()
        self.closed = False
        self.closing = -1
        self.skipped = False

    @property
    def whole(self) -> bool:
        """Whether the array is closed, and nothing but white space came before or after it."""
        return self.closed and not self._broken

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that are whole now, in order. What comes after the array, or in place of one, gives none."""
        self.closing = -1
        found: list[bytes] = []
        position, end = 0, len(data)
        if not self._depth and not self.closed and not self._broken:
            position = end - len(data.lstrip(_BLANK))
            if position == end:
                return found
            self._broken = data[position] != _START
            self._depth, position = 1, position + 1
        if self.closed or self._broken:
            self._broken = self._broken or bool(data.strip(_BLANK))
            return found
        start = position
        while position < end:
            position = self._past_string(data, position) if self._string else self._next(data, position)
            if position < 0:
                break
            if self._string or self._depth > 1:
                continue
            mark = data[position - 1]
            if mark in _CLOSING and self._depth:
                # Whole before its comma has come: what it says must not wait for that.
                self._take(data[start:position], found)
                start = position
            elif mark == _COMMA or not self._depth:
                self._take(data[start : position - 1], found)
                start = position
                if not self._depth:
                    self.closed, self.closing = True, position - 1
                    self._broken = mark != _CLOSE or bool(data[position:].strip(_BLANK))
                    return found
        self._keep(data[start:])
        return found

    def _next(self, data: bytes, position: int) -> int:
        """Past the next mark outside of a string; -1 when there is none."""
        mark = _within(data, position) if self._depth > 1 else _mark(data, position)
        if mark is None:
            return -1
        char = data[mark.start()]
        if char == _QUOTE:
            self._string = mark.end() - mark.start() == 1
        elif char in _OPENING:
            self._depth += 1
        elif char != _COMMA:
            self._depth -= 1
        return mark.end()

    def _past_string(self, data: bytes, position: int) -> int:
        """Past the next quote or escape within a string; -1 when there is none."""
        if self._escaped:
            self._escaped = False
            return position + 1
        mark = _string_end(data, position)
        if mark is None:
            return -1
        if data[mark.start()] == _BACKSLASH:
            self._escaped = True
        else:
            self._string = False
        return mark.end()

    def _keep(self, rest: bytes) -> None:
        if self._over or len(self._held) + len(rest) > self._cap:
            self._over = self.skipped = True
            self._held.clear()
        else:
            self._held += rest

    def _take(self, rest: bytes, found: list[bytes]) -> None:
        self._keep(rest)
        if not self._over:
            element = bytes(self._held).strip(_BLANK)
            if element:
                found.append(element)
        self._held.clear()
        self._over = False
