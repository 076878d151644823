"""Observes Anthropic answers: streamed event by event, or a whole body. Only the members named here are looked at.

Tokens in the contract's words: `input` is everything that was read, of which Anthropic counts three parts apart
(`input_tokens`, `cache_creation_input_tokens`, `cache_read_input_tokens`); `cached` is what was read from the cache,
`written` what was put into it, `written_hour` the part of that which stays for an hour; `reasoning` is
`output_tokens_details.thinking_tokens`, which `output` includes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
import msgspec.structs

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.dialect import lenient
from gateway.core.dialect.answers import UNREADABLE, WholeBody
from gateway.core.dialect.base import Decoder
from gateway.core.dialect.openai.reply import code_of
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.sse import datas

T = TypeVar("T", bound=msgspec.Struct)

CALL = "tool_use"
"""How the type of a block ends that calls a tool: the agent's, the provider's own, or an MCP server's."""


class Details(msgspec.Struct, gc=False):
    """Parts of the output; newer models count them."""

    thinking_tokens: int | None = None


class Creation(msgspec.Struct, gc=False):
    """Parts of what was written to the cache, of which those that are kept longer cost more."""

    ephemeral_1h_input_tokens: int | None = None


class Tokens(msgspec.Struct, gc=False):
    """`usage`. In a stream the counts at its end replace those at its start; what is not counted again stands."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: Creation | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: Details | None = None


class Block(msgspec.Struct, gc=False):
    """A content block, as far as linking needs it."""

    type: str = ""
    id: str | None = None
    name: str | None = None


class Delta(msgspec.Struct, gc=False):
    """What `message_delta` changes."""

    stop_reason: str | None = None


class Message(msgspec.Struct, gc=False):
    """A message: a whole body, or the beginning of a streamed one."""

    type: str = ""
    id: str | None = None
    model: str | None = None
    content: list[Block] | None = None
    stop_reason: str | None = None
    usage: Tokens | None = None
    error: Any = None


class Event(msgspec.Struct, gc=False):
    """The data of an event."""

    type: str = ""
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Tokens | None = None
    error: Any = None


NESTED: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {
        "message": Message,
        "content_block": Block,
        "delta": Delta,
        "usage": Tokens,
        "cache_creation": Creation,
        "output_tokens_details": Details,
    }
)
"""What stands in which member."""

_event = msgspec.json.Decoder(Event).decode
_message = msgspec.json.Decoder(Message).decode
_raised = re.compile(rb"(?:^|[\r\n])event: ?error[\r\n]").search


def _only_text(data: bytes) -> bool:
    """Whether events hold nothing but more of blocks that have begun, told without reading them: most of a stream.

    A word that might matter, in a name or in the text itself, sends them the long way.
    """
    find = data.rfind  # `in` takes twice as long: it tries the word as a number first, and drops the exception
    return (
        find(b"message_") < 0
        and find(b"_start") < 0
        and (find(b"error") < 0 or (find(b'"error"') < 0 and find(b": error") < 0 and find(b":error") < 0))
    )


class StreamDecoder:
    """Events of a streamed message."""

    __slots__ = ("_tokens", "observed")

    def __init__(self) -> None:
        self.observed = Observed()
        self._tokens = Tokens()

    def feed(self, data: bytes) -> None:
        """Whole events. Events after `message_stop` are passed over."""
        observed = self.observed
        if observed.model and _only_text(data):
            return
        for text in datas(data):
            if observed.terminal:
                return
            self._note(text)
        if not observed.error and not observed.terminal and _raised(data) is not None:
            # The official client goes by the event's name, whatever its data says.
            observed.error = "error"

    def finish(self) -> Observed:
        """`terminal` says whether `message_stop` was seen."""
        return self.observed

    def _note(self, text: bytes) -> None:
        observed = self.observed
        try:
            event = _event(text)
        except UNREADABLE:
            event = fit(lenient.members(text), Event)
        kind = event.type
        if kind == "message_stop":
            observed.terminal = True
        elif kind == "error" or event.error:
            observed.error = code_of(event.error)
        elif kind == "content_block_start":
            if event.content_block is not None:
                _link(observed, event.content_block)
        elif kind == "message_start" and event.message is not None:
            begin(observed, event.message)
            self._count(event.message.usage)
        elif kind == "message_delta":
            if event.delta is not None and event.delta.stop_reason is not None:
                observed.finish = event.delta.stop_reason
            self._count(event.usage)

    def _count(self, tokens: Tokens | None) -> None:
        if tokens is None:
            return
        known = self._tokens
        for name in Tokens.__struct_fields__:
            value = getattr(tokens, name)
            if value is not None:
                setattr(known, name, value)
        self.observed.usage = count(known)


class BodyDecoder(WholeBody):
    """A whole body. A count of tokens is no usage: none were used."""

    __slots__ = ()

    def note(self, body: bytes) -> bool:
        """See `note`."""
        return note(self.observed, body)


def decoder(operation: Operation | None, stream: bool) -> Decoder:  # noqa: ARG001 - all its operations answer alike
    """A new decoder for one answer."""
    return StreamDecoder() if stream else BodyDecoder()


def begin(observed: Observed, message: Message) -> None:
    """Take in who answers."""
    if not observed.model and message.model:
        observed.model = message.model
    if not observed.response_id and message.id:
        observed.response_id = message.id


def note(observed: Observed, text: bytes) -> bool:
    """Take in a whole body; False when it is no JSON object."""
    try:
        message = _message(text)
    except UNREADABLE:
        found = lenient.loads(text)
        if not isinstance(found, dict):
            return False
        message = fit(found, Message)
    begin(observed, message)
    if message.stop_reason is not None:
        observed.finish = message.stop_reason
    for block in message.content or ():
        _link(observed, block)
    if message.usage is not None:
        observed.usage = count(message.usage)
    if message.error:
        observed.error = code_of(message.error)
    return True


def fit(found: Mapping[str, Any], kind: type[T]) -> T:
    """What can be read of an object that has some member of another type than Anthropic's: that member is left out."""
    made = kind()
    for field in msgspec.structs.fields(kind):
        value = found.get(field.name)
        if value is None:
            continue
        with contextlib.suppress(msgspec.ValidationError):
            setattr(made, field.name, msgspec.convert(value, field.type))
            continue
        inner = NESTED.get(field.name)
        if inner is not None and isinstance(value, dict):
            setattr(made, field.name, fit(value, inner))
        elif field.name == "content" and isinstance(value, list):
            setattr(made, field.name, [fit(each, Block) for each in value if isinstance(each, dict)])
    return made


def _link(observed: Observed, block: Block) -> None:
    """Ids of server tools link as well: the answer's blocks come back in the history with them."""
    if block.id and block.type.endswith(CALL) and block.id not in observed.tool_calls:
        observed.tool_calls.append(block.id)
        if block.type == CALL and block.name and block.name not in observed.tool_names:
            observed.tool_names.append(block.name)


def count(tokens: Tokens) -> Usage:
    """Tokens in the contract's words, as the head of this file says."""
    read, written = tokens.cache_read_input_tokens or 0, tokens.cache_creation_input_tokens or 0
    details, creation = tokens.output_tokens_details, tokens.cache_creation
    return Usage(
        (tokens.input_tokens or 0) + written + read,
        tokens.output_tokens or 0,
        read,
        (details.thinking_tokens or 0) if details is not None else 0,
        written,
        (creation.ephemeral_1h_input_tokens or 0) if creation is not None else 0,
    )
