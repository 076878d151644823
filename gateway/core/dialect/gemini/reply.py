"""Observes Gemini answers: streamed as events or as a JSON array, or a whole body. Only the members named here are looked at.

Gemini has no event that ends a stream. What counts as its end is that every candidate that was begun has a `finishReason`,
or that the prompt was blocked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import msgspec.structs

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.dialect.answers import BODY_CAP, UNREADABLE, WholeBody, fitting
from gateway.core.dialect.gemini.array import Elements
from gateway.core.dialect.sse import datas


class Tokens(msgspec.Struct, gc=False, rename="camel"):
    """`usageMetadata`; Google leaves out what is 0."""

    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    cached_content_token_count: int | None = None


class Call(msgspec.Struct, gc=False):
    """A function call; only some APIs give it an id."""

    id: str | None = None
    name: str | None = None


class Part(msgspec.Struct, gc=False, rename="camel"):
    """A part of a candidate's content."""

    function_call: Call | None = None


class Content(msgspec.Struct, gc=False):
    """What a candidate says, or what more of it."""

    parts: list[Part] | None = None


class Candidate(msgspec.Struct, gc=False, rename="camel"):
    """One candidate; a missing index is 0, as proto JSON leaves it out."""

    index: int | None = None
    finish_reason: str | None = None
    content: Content | None = None


class Feedback(msgspec.Struct, gc=False, rename="camel"):
    """What became of the prompt."""

    block_reason: str | None = None


class Reply(msgspec.Struct, gc=False, rename="camel"):
    """A chunk or a whole body."""

    candidates: list[Candidate] | None = None
    usage_metadata: Tokens | None = None
    model_version: str | None = None
    response_id: str | None = None
    prompt_feedback: Feedback | None = None
    error: Any = None


_reply = msgspec.json.Decoder(Reply).decode
_PARTS: Mapping[str, Callable[[msgspec.Raw], Any]] = MappingProxyType(
    {field.encode_name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(Reply)}
)
_NAMES = MappingProxyType({field.encode_name: field.name for field in msgspec.structs.fields(Reply)})


class StreamDecoder:
    """Chunks of a streamed answer, as server-sent events."""

    __slots__ = ("_open", "observed")

    def __init__(self) -> None:
        self.observed = Observed()
        self._open: dict[int, bool] = {}

    def feed(self, data: bytes) -> None:
        """Whole events."""
        for text in datas(data):
            note(self.observed, text, self._open)

    def finish(self) -> Observed:
        """`terminal` says whether every candidate was finished, or the prompt blocked."""
        return self.observed


class ArrayDecoder:
    """Chunks of an answer that is streamed as one JSON array; see `base.ArrayDecoder`."""

    __slots__ = ("_elements", "_open", "observed", "withheld")

    def __init__(self, cap: int = BODY_CAP) -> None:
        self.observed = Observed()
        self.withheld = -1
        self._elements = Elements(cap)
        self._open: dict[int, bool] = {}

    def feed(self, data: bytes) -> None:
        """The next piece of the body, cut anywhere."""
        elements = self._elements
        for text in elements.feed(data):
            note(self.observed, text, self._open)
        ended = self.observed.terminal or self.observed.error or elements.skipped
        self.withheld = -1 if ended else elements.closing

    def finish(self) -> Observed:
        """`terminal` says whether every candidate was finished and the array closed."""
        observed, elements = self.observed, self._elements
        observed.terminal = elements.whole and (observed.terminal or elements.skipped)
        return observed


class BodyDecoder(WholeBody):
    """A whole body."""

    __slots__ = ()

    def note(self, body: bytes) -> bool:
        """See `note`."""
        return note(self.observed, body, {})


def note(observed: Observed, text: bytes, unfinished: dict[int, bool]) -> bool:
    """Take in one chunk or body; False when it is no JSON object. `unfinished` keeps, per candidate begun, whether its end is
    still to come."""
    try:
        reply = _reply(text)
    except UNREADABLE:
        found = fitting(text, _PARTS)
        if found is None:
            return False
        reply = Reply(**{_NAMES[name]: value for name, value in found.items()})
    if not observed.model and reply.model_version:
        observed.model = reply.model_version
    if not observed.response_id and reply.response_id:
        observed.response_id = reply.response_id
    if reply.usage_metadata is not None:
        observed.usage = count(reply.usage_metadata)
    if reply.candidates:
        for candidate in reply.candidates:
            _candidate(observed, candidate, unfinished)
        observed.terminal = not any(unfinished.values())
    blocked = reply.prompt_feedback.block_reason if reply.prompt_feedback is not None else None
    if blocked:
        observed.finish = observed.finish or blocked
        observed.refused = True
        observed.terminal = True
    if reply.error:
        observed.error = code_of(reply.error)
    return True


def _candidate(observed: Observed, candidate: Candidate, unfinished: dict[int, bool]) -> None:
    index = candidate.index or 0
    if candidate.finish_reason:
        observed.finish = candidate.finish_reason
        unfinished[index] = False
    else:
        # Google may say more of a candidate after its end (grounding, usage): it stays finished.
        unfinished.setdefault(index, True)
    if candidate.content is not None and candidate.content.parts:
        for part in candidate.content.parts:
            call = part.function_call
            if call is None:
                continue
            if call.id and call.id not in observed.tool_calls:
                observed.tool_calls.append(call.id)
            if call.name and call.name not in observed.tool_names:
                observed.tool_names.append(call.name)


def count(tokens: Tokens) -> Usage:
    """Tokens in the contract's words: what tools read for the model is input, thoughts are output."""
    thoughts = tokens.thoughts_token_count or 0
    return Usage(
        (tokens.prompt_token_count or 0) + (tokens.tool_use_prompt_token_count or 0),
        (tokens.candidates_token_count or 0) + thoughts,
        tokens.cached_content_token_count or 0,
        thoughts,
    )


def code_of(error: object) -> str:
    """The word for an error member: its status, else its code, else `error`. Never the message."""
    if isinstance(error, dict):
        for name in ("status", "code"):
            value = error.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                return str(value)[:64]
    return "error"
