"""Observes OpenAI answers: streamed chunk by chunk, or a whole body. Only the members named here are looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import msgspec.structs

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.dialect.answers import UNREADABLE, WholeBody, fitting
from gateway.core.dialect.base import Decoder
from gateway.core.dialect.sse import datas


class Details(msgspec.Struct, gc=False):
    """Parts of a token count; every provider leaves out some."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Tokens(msgspec.Struct, gc=False):
    """`usage`, with DeepSeek's name for cached tokens."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: Details | None = None
    completion_tokens_details: Details | None = None
    prompt_cache_hit_tokens: int | None = None


class Groq(msgspec.Struct, gc=False):
    """Groq's side member, the only place of usage in its older streams."""

    usage: Tokens | None = None


class Tool(msgspec.Struct, gc=False):
    """What a call calls."""

    name: str | None = None


class Call(msgspec.Struct, gc=False):
    """A tool call; only the first piece of a streamed one has an id and a name."""

    id: str | None = None
    function: Tool | None = None
    custom: Tool | None = None


class Said(msgspec.Struct, gc=False):
    """A message or the delta of one."""

    tool_calls: list[Call] | None = None
    refusal: Any = None


class Choice(msgspec.Struct, gc=False):
    """One choice; `message` when whole, `delta` when streamed."""

    finish_reason: str | None = None
    delta: Said | None = None
    message: Said | None = None


class Reply(msgspec.Struct, gc=False):
    """A chunk or a whole body."""

    id: str | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[Choice] | None = None
    usage: Tokens | None = None
    x_groq: Groq | None = None
    error: Any = None


_reply = msgspec.json.Decoder(Reply).decode
_PARTS: Mapping[str, Callable[[msgspec.Raw], Any]] = MappingProxyType(
    {field.name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(Reply)}
)


def _only_text(data: bytes) -> bool:
    """Whether events hold nothing but more of the answer's text, told without reading them: most events of a stream.

    True only for compactly written chunks with a text, or a thought, and no `finish_reason`; a word that might matter sends
    them the long way, and so does a refusal, which is no text.
    """
    find = data.rfind  # `in` takes twice as long: it tries the word as a number first, and drops the exception
    return (
        find(b'content":"') >= 0
        and find(b'"finish_reason":"') < 0
        and find(b'"tool_calls"') < 0
        and find(b'_tokens"') < 0
        and find(b'"error"') < 0
        and find(b"[DONE]") < 0
    )


class StreamDecoder:
    """Chunks of a streamed answer."""

    __slots__ = ("observed",)

    def __init__(self) -> None:
        self.observed = Observed()

    def feed(self, data: bytes) -> None:
        """Whole events. Chunks after `[DONE]` are passed over."""
        observed = self.observed
        if observed.model and _only_text(data):
            return
        for text in datas(data):
            if text.strip() == b"[DONE]":
                observed.terminal = True
            elif not observed.terminal:
                note(observed, text)

    def finish(self) -> Observed:
        """`terminal` says whether `[DONE]` was seen."""
        return self.observed


class BodyDecoder(WholeBody):
    """A whole body."""

    __slots__ = ()

    def note(self, body: bytes) -> bool:
        """See `note`."""
        return note(self.observed, body)


def decoder(stream: bool) -> Decoder:
    """A new decoder for one answer."""
    return StreamDecoder() if stream else BodyDecoder()


def note(observed: Observed, text: bytes) -> bool:
    """Take in one chunk or body; False when it is no JSON object."""
    try:
        reply = _reply(text)
    except UNREADABLE:
        found = fitting(text, _PARTS)
        if found is None:
            return False
        reply = Reply(**found)
    if not observed.model and reply.model:
        observed.model = reply.model
    if not observed.response_id and reply.id:
        observed.response_id = reply.id
    if not observed.fingerprint and reply.system_fingerprint:
        observed.fingerprint = reply.system_fingerprint
    if reply.choices:
        for choice in reply.choices:
            if choice.finish_reason is not None:
                observed.finish = choice.finish_reason
            said = choice.delta or choice.message
            if said is not None:
                if said.tool_calls:
                    _link(observed, said.tool_calls)
                if said.refusal:
                    observed.refused = True
    tokens = reply.usage or (reply.x_groq.usage if reply.x_groq is not None else None)
    if tokens is not None:
        observed.usage = count(tokens)
    if reply.error:
        observed.error = code_of(reply.error)
    return True


def _link(observed: Observed, calls: list[Call]) -> None:
    for call in calls:
        if call.id and call.id not in observed.tool_calls:
            observed.tool_calls.append(call.id)
        tool = call.function or call.custom
        if tool is not None and tool.name and tool.name not in observed.tool_names:
            observed.tool_names.append(tool.name)


def count(tokens: Tokens) -> Usage:
    """Tokens in the contract's words."""
    put, got = tokens.prompt_tokens_details, tokens.completion_tokens_details
    cached = put.cached_tokens if put is not None and put.cached_tokens is not None else tokens.prompt_cache_hit_tokens
    reasoning = got.reasoning_tokens if got is not None else None
    written = put.cache_write_tokens if put is not None else None
    return Usage(tokens.prompt_tokens or 0, tokens.completion_tokens or 0, cached or 0, reasoning or 0, written or 0)


def code_of(error: object) -> str:
    """The word for an error member: its code, else its type, else `error`. Never the message."""
    if isinstance(error, dict):
        for name in ("code", "type", "status"):
            value = error.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return str(value)[:64]
    return "error"
