"""The items of a conversation as they stand in a body: its first and its newest ones, without an object for every other.

The rule: a guess at where an item starts counts only when it is proven by reading; else all items are cut apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import msgspec

from gateway.core.dialect.base import Envelope
from gateway.core.dialect.splice import unbounded

SYSTEM_ROLES = ("system", "developer")
OPEN = ord("[")
LONG_BYTES = 1 << 20
MOST_COMMAS = 300_000
"""Items longer than LONG_BYTES with more commas than this are not looked into: each could cost an object."""
LINKING = 16
"""Of the tool calls a history answers, the newest so many can link a request to its run."""
SHORT_BYTES = 4096
"""Items up to this long are read at once: looking for places to cut takes as long."""
TRIES = 8
"""Places tried as the edge of an item before all items are cut apart instead."""

_cut = msgspec.json.Decoder(list[msgspec.Raw]).decode
_blank = re.compile(rb"[ \t\r\n]*").match
_between = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)").search


class Conversation(Envelope):
    """A request with a list of items, oldest first. A dialect says by the class members what its items look like."""

    __slots__ = ("_cut_apart", "_head")

    MEMBER: ClassVar[str]
    """Name of the member that holds the items."""
    MARK: ClassVar[bytes]
    """Stands in an item that brings a tool result; inside a JSON string its quotes would be escaped."""
    ONE: ClassVar[msgspec.json.Decoder[Any]]
    """Decoder of one item, as far as the two methods below need it."""
    MANY: ClassVar[msgspec.json.Decoder[list[Any]]]
    """Decoder of a list of them."""

    def brought(self, items: Iterable[Any]) -> Iterator[str]:
        """Ids of the tool calls whose results stand among the items, in their order."""
        raise NotImplementedError

    def leads(self, item: Any) -> bool:
        """Whether an item belongs to the system prompt, where it stands before all others."""
        raise NotImplementedError

    @property
    def results(self) -> tuple[str, ...]:
        """Ids of the tool calls whose results the items are, newest first, at most LINKING: of earlier turns too, for after
        an answer in words a user's next message is all that follows them, and the run is still the same."""
        body = self.members.body
        start, end = self.members.spans.get(self.MEMBER, (0, 0))
        if body[start] != OPEN:
            return ()
        if end - start > SHORT_BYTES:
            found = self._newest(start, end)
            if found is not None:
                return found
        most = min(body.count(self.MARK, start, end), LINKING)
        if not most:
            return ()
        ids: dict[str, None] = {}
        for each in self.brought(map(self._read, reversed(self._items()))):
            ids[each] = None
            if len(ids) == most:
                break
        return tuple(ids)

    def head(self) -> tuple[list[bytes], bytes]:
        """The leading system items and the first item after them, as sent; empty where there are none. Found once."""
        head: tuple[list[bytes], bytes] | None = getattr(self, "_head", None)
        if head is None:
            start, end = self.members.spans.get(self.MEMBER, (0, 0))
            parts = self._first(start, end) if end - start > SHORT_BYTES else None
            first = b""
            if parts is None:
                parts = []
                read, leads = self._read, self.leads
                for item in self._items():
                    if not leads(read(item)):
                        first = bytes(item)
                        break
                    parts.append(bytes(item))
            else:
                first = parts.pop()
            self._head = head = parts, first
        return head

    def first_edit(self, item: bytes) -> bytes:
        """The items with another one in place of the first leading one; every other byte as sent."""
        start, end = self.members.spans[self.MEMBER]
        body = self.members.body
        blank = _blank(body, start + 1, end)
        at = blank.end() if blank is not None else start + 1
        return b"".join((body[start:at], item, body[at + len(self.head()[0][0]) : end]))

    def _newest(self, start: int, end: int) -> tuple[str, ...] | None:
        """`results`, read from the last items only; None when all have to be looked at.

        A guess at where an item starts is proven by reading from there to the end: from inside an item brackets would close
        that were not opened, from inside a string the end would stand in one.
        """
        body, mark = self.members.body, self.MARK
        edge, marks = end, 0
        while marks < LINKING and (hit := body.rfind(mark, start, edge)) >= 0:
            edge, marks = hit, marks + 1
        if not marks:
            return ()
        hit = edge
        for _ in range(TRIES):
            edge = body.rfind(b'{"', start, edge + 1)
            if edge < 0 or end - edge > LONG_BYTES:
                return None
            try:
                items = self.MANY.decode(b"".join((b"[", memoryview(body)[edge:end])))
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            found = dict.fromkeys(self.brought(reversed(items)))
            if len(found) < LINKING and body.rfind(mark, start, hit) >= 0:
                return None
            return tuple(found)[:LINKING]
        return None

    def _first(self, start: int, end: int) -> list[bytes] | None:
        """The first items, up to the first that is no system item; None when all have to be cut apart.

        What reads as a whole item, from where one starts, is that item.
        """
        body = self.members.body
        if body[start] != OPEN:
            return None
        parts: list[bytes] = []
        blank = _blank(body, start + 1, end)
        start = after = blank.end() if blank is not None else start
        for _ in range(TRIES):
            found = _between(body, after, end)
            if found is None or found.start() - start > LONG_BYTES:
                return None
            item = body[start : found.start() + 1]
            after = found.end()
            try:
                leads = self.leads(self.ONE.decode(item))
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            parts.append(item)
            if not leads:
                return parts
            start = after
        return None

    def _items(self) -> list[msgspec.Raw]:
        """The items as sent, cut apart once; none when the member is no array."""
        items: list[msgspec.Raw] | None = getattr(self, "_cut_apart", None)
        if items is None:
            raw = self.members.get(self.MEMBER) or b""
            many = len(raw) > LONG_BYTES and raw.count(b",") > MOST_COMMAS
            self._cut_apart = items = unbounded(_cut, raw) if raw[:1] == b"[" and not many else []
        return items

    def _read(self, item: msgspec.Raw) -> Any:
        """An item decoded; what cannot be read is an item of no kind."""
        try:
            return unbounded(self.ONE.decode, item)
        except msgspec.DecodeError:
            return self.ONE.decode(b"{}")
