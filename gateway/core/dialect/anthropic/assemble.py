"""Puts an Anthropic answer together, off the live path: the same Reply for its streamed and its unstreamed form.

Both become one object first, the message as it is sent unstreamed: a stream's deltas are put onto its blocks. What has a
word in the contract goes there; what says more is kept under `others`, block by block, then member by member:
signatures, citations, redacted thinking, server tools and their results, the container, details of why it stopped.

Arguments of a tool are an object in one form and text in pieces in the other. So where the text is JSON it is written
without white space, as the object is, in the order the model chose; where it is none, as in an answer that was cut off at
its token limit, it stays as it is.
"""

from __future__ import annotations

from typing import Any

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.dialect import answers
from gateway.core.dialect.anthropic.reply import BodyDecoder, StreamDecoder
from gateway.core.dialect.base import Assembler
from gateway.core.dialect.lenient import arguments, dict_of, list_of, loads, members, telling, text_of, written
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.sse import datas

SAID = frozenset(("type", "role", "id", "model", "content", "usage", "stop_reason"))
"""Members of a message that `Observed` or the contract's words hold."""
DIRECT = {"type": "direct"}
"""`caller` of a tool that the model itself calls: newer models say so each time."""
PIECES = "partial_json"
"""Member of a block, while it is put together, that holds the text of its input."""


class Collected(answers.Collected):
    """An answer collected, streamed or not."""

    __slots__ = ()

    def read(self, body: bytes) -> Reply:
        """See `answers.Collected`."""
        if self._stream:
            decoder = StreamDecoder()
            decoder.feed(body)
            return reply(decoder.finish(), joined(body))
        whole = BodyDecoder(len(body))
        whole.feed(body)
        return reply(whole.finish(), members(body))


def assembler(operation: Operation, stream: bool) -> Assembler:  # noqa: ARG001 - all its operations answer alike
    """A new assembler for one answer."""
    return Collected(stream)


def joined(events: bytes) -> dict[str, Any]:
    """The message that a stream tells, as it would have been sent unstreamed, as far as it came."""
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    for data in datas(events):
        event = dict_of(loads(data))
        kind, index = event.get("type"), event.get("index")
        if kind == "message_stop":
            break
        if kind == "message_start" and not message:
            message = dict_of(event.get("message"))
        elif kind == "content_block_start" and isinstance(index, int):
            blocks[index] = dict_of(event.get("content_block"))
        elif kind == "content_block_delta" and index in blocks:
            put(blocks[index], dict_of(event.get("delta")))
        elif kind == "message_delta":
            message |= {name: value for name, value in event.items() if name not in ("type", "delta", "usage")}
            message |= dict_of(event.get("delta"))
    if blocks:
        message["content"] = [complete(blocks[index]) for index in sorted(blocks)]
    return message


def put(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """Put a delta onto its block. Every kind names the member it adds to; text is joined, whatever else replaces."""
    for name, value in delta.items():
        if name == "type" or value is None:
            continue
        if name == "citation":
            block["citations"] = [*list_of(block.get("citations")), value]
        elif name == "estimated_tokens":
            continue
        elif isinstance(value, str):
            block[name] = text_of(block.get(name)) + value
        else:
            block[name] = value


def complete(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its input read from the pieces; what is no JSON stays text."""
    pieces = block.pop(PIECES, "")
    if pieces:
        found = loads(pieces.encode("utf-8", "replace"))
        block["input"] = pieces if found is None else found
    return block


def reply(observed: Observed, message: dict[str, Any]) -> Reply:
    """The Reply of a message, or of whatever else was answered."""
    if isinstance(message.get("content"), list) or message.get("type") == "message":
        return Reply(observed, (said(message),))
    if message and not observed.error:
        return Reply(observed, (), (written(message),))
    return Reply(observed)


def said(message: dict[str, Any]) -> Message:
    """A message in the contract's words."""
    text: list[str] = []
    reasoning: list[str] = []
    calls: list[ToolCall] = []
    others: list[str] = []
    for given in list_of(message.get("content")):
        block = dict(dict_of(given))
        kind = block.get("type")
        if kind == "text":
            text.append(text_of(block.pop("text", "")))
        elif kind == "thinking":
            reasoning.append(text_of(block.pop("thinking", "")))
        elif kind == "tool_use":
            name, identifier = text_of(block.pop("name", "")), text_of(block.pop("id", ""))
            calls.append(ToolCall(name, arguments(block.pop("input", {})), identifier))
            if block.get("caller") == DIRECT:
                del block["caller"]
        else:
            others.append(written(given))
            continue
        rest = telling(block)
        if len(rest) > 1:
            others.append(written(rest))
    more = telling({name: value for name, value in message.items() if name not in SAID})
    others += [written({name: more[name]}) for name in sorted(more)]
    return Message(
        text="".join(text),
        refusal=text_of(dict_of(message.get("stop_details")).get("explanation")),
        reasoning="".join(reasoning),
        tool_calls=tuple(calls),
        finish=text_of(message.get("stop_reason")),
        others=tuple(others),
    )
