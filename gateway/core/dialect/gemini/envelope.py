"""What is read of a Gemini request. Contents are looked into only when somebody asks for something inside them.

Where proto JSON takes an array, Google also takes the one object that would stand in it; so does this file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from gateway.core.dialect.base import Envelope, refuse_odd_model, refuse_routing
from gateway.core.dialect.gemini import model, prompt
from gateway.core.dialect.gemini.names import Fields, respelled
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import scan, splice, unbounded

OPEN, BRACE = ord("["), ord("{")
LONG_BYTES = 1 << 20
MOST_COMMAS = 300_000
"""Contents longer than LONG_BYTES with more commas than this are not looked into: each could cost an object."""
LINKING = 16
"""Of the function calls a history answers, the newest so many can link a request to its run."""
RESULT_MARKS = (b'"functionResponse"', b'"function_response"')
"""One stands in a content that brings a function's result; inside a JSON string its quotes would be escaped."""
SHORT_BYTES = 4096
"""Contents up to this long are cut apart at once: looking for places to cut takes as long."""
TRIES = 8
"""Places tried as the edge of a content before all contents are cut apart instead."""
CARRYING = (Operation.GENERATE, Operation.GENERATE_STREAM, Operation.COUNT_TOKENS)
"""Operations that take a prompt and tools."""


class Result(msgspec.Struct, gc=False):
    """A function's result; `id` is that of the call, where the API gave it one."""

    id: str | None = None


class Part(msgspec.Struct, gc=False, rename="camel"):
    """A part, as far as linking needs it."""

    function_response: Result | None = None
    snake: Result | None = msgspec.field(default=None, name="function_response")


class Content(msgspec.Struct, gc=False):
    """A content, as far as linking needs it."""

    parts: list[Part] | Part | None = None


_content = msgspec.json.Decoder(Content).decode
_contents = msgspec.json.Decoder(list[Content]).decode
_cut = msgspec.json.Decoder(list[msgspec.Raw]).decode
_blank = re.compile(rb"[ \t\r\n]*").match
_hollow = re.compile(rb"[\[{][ \t\r\n]*[\]}]").fullmatch
_between = re.compile(rb"\}[ \t\r\n]*,[ \t\r\n]*(?=\{)").search


class GeminiEnvelope(Envelope):
    """Any request whose path names a model: `stream` is for the path to say, and the model may stand in the body again."""

    __slots__ = ()

    def check_model(self, asked: str) -> None:
        """See `model.check`."""
        model.check(self.members, asked)

    def fitted(self, edits: Mapping[str, bytes | None], name: str) -> dict[str, bytes | None]:
        """See `Envelope.fitted`."""
        return {**respelled(edits), **model.edits(self.members, name)}

    def user(self) -> str:
        """Empty: Gemini has no member for it."""
        return ""

    def opening(self) -> bytes:
        """What is embedded or counted, as sent."""
        return self.members.get("content") or self.members.get("contents") or self.members.get("requests") or b""


class GenerateEnvelope(GeminiEnvelope):
    """A request for content."""

    __slots__ = ("_head",)

    @property
    def results(self) -> tuple[str, ...]:
        """`id` of the function responses, newest first, at most LINKING; without ids there is nothing to link by."""
        start, end = self.members.spans.get("contents", (0, 0))
        body = self.members.body
        marks = [mark for mark in RESULT_MARKS if body.rfind(mark, start, end) >= 0]
        if not marks:
            return ()
        if end - start > SHORT_BYTES:
            found = self._newest(start, end, marks)
            if found is not None:
                return found
        ids: dict[str, None] = {}
        for item in reversed(self._items()):
            _gather(_read(item), ids)
            if len(ids) >= LINKING:
                break
        return tuple(ids)[:LINKING]

    @property
    def held(self) -> str:
        """`cachedContent`: prompt, tools and contents that the provider keeps under a name."""
        return self.members.text("cachedContent") or ""

    @property
    def has_tools(self) -> bool:
        """Whether `tools` holds anything, or a cache may hold some."""
        return bool(self.toolset()) or bool(self.held)

    def toolset(self) -> bytes:
        """`tools` as sent, as an array."""
        raw = self.members.get("tools") or b""
        if raw[:1] not in (b"[", b"{") or _hollow(raw) is not None:
            return b""
        return raw if raw[:1] == b"[" else b"[" + raw + b"]"

    def system(self) -> bytes:
        """`systemInstruction` as sent."""
        raw = self.members.get("systemInstruction")
        return b"" if raw is None or raw == b"null" else raw

    def opening(self) -> bytes:
        """The system instruction and the first content, which is the user's, as a JSON array."""
        head: bytes | None = getattr(self, "_head", None)
        if head is None:
            parts = [part for part in (self.system(), self._first()) if part]
            self._head = head = b"[" + b",".join(parts) + b"]" if parts else b""
        return head

    def prompt(self) -> str | None:
        """The text of the first text part of `systemInstruction`; None when there is no such part."""
        return prompt.text(self.system())

    def prompt_edit(self, text: str) -> dict[str, bytes | None]:
        """Replaces that text; other parts keep their bytes. Raises Fault 400 `duplicate_key` when it stands twice."""
        return {"systemInstruction": prompt.replaced(self.system(), text)}

    def _newest(self, start: int, end: int, marks: list[bytes]) -> tuple[str, ...] | None:
        """`results`, read from the last contents only, where these marks stand; None when all have to be looked at.

        A guess at where a content starts is proven by reading from there to the end: from inside a content brackets would
        close that were not opened, from inside a string the end would stand in one.
        """
        body = self.members.body
        edge, count = end, 0
        while count < LINKING and (hit := max([body.rfind(mark, start, edge) for mark in marks])) >= 0:
            edge, count = hit, count + 1
        hit = edge
        for _ in range(TRIES):
            edge = body.rfind(b'{"', start, edge + 1)
            if edge < 0 or end - edge > LONG_BYTES:
                return None
            try:
                contents = _contents(b"".join((b"[", memoryview(body)[edge:end])))
            except msgspec.ValidationError:
                return None
            except (msgspec.DecodeError, RecursionError):
                continue
            ids: dict[str, None] = {}
            for content in reversed(contents):
                _gather(content, ids)
            if len(ids) < LINKING and any(body.rfind(mark, start, hit) >= 0 for mark in marks):
                return None
            return tuple(ids)[:LINKING]
        return None

    def _first(self) -> bytes:
        """The first content as sent; what reads as a whole one, from where one starts, is that content."""
        body = self.members.body
        start, end = self.members.spans.get("contents", (0, 0))
        if end - start > SHORT_BYTES and body[start] == OPEN:
            blank = _blank(body, start + 1, end)
            start = after = blank.end() if blank is not None else start + 1
            for _ in range(TRIES):
                found = _between(body, after, end)
                if found is None or found.start() - start > LONG_BYTES:
                    break
                item = body[start : found.start() + 1]
                after = found.end()
                try:
                    _content(item)
                except msgspec.ValidationError:
                    break
                except (msgspec.DecodeError, RecursionError):
                    continue
                return item
        items = self._items()
        return bytes(items[0]) if items else b""

    def _items(self) -> list[msgspec.Raw]:
        """The contents as sent, cut apart; none when `contents` is neither array nor object."""
        raw = self.members.get("contents") or b""
        if raw[:1] == b"{":
            return [msgspec.Raw(raw)]
        many = len(raw) > LONG_BYTES and raw.count(b",") > MOST_COMMAS
        return unbounded(_cut, raw) if raw[:1] == b"[" and not many else []


class CountEnvelope(GeminiEnvelope):
    """A request to count tokens: of contents, or of a whole request for content that stands in it. What a release puts in is
    counted too, and turns the one into the other."""

    __slots__ = ("_within",)

    @property
    def has_tools(self) -> bool:
        """Those of the request that is counted."""
        return self._counted().has_tools

    def toolset(self) -> bytes:
        """Those of the request that is counted."""
        return self._counted().toolset()

    def system(self) -> bytes:
        """That of the request that is counted."""
        return self._counted().system()

    def opening(self) -> bytes:
        """That of the request that is counted."""
        return self._counted().opening()

    def prompt(self) -> str | None:
        """That of the request that is counted."""
        return self._counted().prompt()

    def prompt_edit(self, text: str) -> dict[str, bytes | None]:
        """A member of the request that is counted: `fitted` puts it there."""
        return self._counted().prompt_edit(text)

    def fitted(self, edits: Mapping[str, bytes | None], name: str) -> dict[str, bytes | None]:
        """See `Envelope.fitted`: what is set goes into the request that is counted, which must name a model."""
        ready = edits.get(model.INNER)
        if ready is not None:
            return {**respelled(edits), model.INNER: model.renamed(ready, name)}
        dropped = {which: None for which, value in edits.items() if value is None}
        put = {which: value for which, value in edits.items() if value is not None}
        if not put:
            return super().fitted(dropped, name)
        within = self._counted()
        named = {"model": msgspec.json.encode(name if name.startswith(model.TUNED) else model.PREFIX + name)}
        request = splice(within.members, {**respelled(put), **named})
        outer = super().fitted(dropped, name)
        return {**outer, "contents": None, model.INNER: request}

    def _counted(self) -> GenerateEnvelope:
        """The request that is counted, found once."""
        within: GenerateEnvelope | None = getattr(self, "_within", None)
        if within is None:
            raw = self.members.get(model.INNER) or b""
            if raw[:1] != b"{":
                contents = self.members.get("contents")
                raw = b"{}" if contents is None else b'{"contents":%b}' % contents
            self._within = within = GenerateEnvelope(Fields(scan(raw)))
        return within


_ENVELOPES: Mapping[Operation | None, type[GeminiEnvelope]] = MappingProxyType(
    {
        Operation.GENERATE: GenerateEnvelope,
        Operation.GENERATE_STREAM: GenerateEnvelope,
        Operation.COUNT_TOKENS: CountEnvelope,
    }
)


def _read(item: msgspec.Raw) -> Content:
    try:
        return unbounded(_content, item)
    except msgspec.DecodeError:
        return Content()


def _gather(content: Content, ids: dict[str, None]) -> None:
    """Add the ids that a content's function responses answer, newest first."""
    parts = content.parts
    for part in [parts] if isinstance(parts, Part) else reversed(parts or ()):
        for result in (part.function_response, part.snake):
            if result is not None and result.id:
                ids.setdefault(result.id)


def read(operation: Operation | None, body: bytes) -> Envelope:
    """The envelope of a request body. Raises Fault as `Dialect.read` says; `duplicate_key` also for one field in both its
    spellings."""
    sent = scan(body)
    refuse_routing(sent)
    members = Fields(sent)
    if operation is not None:
        refuse_odd_model(members)
    envelope = _ENVELOPES.get(operation, GeminiEnvelope)(members)
    if envelope.model is not None:
        envelope.model = envelope.model.removeprefix(model.PREFIX)
    if operation is not None:
        envelope.stream = operation is Operation.GENERATE_STREAM
    return envelope
