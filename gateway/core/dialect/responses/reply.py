"""Observes Responses answers: streamed event by event, or a whole object. Only the members named here are looked at.

Most events of a stream say nothing that routing needs: they are told by the members they lack, without being read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import msgspec.structs

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.dialect.answers import UNREADABLE, WholeBody, fitting, members
from gateway.core.dialect.base import Decoder
from gateway.core.dialect.openai.reply import Details, code_of
from gateway.core.dialect.sse import datas

LAST = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
"""Events that end a stream; each holds the whole response."""
RUNNING = frozenset({"queued", "in_progress"})
"""Statuses of a response that is not over: what a background answer has, and the beginning of a stream."""


NO_CONTENT = msgspec.Raw()
REFUSAL = b'"refusal"'
"""Stands in the content of a message that holds a refusal; inside a JSON string its quotes would be escaped."""


class Tokens(msgspec.Struct, gc=False):
    """`usage`."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: Details | None = None
    output_tokens_details: Details | None = None


class Item(msgspec.Struct, gc=False):
    """An output item; calls that the client answers have a `call_id`."""

    type: str = ""
    call_id: str | None = None
    name: str | None = None
    content: msgspec.Raw = NO_CONTENT


class Reason(msgspec.Struct, gc=False):
    """`incomplete_details`."""

    reason: str | None = None


class Named(msgspec.Struct, gc=False):
    """`conversation`."""

    id: str | None = None


class Response(msgspec.Struct, gc=False):
    """A response, whole or so far."""

    object: str | None = None
    id: str | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    status: str | None = None
    store: bool | None = None
    incomplete_details: Reason | None = None
    conversation: Named | None = None
    output: list[Item] | None = None
    usage: Tokens | None = None
    error: Any = None


class Event(msgspec.Struct, gc=False):
    """An event; the flat error event has a `code` instead of an `error`."""

    type: str = ""
    response: Response | None = None
    item: Item | None = None
    error: Any = None
    code: Any = None


def _parts(kind: type[msgspec.Struct]) -> Mapping[str, Callable[[msgspec.Raw], Any]]:
    return MappingProxyType(
        {field.name: msgspec.json.Decoder(field.type).decode for field in msgspec.structs.fields(kind)}
    )


_event = msgspec.json.Decoder(Event).decode
_response = msgspec.json.Decoder(Response).decode
_RESPONSE_PARTS, _EVENT_PARTS = _parts(Response), _parts(Event)
_number = re.compile(rb'"sequence_number"[ \t]*:[ \t]*([0-9]{1,18})').findall


def _mere(data: bytes) -> bool:
    """Whether events hold no response, no item and no error: more of a text, of arguments, or a hosted tool's progress.

    Inside a JSON string the quotes would be escaped, so these names are members, or values that send the events the long way.
    """
    find = data.rfind  # `in` takes twice as long: it tries the word as a number first, and drops the exception
    return find(b'"response"') < 0 and find(b'"item"') < 0 and find(b'"error"') < 0 and find(b"[DONE]") < 0


class StreamDecoder:
    """Events of a streamed response. A failed response sets `observed.error` only in `finish`: it is the provider's own end."""

    __slots__ = ("_failed", "_last", "observed")

    def __init__(self) -> None:
        self.observed = Observed()
        self._failed = ""
        self._last = b""

    @property
    def sequence(self) -> int:
        """The number that the next event would have."""
        found = _number(self._last)
        return int(found[-1]) + 1 if found else 0

    def feed(self, data: bytes) -> None:
        """Whole events. Those after the last one of the response are passed over."""
        if data.rfind(b'"sequence_number"') >= 0:
            self._last = data
        observed = self.observed
        if observed.model and _mere(data):
            return
        for text in datas(data):
            if observed.terminal:
                return
            if text.strip() == b"[DONE]":
                observed.terminal = True
            else:
                self._event(text)

    def finish(self) -> Observed:
        """`terminal` says whether the response came to its end, good or bad."""
        if self._failed:
            self.observed.error = self._failed
        return self.observed

    def _event(self, text: bytes) -> None:
        try:
            event = _event(text)
        except UNREADABLE:
            event = _odd_event(text)
        observed = self.observed
        if event.item is not None:
            _call(observed, event.item)
        if event.response is not None:
            last = event.type in LAST
            note(observed, event.response)
            if last:
                observed.terminal = True
                self._failed, observed.error = observed.error, ""
        elif event.error or event.type == "error":
            observed.error = code_of(event.error or {"code": event.code})


class ResponseDecoder(WholeBody):
    """A whole response, compaction or token count."""

    __slots__ = ()

    def note(self, body: bytes) -> bool:
        """See `note`."""
        try:
            response = _response(body)
        except UNREADABLE:
            odd = fitting(body, _RESPONSE_PARTS)
            if odd is None:
                return False
            response = Response(**odd)
        note(self.observed, response)
        self.observed.finish = self.observed.finish or response.status or ""
        return True


def decoder(stream: bool) -> Decoder:
    """A new decoder for one answer."""
    return StreamDecoder() if stream else ResponseDecoder()


def note(observed: Observed, response: Response) -> None:
    """Take in a response, whole or so far."""
    if not observed.model and response.model:
        observed.model = response.model
    if not observed.response_id and response.id:
        observed.response_id = response.id
    # Some providers give every event another id; whichever the client brings back continues this answer.
    kept = response.object == "response" and response.store is not False
    if kept and response.id and response.id not in observed.states:
        observed.states.append(response.id)
    if not observed.fingerprint and response.system_fingerprint:
        observed.fingerprint = response.system_fingerprint
    held = response.conversation.id if response.conversation is not None else None
    if held and held not in observed.states:
        observed.states.append(held)
    status = response.status
    if status is not None and status not in RUNNING:
        reason = response.incomplete_details
        observed.finish = (reason.reason if reason is not None and status == "incomplete" else None) or status
    for item in response.output or ():
        _call(observed, item)
    if response.usage is not None:
        observed.usage = count(response.usage)
    if response.error or status == "failed":
        observed.error = code_of(response.error)


def _call(observed: Observed, item: Item) -> None:
    """Note id and name of a call that the client is to answer, or that a message is a refusal. Outputs that stand among the
    items repeat their call's id."""
    if item.call_id:
        if item.call_id not in observed.tool_calls:
            observed.tool_calls.append(item.call_id)
        if item.name and item.name not in observed.tool_names:
            observed.tool_names.append(item.name)
    elif item.type == "message" and bytes(item.content).find(REFUSAL) >= 0:
        observed.refused = True


def count(tokens: Tokens) -> Usage:
    """Tokens in the contract's words."""
    put, got = tokens.input_tokens_details, tokens.output_tokens_details
    return Usage(
        tokens.input_tokens or 0,
        tokens.output_tokens or 0,
        (put.cached_tokens if put is not None else None) or 0,
        (got.reasoning_tokens if got is not None else None) or 0,
        (put.cache_write_tokens if put is not None else None) or 0,
    )


def _odd_event(text: bytes) -> Event:
    """An event with some member of another type than OpenAI's: that member is left out, the others are read."""
    found = fitting(text, _EVENT_PARTS) or {}
    if "response" not in found:
        raw = (members(text) or {}).get("response")
        inner = fitting(bytes(raw), _RESPONSE_PARTS) if raw is not None else None
        if inner is not None:
            found["response"] = Response(**inner)
    return Event(**found)
