"""Puts a whole Gemini answer together: from events, from a JSON array, or from one body, however it was cut.

The rule: the three forms of an answer give the same reply. So pieces of text are joined, whatever stands beside a text in its
part is kept as a part of its own, and what comes again with a later chunk (ratings, grounding) is kept once.
"""

from __future__ import annotations

from typing import Any

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.dialect.gemini.array import Elements
from gateway.core.dialect.gemini.reply import ArrayDecoder, BodyDecoder, StreamDecoder
from gateway.core.dialect.lenient import arguments, dict_of, list_of, members, telling, text_of, written
from gateway.core.dialect.sse import datas

OBSERVED = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
"""Members of a chunk that have a word in the contract, or say only when it was made."""
SAID = frozenset({"content", "finishReason", "index"})
"""Members of a candidate that have a word in the contract."""
STREAMED_ARGUMENTS = frozenset({"partialArgs", "willContinue"})
"""A function call that comes in pieces: each is kept as it was sent."""


class Spoken:
    """One candidate, as far as it has come."""

    __slots__ = ("calls", "finish", "members", "parts", "reasoning", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[ToolCall] = []
        self.parts: list[str] = []
        self.members: dict[str, None] = {}
        self.finish = ""

    def add(self, candidate: dict[str, Any]) -> None:
        """What a chunk, or the whole answer, has of the candidate."""
        for part in _some(dict_of(candidate.get("content")).get("parts")):
            self._part(part)
        self.finish = text_of(candidate.get("finishReason")) or self.finish
        for name, value in telling(candidate).items():
            if name not in SAID:
                self.members.setdefault(written({name: value}))

    def message(self) -> Message:
        """The candidate in the contract's words; its parts come before its other members."""
        return Message(
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            tool_calls=tuple(self.calls),
            finish=self.finish,
            others=(*self.parts, *self.members),
        )

    def _part(self, part: dict[str, Any]) -> None:
        rest = dict(part)
        said = rest.pop("text", None)
        if isinstance(said, str):
            (self.reasoning if rest.pop("thought", False) is True else self.text).append(said)
        call = rest.get("functionCall")
        if isinstance(call, dict) and call.get("name") and STREAMED_ARGUMENTS.isdisjoint(call):
            del rest["functionCall"]
            self.calls.append(
                ToolCall(text_of(call["name"]), arguments(call.get("args") or {}), text_of(call.get("id")))
            )
        rest = telling(rest)
        if rest:
            self.parts.append(written(rest))


class Assembler:
    """Collects a body and reads it at its end. `streamed` says that it may be one of the two streamed forms; which of them it
    is, its first byte says."""

    __slots__ = ("_pieces", "_streamed")

    def __init__(self, streamed: bool) -> None:
        self._streamed = streamed
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """The next piece of the body, cut anywhere."""
        self._pieces.append(data)

    def finish(self) -> Reply:
        """The answer, as far as it came. An element or event that is cut short is left out."""
        body = b"".join(self._pieces)
        first = body.lstrip()[:1]
        if first == b"{" or not self._streamed:
            whole = BodyDecoder()
            whole.feed(body)
            return _reply(whole.finish(), [body])
        if first == b"[":
            array = ArrayDecoder()
            array.feed(body)
            return _reply(array.finish(), Elements(len(body)).feed(body))
        events = StreamDecoder()
        events.feed(body)
        return _reply(events.finish(), list(datas(body)))


def _reply(observed: Observed, chunks: list[bytes]) -> Reply:
    spoken: dict[int, Spoken] = {}
    others: dict[str, None] = {}
    for chunk in map(members, chunks):
        for candidate in _some(chunk.get("candidates")):
            index = candidate.get("index")
            spoken.setdefault(index if isinstance(index, int) else 0, Spoken()).add(candidate)
        for name, value in telling(chunk).items():
            if name not in OBSERVED:
                others.setdefault(written({name: value}))
    return Reply(
        observed=observed,
        messages=tuple(spoken[index].message() for index in sorted(spoken)),
        others=tuple(others),
    )


def _some(value: object) -> list[dict[str, Any]]:
    """The objects of an array."""
    return [each for each in list_of(value) if isinstance(each, dict)]
