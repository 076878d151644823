"""What is read of a Responses request. Items are looked into only when somebody asks for something inside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.base import Envelope, refuse_odd_model, refuse_routing
from gateway.core.dialect.conversation import OPEN, SYSTEM_ROLES, Conversation
from gateway.core.dialect.openai import prompt as message
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import Members, scan, unbounded

BRACE, QUOTE = ord("{"), ord('"')


class Item(msgspec.Struct, gc=False):
    """An input item, as far as linking and the system prompt need it."""

    type: str = "message"
    """A message may leave it out."""
    role: str | None = None
    call_id: str | None = None


class Identified(msgspec.Struct, gc=False):
    """A conversation as an object."""

    id: str = ""


_identified = msgspec.json.Decoder(Identified).decode
_hollow = re.compile(rb"\[[ \t\r\n]*\]").match


class ResponseEnvelope(Conversation):
    """A request for a response, or one about it: a compaction, a token count."""

    __slots__ = ()

    MEMBER = "input"
    MARK = b'_output"'
    ONE = msgspec.json.Decoder(Item)
    MANY = msgspec.json.Decoder(list[Item])

    def brought(self, items: Iterable[Item]) -> Iterator[str]:
        """`call_id` of the outputs of functions, custom tools, shells, computers and whatever else a client runs."""
        return (item.call_id for item in items if item.call_id and item.type.endswith("_output"))

    def leads(self, item: Item) -> bool:
        """A message of the system or the developer."""
        return item.role in SYSTEM_ROLES and item.type == "message"

    @property
    def state_id(self) -> str:
        """`previous_response_id`, else the id of `conversation`. Raises Fault 400 `ambiguous_state` for both, as the API would:
        each is its owner's, and may be of another run."""
        members = self.members
        named = members.text("previous_response_id") if "previous_response_id" in members else None
        if "conversation" not in members:
            return named or ""
        talk = _conversation(members)
        if named and talk:
            raise Fault(
                Kind.BAD_REQUEST,
                "ambiguous_state",
                "`previous_response_id` and `conversation` name two states to go on from. Send one of them.",
                param="conversation",
            )
        return named or talk

    @property
    def stored_prompt(self) -> bool:
        """Whether `prompt` names a template."""
        return self.members.get("prompt") not in (None, b"null")

    @property
    def has_tools(self) -> bool:
        """Whether `tools` holds anything."""
        body, span = self.members.body, self.members.spans.get("tools")
        if span is None or body[span[0]] != OPEN:
            return False
        return body[span[0] + 1] == BRACE or _hollow(body, *span) is None

    def toolset(self) -> bytes:
        """`tools` as sent."""
        return self.members.get("tools") or b"" if self.has_tools else b""

    def system(self) -> bytes:
        """`instructions` and the system and developer messages before any other item, as sent, as one JSON array."""
        parts = self._system()
        return b"[" + b",".join(parts) + b"]" if parts else b""

    def opening(self) -> bytes:
        """The same and the first item after them, or the input that is one text: what the user began with."""
        first = self.head()[1] or self._words("input")
        parts = [*self._system(), first] if first else self._system()
        return b"[" + b",".join(parts) + b"]" if parts else b""

    def prompt(self) -> str | None:
        """`instructions` when there are any, else the text of the first system or developer message that leads the input."""
        if self._words("instructions"):
            return self.members.text("instructions")
        leading = self.head()[0]
        return message.text(leading[0]) if leading else None

    def prompt_edit(self, text: str) -> dict[str, bytes | None]:
        """`instructions`, unless the prompt is a message of the input: then its text there, every other byte as sent.

        Raises Fault 400 `duplicate_key` for a message that has a member twice: two parsers would read two prompts.
        """
        leading = [] if self._words("instructions") else self.head()[0]
        if not leading:
            return {"instructions": msgspec.json.encode(text)}
        return {"input": self.first_edit(message.replaced(leading[0], text, "input_text"))}

    def _system(self) -> list[bytes]:
        words = self._words("instructions")
        return [words, *self.head()[0]] if words else self.head()[0]

    def _words(self, name: str) -> bytes:
        """A member that is a text, as sent; empty when it is none."""
        span = self.members.spans.get(name)
        if span is None or self.members.body[span[0]] != QUOTE:
            return b""
        return self.members.body[span[0] : span[1]]


def _conversation(members: Members) -> str:
    raw = members.get("conversation") or b""
    if raw[:1] == b'"':
        return members.text("conversation") or ""
    try:
        return unbounded(_identified, raw).id
    except msgspec.DecodeError:
        return ""


def read(operation: Operation | None, body: bytes) -> Envelope:
    """The envelope of a request body. Raises Fault as `Dialect.read` says."""
    members = scan(body)
    refuse_routing(members)
    if operation is None:
        return Envelope(members)
    refuse_odd_model(members)
    return Envelope(members) if operation is Operation.STORED else ResponseEnvelope(members)
