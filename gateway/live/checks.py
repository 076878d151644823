"""Reads answers of runs in a rollout once more after they have left: do tool calls fit their schema, is JSON what was to be JSON.

Rule of the file: nobody waits for it. One answer is read per turn of the loop, for a bounded share of the worker's time, none
over a bound; what is not read is counted by reason, which never depends on the arm.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.core.dialect import lenient, toolset
from gateway.core.dialect.base import reply_of
from gateway.core.dialect.fits import fits
from gateway.core.dialect.output import ANY
from gateway.core.dialect.routes import Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gateway.core.contract.reply import Message
    from gateway.core.dialect.base import Dialect

ANSWER_BYTES, WHOLE_BYTES = 64 << 10, 32 << 10
"""Longest answer that is read: streamed, where one word has some 250 bytes around it, and whole. Either takes under 2 ms."""
SHARE, AT_ONCE = 0.02, 0.05
"""Share of its time that a worker reads for, and how many seconds of that it may have saved up."""
WAITING = 64
"""Answers that wait for their turn."""
SCHEMAS_KEPT, SCHEMA_BYTES = 64, 64 << 10
"""Toolsets and schemas that are kept parsed, and how long one may be."""
BAD_CALL, BAD_JSON = "invalid_tool_call", "invalid_json"
LEAKED = "canary_string"
"""A tripwire, and no metric."""


class Checks:
    """One per live worker: what waits to be read, how many more may be, and the schemas at hand."""

    __slots__ = ("_at", "_left", "_schemas", "_waiting")

    def __init__(self) -> None:
        self._at = 0.0
        self._left = AT_ONCE
        self._waiting: deque[Callable[[], None]] = deque()
        self._schemas: dict[bytes, Any] = {}

    def refusal(self, now: float) -> str:
        """Why no more may be read at this moment (monotonic seconds): `rate`, `busy`; empty when it may."""
        self._left = min(AT_ONCE, self._left + (now - self._at) * SHARE)
        self._at = now
        if self._left <= 0:
            return "rate"
        return "busy" if len(self._waiting) >= WAITING else ""

    def later(self, work: Callable[[], None], clock: Callable[[], float]) -> None:
        """Have it done in a later turn of the loop, one in each; how long it takes by `clock` is used up. It must not raise."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._work, clock)
        self._waiting.append(work)

    def _work(self, clock: Callable[[], float]) -> None:
        work = self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._work, clock)
        began = clock()
        work()
        self._left -= clock() - began

    def tools(self, raw: bytes) -> Mapping[str, Any]:
        """The schemas of the tools in a toolset of any dialect, by name; those that say nothing of the arguments left out."""
        found = self._schemas.get(raw)
        if found is None:
            found = self._keep(raw, _schemas_of(raw) if len(raw) <= SCHEMA_BYTES else {})
        known: Mapping[str, Any] = found
        return known

    def schema(self, raw: bytes) -> object:
        """A schema; None, which everything fits, for what is none."""
        found = self._schemas.get(raw)
        return self._keep(raw, lenient.loads(raw)) if found is None else found

    def _keep(self, raw: bytes, made: Any) -> Any:
        if len(raw) <= SCHEMA_BYTES and made is not None:
            if len(self._schemas) >= SCHEMAS_KEPT:
                self._schemas.clear()
            self._schemas[raw] = made
        return made

    def faults(
        self,
        dialect: Dialect,
        operation: Operation,
        answer: tuple[bytes, bool],
        asked: tuple[bytes, bytes],
        never: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """Which of BAD_CALL, BAD_JSON and, for the strings that it must `never` hold, LEAKED an answer is.

        `answer` is its bytes and whether they are events, `asked` the toolset it could call and the schema its text should fit,
        each as sent and empty for none. Never raises.
        """
        body, stream = answer
        raw, form = asked
        messages = reply_of(dialect, operation, body, stream=stream).messages
        found = []
        known = self.tools(raw) if raw and any(message.tool_calls for message in messages) else {}
        if known and any(_calls_badly(message, known) for message in messages):
            found.append(BAD_CALL)
        if form and any(_says_badly(message, None if form == ANY else self.schema(form)) for message in messages):
            found.append(BAD_JSON)
        if never and any(_holds(message, never) for message in messages):
            found.append(LEAKED)
        return tuple(found)


def _schemas_of(raw: bytes) -> dict[str, Any]:
    try:
        tools = toolset.read(raw)
    except ValueError:
        return {}
    found = {tool.name: msgspec.json.decode(toolset.parameters_of(tool)) for tool in tools if tool.name}
    return {name: schema for name, schema in found.items() if schema.get("properties") or schema.get("required")}


def _calls_badly(message: Message, known: Mapping[str, Any]) -> bool:
    """Whether some call's arguments are no JSON object, or do not fit its schema. A call without arguments has an empty object."""
    for call in message.tool_calls:
        schema = known.get(call.name)
        if schema is None:
            continue
        given = lenient.loads(call.arguments.encode("utf-8", "replace")) if call.arguments.strip() else {}
        if not isinstance(given, dict) or not fits(given, schema):
            return True
    return False


def _holds(message: Message, never: Sequence[str]) -> bool:
    """Whether one of the strings stands in what was said or called, in whatever way JSON writes the letters of a call."""
    said = [message.text, message.refusal, message.reasoning]
    for call in message.tool_calls:
        said += (call.name, call.arguments)
        if "\\" in call.arguments:
            given = lenient.loads(call.arguments.encode("utf-8", "replace"))
            said.append(json.dumps(given, ensure_ascii=False))
    return any(each in text for text in said for each in never)


def _says_badly(message: Message, schema: object) -> bool:
    """Whether the text is no JSON, or does not fit the schema. Who calls a tool or declines says no JSON."""
    text = message.text.strip()
    if message.refusal or (message.tool_calls and not text):
        return False
    value = lenient.loads(text.encode("utf-8", "replace"))
    return (value is None and text != "null") or not fits(value, schema)
