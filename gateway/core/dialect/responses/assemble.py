"""A whole Responses answer in the words that all dialects share. Off the live path; never raises for what a provider sends.

The last event of a stream holds the response as the unstreamed form has it, so both are read by one function; what came
before is put together item by item, and stands only where the last event has no items or never came.
"""

from __future__ import annotations

from typing import Any

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.dialect.base import Assembler
from gateway.core.dialect.lenient import arguments, dict_of, list_of, members, telling, text_of, written
from gateway.core.dialect.responses.reply import LAST, ResponseDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.sse import Splitter, datas

CAP = 64 << 20
"""Most bytes of one event, and of a whole body that is read."""
_CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
"""Calls that the client answers in words of its own, and the member that holds what the model wrote."""
_GROWING = {
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.mcp_call_arguments.delta": "arguments",
    "response.code_interpreter_call_code.delta": "code",
}
"""Events whose delta belongs to a member of their item."""
_PARTS = {
    "response.output_text.delta": ("content", "content_index", "output_text", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "summary_text", "text"),
}
"""Events whose delta belongs to a part of their item: list of the parts, member with its index, type of the part, its member."""
MOST = 100_000
"""Items of a response and parts of an item that are put together."""


class BodyAssembler:
    """A whole body."""

    def __init__(self, operation: Operation) -> None:
        self._decoder = ResponseDecoder(CAP)
        self._operation = operation
        self._body = bytearray()

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._decoder.feed(data)
        if len(self._body) <= CAP:
            self._body += data

    def finish(self) -> Reply:
        """The reply; without messages for what is no response."""
        found = members(bytes(self._body))
        observed = self._decoder.finish()
        if self._operation in (Operation.COMPACT, Operation.COUNT_TOKENS):
            return Reply(observed, others=(written(found),) if found and not observed.error else ())
        return _reply(observed, list_of(found.get("output")))


class StreamAssembler:
    """A streamed response."""

    def __init__(self) -> None:
        self._splitter = Splitter(CAP)
        self._decoder = StreamDecoder()
        self._items: dict[int, dict[str, Any]] = {}
        self._whole: list[Any] = []
        self._over = False

    def feed(self, data: bytes) -> None:
        """The next piece."""
        self._take(self._splitter.feed(data))

    def finish(self) -> Reply:
        """The reply, as far as the stream came."""
        self._take(self._splitter.rest)
        items = self._whole or [item for _, item in sorted(self._items.items())]
        return _reply(self._decoder.finish(), items)

    def _take(self, events: bytes) -> None:
        if not events:
            return
        self._decoder.feed(events)
        for text in datas(events):
            if not self._over:
                self._event(members(text))

    def _event(self, event: dict[str, Any]) -> None:
        kind, index = event.get("type"), event.get("output_index")
        if kind in LAST:
            self._over = True
            self._whole = list_of(dict_of(event.get("response")).get("output"))
        elif not isinstance(index, int) or not 0 <= index < MOST:
            return
        elif kind in ("response.output_item.added", "response.output_item.done"):
            self._items[index] = dict_of(event.get("item"))
        else:
            self._grow(self._items.setdefault(index, {}), event)

    def _grow(self, item: dict[str, Any], event: dict[str, Any]) -> None:
        """Put the delta of an event where it belongs."""
        kind, delta = str(event.get("type")), text_of(event.get("delta"))
        if kind in _GROWING:
            item[_GROWING[kind]] = text_of(item.get(_GROWING[kind])) + delta
        elif kind in _PARTS:
            name, counter, part_type, member = _PARTS[kind]
            at = event.get(counter)
            if not isinstance(at, int) or not 0 <= at < MOST:
                return
            parts = item[name] = list_of(item.get(name))
            while len(parts) <= at:
                parts.append({"type": part_type})
            part = parts[at] = dict_of(parts[at])
            part[member] = text_of(part.get(member)) + delta


def assembler(operation: Operation, stream: bool) -> Assembler:
    """A new assembler for one answer."""
    return StreamAssembler() if stream else BodyAssembler(operation)


def _reply(observed: Observed, items: list[Any]) -> Reply:
    """A reply of the items of a response: one message, as the model's turn is one however many items it has."""
    if not items and (observed.error or not observed.terminal):
        return Reply(observed)
    said = _Said()
    for each in items:
        said.item(dict_of(each))
    return Reply(observed, (said.message(observed.finish),))


class _Said:
    """Collects what the items of a response say."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refusals: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[ToolCall] = []
        self.others: list[str] = []

    def message(self, finish: str) -> Message:
        return Message(
            text="".join(self.texts),
            refusal="".join(self.refusals),
            reasoning="\n\n".join(self.reasoning),
            tool_calls=tuple(self.calls),
            finish=finish,
            others=tuple(self.others),
        )

    def item(self, item: dict[str, Any]) -> None:
        kind = item.get("type")
        if kind == "message":
            for part in list_of(item.get("content")):
                self._part(dict_of(part))
        elif kind == "reasoning":
            self._reasoned(item)
        elif kind in _CALLS:
            given = item.get(_CALLS[kind], "")
            text = arguments(given) if kind == "function_call" else text_of(given)
            self.calls.append(ToolCall(text_of(item.get("name")), text, text_of(item.get("call_id"))))
        else:
            self.others.append(written(item))

    def _part(self, part: dict[str, Any]) -> None:
        kind = part.get("type")
        if kind == "output_text":
            self.texts.append(text_of(part.get("text")))
            self.others.extend(written(each) for each in list_of(part.get("annotations")))
            if part.get("logprobs"):
                self.others.append(written({"logprobs": part["logprobs"]}))
        elif kind == "refusal":
            self.refusals.append(text_of(part.get("refusal")))
        else:
            self.others.append(written(part))

    def _reasoned(self, item: dict[str, Any]) -> None:
        parts = [dict_of(part) for name in ("summary", "content") for part in list_of(item.get(name))]
        self.reasoning.extend(text for part in parts if (text := text_of(part.get("text"))))
        sealed = telling({"encrypted_content": item.get("encrypted_content")})
        if sealed:
            self.others.append(written({"type": "reasoning", **sealed}))
