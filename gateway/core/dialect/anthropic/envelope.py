"""What is read of an Anthropic request. Messages are looked into only when somebody asks for something inside them.

The API keeps no conversation: every request brings its whole history, so there is no state id. A `container` is a
workspace of the provider's code tool, which any conversation may be given; naming one continues none.
"""

from __future__ import annotations

import re

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.base import Envelope, refuse_odd_model, refuse_routing
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import scan, splice, unbounded

OPEN, BRACE = ord("["), ord("{")
LONG_BYTES = 1 << 20
MOST_COMMAS = 300_000
"""Messages longer than LONG_BYTES with more commas than this are not looked into: each could cost an object."""
LINKING = 16
"""Of the tool calls a history answers, the newest so many can link a request to its run."""
RESULT_MARK = b'"tool_use_id"'
"""Stands in a block that brings a tool result; inside a JSON string its quotes would be escaped."""
MESSAGE_MARK = b'{"role"'
"""How every SDK begins a message; where it is written otherwise, all messages are cut apart."""
SHORT_BYTES = 4096
"""Messages up to this long are cut apart at once: looking for places to cut takes as long."""
TRIES = 8
"""Places tried as the edge of a message before all messages are cut apart instead."""
SESSION = "_session_"
"""Stands before the id of a session in the `user_id` of Claude Code."""
NOTHING = frozenset((b"null", b'""'))
"""A system prompt that says nothing."""


class Block(msgspec.Struct, gc=False):
    """A content block, as far as linking needs it."""

    type: str = ""
    tool_use_id: str = ""


class Line(msgspec.Struct, gc=False):
    """A message, as far as linking needs it."""

    content: list[Block] | str = ""


class Text(msgspec.Struct, gc=False):
    """A block of the system prompt, as far as it must be known to be text."""

    type: str = ""


class User(msgspec.Struct, gc=False):
    """The later form of Claude Code's `user_id`."""

    session_id: str = ""
    account_uuid: str | None = None
    device_id: str | None = None


_line = msgspec.json.Decoder(Line).decode
_lines = msgspec.json.Decoder(list[Line]).decode
_text = msgspec.json.Decoder(Text).decode
_user = msgspec.json.Decoder(User).decode
_cut = msgspec.json.Decoder(list[msgspec.Raw]).decode
_hollow = re.compile(rb"\[[ \t\r\n]*\]").match
_mark = re.compile(
    rb'(?:,[ \t\r\n]*"cache_control"[ \t\r\n]*:[ \t\r\n]*(?:\{[^{}]*\}|null)'
    rb'|"cache_control"[ \t\r\n]*:[ \t\r\n]*(?:\{[^{}]*\}|null)[ \t\r\n]*,)'
).sub
"""A cache mark: it wanders to the newest message of a conversation."""


class MessagesEnvelope(Envelope):
    """A request for a message, or for the count of its tokens."""

    __slots__ = ("_messages",)

    @property
    def results(self) -> tuple[str, ...]:
        """`tool_use_id` of the tool results, newest first, at most LINKING: of earlier turns too, and of server tools, whose
        results come back in the history as well."""
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
        ids: dict[str, None] = {}
        for item in reversed(self._items()):
            if RESULT_MARK in bytes(item):
                _take(_read(item), ids)
                if len(ids) >= LINKING:
                    break
        return tuple(ids)[:LINKING]

    @property
    def has_tools(self) -> bool:
        """Whether `tools` hold anything, or an MCP server brings some."""
        return bool(self.toolset()) or self._holds("mcp_servers")

    def toolset(self) -> bytes:
        """`tools` as sent."""
        return self.members.get("tools") or b"" if self._holds("tools") else b""

    def system(self) -> bytes:
        """`system` as sent, a string or an array of blocks."""
        raw = self.members.get("system")
        return b"" if raw is None or raw in NOTHING or _hollow(raw) is not None else raw

    def opening(self) -> bytes:
        """The system prompt and the first message, as a JSON array, without cache marks: an agent that caches its history
        moves them on with every request."""
        parts = [part for part in (self.system(), self._first()) if part]
        found = b"[" + b",".join(parts) + b"]" if parts else b""
        return _mark(b"", found) if b'"cache_control"' in found else found

    def metadata(self, key: str) -> str | None:
        """As `Envelope.metadata`; `session_id` is also found within the `user_id` that Claude Code sends: behind its last
        `_session_`, or as a member of the object that later versions write there."""
        found = super().metadata(key)
        if found is not None or key != "session_id":
            return found
        user = super().metadata("user_id")
        if user is None:
            return None
        if user.startswith("{"):
            try:
                return _user(user).session_id or None
            except (msgspec.DecodeError, RecursionError):
                return None
        return user.rpartition(SESSION)[2] if SESSION in user else None

    def user(self) -> str:
        """`metadata.user_id`; of what Claude Code sends there the part that outlasts a session."""
        sent = super().metadata("user_id") or ""
        if sent.startswith("{"):
            try:
                found = _user(sent)
            except (msgspec.DecodeError, RecursionError):
                return sent
            return found.account_uuid or found.device_id or sent
        return sent.rpartition(SESSION)[0] or sent

    def prompt(self) -> str | None:
        """The string, or the first text block's. Raises Fault 400 `duplicate_key` for a block that could be read in two ways."""
        raw = self.system()
        if raw[:1] == b"[":
            block = self._first_text(raw)[2]
            return scan(block).text("text") if block else None
        return self.members.text("system") if raw else None

    def prompt_edit(self, text: str) -> dict[str, bytes | None]:
        """`system` with the string replaced, or the text of its first text block: that block's other members, a cache mark
        among them, and all other blocks keep their bytes. Raises Fault as `prompt` does."""
        written = msgspec.json.encode(text)
        raw = self.system()
        if raw[:1] != b"[":
            return {"system": written}
        start, end, block = self._first_text(raw)
        if not block:
            return {"system": b'[{"type":"text","text":' + written + b"}," + raw[1:]}
        return {"system": raw[:start] + splice(scan(block), {"text": written}) + raw[end:]}

    def _first_text(self, raw: bytes) -> tuple[int, int, bytes]:
        """Where the first text block of a system prompt stands, and its bytes; empty when there is none. Raises Fault 413
        `body_too_large` for more blocks than could be looked at."""
        if len(raw) > LONG_BYTES and raw.count(b",") > MOST_COMMAS:
            raise Fault(
                Kind.TOO_LARGE,
                "body_too_large",
                "`system` holds more blocks than any model API takes.",
                param="system",
                reason="body_size",
            )
        position = 0
        for item in unbounded(_cut, raw):
            block = bytes(item)
            start = raw.index(block, position)
            position = start + len(block)
            try:
                if unbounded(_text, block).type == "text":
                    return start, position, block
            except msgspec.DecodeError:
                continue
        return 0, 0, b""

    def _holds(self, name: str) -> bool:
        """Whether a member is an array that holds anything."""
        span = self.members.spans.get(name)
        body = self.members.body
        if span is None or body[span[0]] != OPEN:
            return False
        return body[span[0] + 1] == BRACE or _hollow(body, *span) is None

    def _newest(self, start: int, end: int) -> tuple[str, ...] | None:
        """`results`, read from the last messages only; None when all have to be looked at.

        A guess at where a message starts is proven by reading from there to the end: from inside a message brackets would
        close that were not opened.
        """
        body = self.members.body
        edge, marks = end, 0
        while marks < LINKING and (hit := body.rfind(RESULT_MARK, start, edge)) >= 0:
            edge, marks = hit, marks + 1
        if not marks:
            return ()
        for _ in range(TRIES):
            edge = body.rfind(MESSAGE_MARK, start, edge)
            if edge < 0 or end - edge > LONG_BYTES:
                return None
            try:
                lines = _lines(b"".join((b"[", memoryview(body)[edge:end])))
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            ids: dict[str, None] = {}
            for line in reversed(lines):
                _take(line, ids)
            if len(ids) < LINKING and body.rfind(RESULT_MARK, start, edge) >= 0:
                return None
            return tuple(ids)[:LINKING]
        return None

    def _first(self) -> bytes:
        """The first message. What reads as a whole message, from where the first one starts, is that message."""
        start, end = self.members.spans.get("messages", (0, 0))
        if end - start > SHORT_BYTES:
            body = self.members.body
            start = after = body.find(MESSAGE_MARK, start, end)
            for _ in range(TRIES if start >= 0 else 0):
                after = body.find(MESSAGE_MARK, after + 1, end)
                if after < 0 or after - start > LONG_BYTES:
                    break
                item = body[start:after].rstrip(b" \t\r\n,")
                try:
                    _line(item)
                except (msgspec.DecodeError, RecursionError):
                    continue
                return item
        items = self._items()
        return bytes(items[0]) if items else b""

    def _items(self) -> list[msgspec.Raw]:
        """The messages as sent, cut apart once; none when `messages` is no array."""
        items: list[msgspec.Raw] | None = getattr(self, "_messages", None)
        if items is None:
            raw = self.members.get("messages") or b""
            many = len(raw) > LONG_BYTES and raw.count(b",") > MOST_COMMAS
            self._messages = items = unbounded(_cut, raw) if raw[:1] == b"[" and not many else []
        return items


def _take(line: Line, ids: dict[str, None]) -> None:
    """Put the ids of a message's results behind those of newer ones, the last first."""
    if isinstance(line.content, list):
        for block in reversed(line.content):
            if block.tool_use_id and block.type.endswith("tool_result"):
                ids[block.tool_use_id] = None


def _read(item: msgspec.Raw) -> Line:
    try:
        return unbounded(_line, item)
    except msgspec.DecodeError:
        return Line()


def read(operation: Operation | None, body: bytes) -> Envelope:
    """The envelope of a request body. Raises Fault as `Dialect.read` says."""
    members = scan(body)
    refuse_routing(members)
    if operation is None:
        return Envelope(members)
    refuse_odd_model(members)
    return MessagesEnvelope(members)
