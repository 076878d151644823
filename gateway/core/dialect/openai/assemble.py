"""Puts an OpenAI chat or text completion together, off the live path: the same Reply for its streamed and its unstreamed form.

Both become one object per choice first, the choice as it is sent unstreamed: a stream's deltas are put onto it. What has a
word in the contract goes there; every other member of a message or choice (audio, annotations, reasoning details, log
probabilities) is kept under `others`, put together by the kind of its value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.dialect import answers
from gateway.core.dialect.base import Assembler
from gateway.core.dialect.lenient import arguments, dict_of, list_of, loads, members, telling, text_of, written
from gateway.core.dialect.openai.reply import BodyDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.sse import datas

WHOLE = frozenset(("role", "type", "id", "name", "format", "channel", "object"))
"""Texts that stand whole in each delta that has them; any other text comes in pieces."""
CHOICE = frozenset(("index", "finish_reason", "delta", "message", "text"))
"""Members of a choice that have a word in the contract."""

KNOWN = frozenset(
    (
        "choices",
        "created",
        "error",
        "id",
        "model",
        "object",
        "obfuscation",
        "provider",
        "request_id",
        "service_tier",
        "system_fingerprint",
        "time_info",
        "timings",
        "usage",
        "x_groq",
    )
)
"""Members of an answer that are observed elsewhere, or say how it was made and nothing of what it says. Any other, such as the
`citations` of a search, is kept."""
SILENT = ("role", "index", "channel")
"""Members of a message that say nothing of the answer: whose it is, where it stands, which kind of text comes next."""


class Collected(answers.Collected):
    """An answer collected, streamed or not."""

    __slots__ = ()

    def read(self, body: bytes) -> Reply:
        """See `answers.Collected`."""
        if self._stream:
            decoder = StreamDecoder()
            decoder.feed(body)
            return answered(decoder.finish(), chunks(body))
        whole = BodyDecoder(len(body))
        whole.feed(body)
        return of_body(whole.finish(), members(body))


def assembler(operation: Operation, stream: bool) -> Assembler:  # noqa: ARG001 - every operation answers in the same members
    """A new assembler for one answer."""
    return Collected(stream)


def of_body(observed: Observed, body: dict[str, Any]) -> Reply:
    """The Reply of a whole body: choices, embeddings, or whatever else it holds."""
    if "choices" in body:
        return answered(observed, iter([body]))
    if observed.error or not body:
        return Reply(observed)
    data = body.get("data")
    results = data if isinstance(data, list) else [body]
    return Reply(observed, (), tuple(written(each) for each in results))


def chunks(events: bytes) -> Iterator[dict[str, Any]]:
    """The chunks of a stream up to its end."""
    for data in datas(events):
        if data.strip() == b"[DONE]":
            return
        yield dict_of(loads(data))


def answered(observed: Observed, parts: Iterator[dict[str, Any]]) -> Reply:
    """The messages that the choices of these chunks make, by index, and what stands beside the choices: the last of its name,
    for who streams it repeats it. A whole body is one chunk."""
    found: dict[int, Choice] = {}
    beside: dict[str, Any] = {}
    for part in parts:
        beside.update(telling({name: value for name, value in part.items() if name not in KNOWN}))
        for place, given in enumerate(list_of(part.get("choices"))):
            choice = dict_of(given)
            index = choice.get("index")
            found.setdefault(index if isinstance(index, int) else place, Choice()).put(choice)
    others = tuple(written({name: beside[name]}) for name in sorted(beside))
    return Reply(observed, tuple(found[index].said() for index in sorted(found)), others)


class Choice:
    """One choice, while it is put together."""

    __slots__ = ("_calls", "_finish", "_message", "_parts", "_places", "_rest")

    def __init__(self) -> None:
        self._finish = ""
        self._message: dict[str, Any] = {}
        self._parts: list[Any] = []
        self._calls: list[dict[str, Any]] = []
        self._places: dict[int, int] = {}
        self._rest: dict[str, Any] = {}

    def put(self, choice: dict[str, Any]) -> None:
        """Put a choice of the next chunk, or a whole one, onto this."""
        self._finish = text_of(choice.get("finish_reason")) or self._finish
        self._content(choice.get("text"))
        # Perplexity sends the whole message so far beside each delta.
        said = dict(dict_of(choice.get("delta") if "delta" in choice else choice.get("message")))
        self._content(said.pop("content", None))
        for call in list_of(said.pop("tool_calls", None)):
            self._call(dict_of(call))
        merge(self._message, said, pieces=True)
        merge(self._rest, {name: value for name, value in choice.items() if name not in CHOICE}, pieces=False)

    def _content(self, content: object) -> None:
        """Text, or parts: Mistral sends either, in one stream."""
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else list_of(content):
            last = self._parts[-1] if self._parts else None
            if isinstance(last, dict) and isinstance(part, dict) and last.get("type") == part.get("type"):
                merge(last, part, pieces=True)
            else:
                self._parts.append(dict(part) if isinstance(part, dict) else part)

    def _call(self, call: dict[str, Any]) -> None:
        """A piece of a tool call goes to the call of its index. Some servers give none, or the same to every call: there an id
        that was not seen begins a new one."""
        identifier, index = text_of(call.get("id")), call.get("index")
        if isinstance(index, int):
            place = self._places.get(index, -1)
        elif identifier:
            place = next((n for n, known in enumerate(self._calls) if known.get("id") == identifier), -1)
        else:
            place = len(self._calls) - 1
        if place < 0 or (identifier and (self._calls[place].get("id") or identifier) != identifier):
            place = len(self._calls)
            self._calls.append({})
        if isinstance(index, int):
            self._places[index] = place
        merge(self._calls[place], call, pieces=True)

    def said(self) -> Message:
        """The message in the contract's words."""
        message, others = self._message, []
        text: list[str] = []
        reasoning: list[str] = []
        for part in self._parts:
            known = dict_of(part)
            if known.get("type") == "text":
                text.append(text_of(known.get("text")))
            elif known.get("type") == "thinking":
                reasoning += thoughts(known.get("thinking"))
            else:
                others.append(written(part))
        for name in SILENT:
            message.pop(name, None)
        for name in ("reasoning_content", "reasoning"):
            thought = message.get(name)
            # Some servers say the same under both names.
            if isinstance(thought, str) and (not reasoning or reasoning == [thought]):
                reasoning = [message.pop(name)] if thought else reasoning
        calls = [called(call, others) for call in self._calls]
        function = dict_of(message.pop("function_call", None))
        if function:
            calls.append(called({"function": function}, others))
        refusal = text_of(message.pop("refusal", None))
        for left in (telling(message), telling(self._rest)):
            others += [written({name: left[name]}) for name in sorted(left)]
        return Message(
            text="".join(text),
            refusal=refusal,
            reasoning="".join(reasoning),
            tool_calls=tuple(calls),
            finish=self._finish,
            others=tuple(others),
        )


def called(call: dict[str, Any], others: list[str]) -> ToolCall:
    """A tool call in the contract's words; what has none, such as a signature, goes to `others`."""
    function, custom = dict(dict_of(call.get("function"))), dict(dict_of(call.get("custom")))
    name = text_of(function.pop("name", None)) or text_of(custom.pop("name", None))
    given = function.pop("arguments", None)
    if given is None:
        given = custom.pop("input", "")
    known = {"id", "index", "type", "function", "custom"}
    left = telling({**{k: v for k, v in call.items() if k not in known}, **function, **custom})
    if left:
        others.append(written({"tool_call": left}))
    # Both forms have the text that the model wrote; only servers that send an object have none.
    return ToolCall(name, given if isinstance(given, str) else arguments(given), text_of(call.get("id")))


def thoughts(value: object) -> list[str]:
    """The texts of a `thinking` part: one, or parts of its own."""
    if isinstance(value, str):
        return [value]
    return [text_of(dict_of(part).get("text")) for part in list_of(value)]


def merge(into: dict[str, Any], more: dict[str, Any], *, pieces: bool) -> None:
    """Put members onto those that are there: objects member by member, arrays one behind the other, or item by item where
    the items have an `index`. `pieces` says that texts come in pieces and are joined; else the last one stands."""
    for name, value in more.items():
        known = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif isinstance(value, dict):
            into[name] = inner = dict(dict_of(known))
            merge(inner, value, pieces=pieces)
        elif isinstance(value, list):
            into[name] = items = list(list_of(known))
            for item in value:
                _append(items, item, pieces=pieces)
        elif pieces and isinstance(value, str) and isinstance(known, str) and name not in WHOLE:
            into[name] = known + value
        elif not (pieces and value == "" and known):
            into[name] = value


def _append(items: list[Any], item: Any, *, pieces: bool) -> None:
    index = item.get("index") if isinstance(item, dict) else None
    for known in items if isinstance(index, int) else ():
        if isinstance(known, dict) and known.get("index") == index:
            merge(known, item, pieces=pieces)
            return
    items.append(dict(item) if isinstance(item, dict) else item)
