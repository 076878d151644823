"""What is read of an OpenAI request. Messages are looked into only when somebody asks for something inside them."""

from __future__ import annotations

import msgspec

from gateway.core.dialect.base import Envelope, refuse_odd_model, refuse_routing
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import scan, unbounded

SYSTEM_ROLES = ("system", "developer")
LONG_BYTES = 1 << 20
MOST_COMMAS = 300_000
"""Messages longer than LONG_BYTES with more commas than this are not looked into: each could cost an object."""
LINKING = 16
"""Of the tool calls a history answers, the newest so many can link a request to its run."""
RESULT_MARK = b'"tool_call_id"'
"""Stands in a message that brings a tool result; inside a JSON string its quotes would be escaped."""


class Line(msgspec.Struct, gc=False):
    """A message, as far as linking needs it."""

    role: str = ""
    tool_call_id: str = ""


_line = msgspec.json.Decoder(Line).decode
_cut = msgspec.json.Decoder(list[msgspec.Raw]).decode


class ChatEnvelope(Envelope):
    """A chat completion request."""

    __slots__ = ("_messages",)

    @property
    def results(self) -> tuple[str, ...]:
        """`tool_call_id` of the tool messages, newest first, at most LINKING: of earlier turns too, for after an answer in
        words a user's next message is all that follows them, and the run is still the same."""
        raw = self.members.get("messages")
        left = raw.count(RESULT_MARK) if raw is not None else 0
        if not left:
            return ()
        found: list[str] = []
        for item in reversed(self._items()):
            line = _read(item)
            if line.tool_call_id:
                left -= 1
                if line.role == "tool" and line.tool_call_id not in found:
                    found.append(line.tool_call_id)
                if left <= 0 or len(found) == LINKING:
                    break
        return tuple(found)

    @property
    def has_tools(self) -> bool:
        """Whether `tools` or the older `functions` hold anything."""
        return bool(self.toolset())

    def toolset(self) -> bytes:
        """`tools` as sent; the older `functions` when there are no tools."""
        for name in ("tools", "functions"):
            raw = self.members.get(name)
            if raw is not None and raw[:1] == b"[" and raw[1:-1].strip():
                return raw
        return b""

    def system(self) -> bytes:
        """The system and developer messages before any other message, as a JSON array of the messages as sent."""
        return self._split()[0]

    def opening(self) -> bytes:
        """The same and the first message after them, which is the user's, as a JSON array."""
        system, first = self._split()
        if not first:
            return system
        return system[:-1] + b"," + first + b"]" if system else b"[" + first + b"]"

    def _split(self) -> tuple[bytes, bytes]:
        system: list[bytes] = []
        first = b""
        for item in self._items():
            if _read(item).role not in SYSTEM_ROLES:
                first = bytes(item)
                break
            system.append(bytes(item))
        return (b"[" + b",".join(system) + b"]" if system else b""), first

    def _items(self) -> list[msgspec.Raw]:
        """The messages as sent, cut apart once; none when `messages` is no array."""
        try:
            return self._messages
        except AttributeError:
            raw = self.members.get("messages") or b""
            many = len(raw) > LONG_BYTES and raw.count(b",") > MOST_COMMAS
            self._messages: list[msgspec.Raw] = unbounded(_cut, raw) if raw[:1] == b"[" and not many else []
            return self._messages


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
    return ChatEnvelope(members) if operation is Operation.CHAT else PlainEnvelope(members)
