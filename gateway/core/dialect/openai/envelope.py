"""What is read of an OpenAI request. Messages are looked into only when somebody asks for something inside them."""

from __future__ import annotations

import re

import msgspec

from gateway.core.dialect.base import Envelope, refuse_odd_model, refuse_routing
from gateway.core.dialect.openai import prompt
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import Members, scan, unbounded

_CHAT = Operation.CHAT  # ten times as fast as to look it up in its enum
SYSTEM_ROLES = ("system", "developer")
OPEN, BRACE = ord("["), ord("{")
LONG_BYTES = 1 << 20
MOST_COMMAS = 300_000
"""Messages longer than LONG_BYTES with more commas than this are not looked into: each could cost an object."""
LINKING = 16
"""Of the tool calls a history answers, the newest so many can link a request to its run."""
RESULT_MARK = b'"tool_call_id"'
"""Stands in a message that brings a tool result; inside a JSON string its quotes would be escaped."""
SHORT_BYTES = 4096
"""Messages up to this long are cut apart at once: looking for places to cut takes as long."""
TRIES = 8
"""Places tried as the edge of a message before all messages are cut apart instead."""


class Line(msgspec.Struct, gc=False):
    """A message, as far as linking needs it."""

    role: str = ""
    tool_call_id: str = ""


_line = msgspec.json.Decoder(Line).decode
_lines = msgspec.json.Decoder(list[Line]).decode
_cut = msgspec.json.Decoder(list[msgspec.Raw]).decode
_blank = re.compile(rb"[ \t\r\n]*").match
_hollow = re.compile(rb"\[[ \t\r\n]*\]").match
_between = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)").search


class ChatEnvelope(Envelope):
    """A chat completion request."""

    __slots__ = ("_head", "_messages")

    def __init__(self, members: Members) -> None:
        super().__init__(members)
        self._head: tuple[bytes, bytes, int] | None = None
        self._messages: list[msgspec.Raw] | None = None

    @property
    def results(self) -> tuple[str, ...]:
        """`tool_call_id` of the tool messages, newest first, at most LINKING: of earlier turns too, for after an answer in
        words a user's next message is all that follows them, and the run is still the same."""
        span = self.members.spans.get("messages")
        left = 0
        if span is not None:
            if span[1] - span[0] > SHORT_BYTES:
                found = self._newest(*span)
                if found is not None:
                    return found
            left = self.members.body.count(RESULT_MARK, *span)
        if not left:
            return ()
        ids: list[str] = []
        for item in reversed(self._items()):
            line = _read(item)
            if line.tool_call_id:
                left -= 1
                if line.role == "tool" and line.tool_call_id not in ids:
                    ids.append(line.tool_call_id)
                if left <= 0 or len(ids) == LINKING:
                    break
        return tuple(ids)

    @property
    def has_tools(self) -> bool:
        """Whether `tools` or the older `functions` hold anything."""
        return bool(self._tools())

    def toolset(self) -> bytes:
        """`tools` as sent; the older `functions` when there are no tools."""
        name = self._tools()
        return self.members.get(name) or b"" if name else b""

    def system(self) -> bytes:
        """The system and developer messages before any other message, as a JSON array of the messages as sent."""
        return self._split()[0]

    def opening(self) -> bytes:
        """The same and the first message after them, which is the user's, as a JSON array."""
        system, first, _ = self._split()
        if not first:
            return system
        return system[:-1] + b"," + first + b"]" if system else b"[" + first + b"]"

    def prompt(self) -> str | None:
        """Text of the first system or developer message that stands before all others, or of its first text part."""
        start, end = self._prompt_span()
        return prompt.text(self.members.body[start:end]) if end else None

    def prompt_edit(self, text: str) -> dict[str, bytes | None]:
        """That text replaced, every other byte of the messages as sent; a message of its own in front where there is none.

        Messages that are no array are left to the provider to refuse. Raises Fault 400 `duplicate_key` for a message that has
        a member twice: two parsers would read two prompts.
        """
        body, span = self.members.body, self.members.spans.get("messages")
        if span is None or body[span[0]] != OPEN:
            return {"messages": None if span is None else body[span[0] : span[1]]}
        start, end = self._prompt_span()
        if end:
            new = prompt.replaced(body[start:end], text)
        elif self._split()[1] or _hollow(body, *span) is not None:
            start = end = span[0] + 1
            new = prompt.message(text) + (b"," if self._split()[1] else b"")
        else:
            return {}
        view = memoryview(body)
        return {"messages": b"".join((view[span[0] : start], new, view[end : span[1]]))}

    def _prompt_span(self) -> tuple[int, int]:
        """Where the first system message stands in the body; (0, 0) when the messages begin with another."""
        size = self._split()[2]
        if not size:
            return 0, 0
        blank = _blank(self.members.body, self.members.spans["messages"][0] + 1)
        assert blank is not None
        return blank.end(), blank.end() + size

    def _tools(self) -> str:
        """Name of the member that holds the tools; empty when none does."""
        body, spans = self.members.body, self.members.spans
        for name in ("tools", "functions"):
            span = spans.get(name)
            if span is not None and body[span[0]] == OPEN:
                if body[span[0] + 1] != BRACE and _hollow(body, *span) is not None:
                    continue
                return name
        return ""

    def _newest(self, start: int, end: int) -> tuple[str, ...] | None:
        """`results`, read from the last messages only; None when all have to be looked at.

        A guess at where a message starts is proven by reading from there to the end: from inside a message brackets would
        close that were not opened, from inside a string the end would stand in one.
        """
        body = self.members.body
        edge, marks = end, 0
        while marks < LINKING and (hit := body.rfind(RESULT_MARK, start, edge)) >= 0:
            edge, marks = hit, marks + 1
        if not marks:
            return ()
        hit = edge
        for _ in range(TRIES):
            edge = body.rfind(b'{"', start, edge + 1)
            if edge < 0 or end - edge > LONG_BYTES:
                return None
            try:
                lines = _lines(b"".join((b"[", memoryview(body)[edge:end])))
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            found = dict.fromkeys(x.tool_call_id for x in reversed(lines) if x.tool_call_id and x.role == "tool")
            if len(found) < LINKING and body.rfind(RESULT_MARK, start, hit) >= 0:
                return None
            return tuple(found)[:LINKING]
        return None

    def _split(self) -> tuple[bytes, bytes, int]:
        """The system messages as a JSON array, the first message after them, the length of the first of all; found once."""
        head = self._head
        if head is None:
            start, end = self.members.spans.get("messages", (0, 0))
            parts = self._first(start, end) if end - start > SHORT_BYTES else None
            if parts is None:
                parts, first = [], b""
                for item in self._items():
                    if _read(item).role not in SYSTEM_ROLES:
                        first = bytes(item)
                        break
                    parts.append(bytes(item))
            else:
                first = parts.pop()
            system = b"[" + b",".join(parts) + b"]" if parts else b""
            self._head = head = system, first, len(parts[0]) if parts else 0
        return head

    def _first(self, start: int, end: int) -> list[bytes] | None:
        """The first messages, up to the first that is no system message; None when all have to be cut apart.

        What reads as a whole message, from where one starts, is that message.
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
                role = _line(item).role
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            parts.append(item)
            if role not in SYSTEM_ROLES:
                return parts
            start = after
        return None

    def _items(self) -> list[msgspec.Raw]:
        """The messages as sent, cut apart once; none when `messages` is no array."""
        items = self._messages
        if items is None:
            raw = self.members.get("messages") or b""
            many = len(raw) > LONG_BYTES and raw.count(b",") > MOST_COMMAS
            self._messages = items = unbounded(_cut, raw) if raw[:1] == b"[" and not many else []
        return items


def _read(item: msgspec.Raw) -> Line:
    try:
        return unbounded(_line, item)
    except msgspec.DecodeError:
        return Line()


class PlainEnvelope(Envelope):
    """A completion or embedding request: one text, no roles, no tools."""

    __slots__ = ()

    def opening(self) -> bytes:
        """The prompt or input as sent."""
        return self.members.get("prompt") or self.members.get("input") or b""


def read(operation: Operation | None, body: bytes) -> Envelope:
    """The envelope of a request body. Raises Fault as `Dialect.read` says."""
    members = scan(body)
    refuse_routing(members)
    if operation is None:
        return Envelope(members)
    refuse_odd_model(members)
    return ChatEnvelope(members) if operation is _CHAT else PlainEnvelope(members)
