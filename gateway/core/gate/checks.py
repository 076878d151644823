"""Scores an answer: 1.0 when every condition of the item's check holds, 0.0 when one does not, None when nobody can tell.

The rule: a condition that is wrong settles the score without the judge, and what is no answer is never scored as a bad one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from jsonschema.validators import validator_for

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.contract.suite import Answer, Asked, Check, Item, Suite
from gateway.core.diff.calls import arguments
from gateway.core.diff.text import normalise
from gateway.core.gate.refusal import refused
from gateway.core.gate.suite import ANY_TOOL

MATCHED = 8_000
"""Characters of a text that a regular expression looks at."""
CALLS = 64
"""Calls of an answer that are looked at for those asked for; all are looked at for those forbidden."""

_fence = re.compile(r"\A\s*```[\w-]*[ \t]*\n(.*?)\n?```\s*\Z", re.DOTALL).match
_QUOTES = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u00a0": " ", "\u202f": " "})
_AROUND = " \t\r\n\"'`*"


def score(item: Item, reply: Reply, *, judged: bool | None = None) -> float | None:
    """1.0 or 0.0 by the item's check; None for no answer at all, and for one that waits for its judge.

    `judged` is the judge's yes or no to the check's rubric; without a rubric it is not looked at.
    """
    message = reply.messages[0] if reply.messages else None
    if message is None and not refused(reply):
        return None
    for holds in _conditions(item.check, message or Message(), refused(reply)):
        if not holds:
            return 0.0
    if not item.check.judge:
        return 1.0
    return None if judged is None else float(judged)


def waits(item: Item, reply: Reply) -> bool:
    """Whether only the judge's word is missing."""
    return bool(item.check.judge) and score(item, reply, judged=True) == 1.0


def reply_of(answer: Answer) -> Reply:
    """An item's example as an answer."""
    calls = tuple(ToolCall(call.name, msgspec.json.encode(call.arguments).decode(), call.id) for call in answer.calls)
    message = Message(text=answer.text, tool_calls=calls, finish="tool_calls" if calls else "stop")
    return Reply(Observed(terminal=True), (message,))


def unproven(suite: Suite) -> Iterator[tuple[str, str]]:
    """Items whose examples do not show what their check does: id and why. A judge is taken to say what the example claims."""
    for item in suite.items:
        if score(item, reply_of(item.good), judged=True) != 1.0:
            yield item.id, "its good answer does not pass its check"
        if score(item, reply_of(item.bad), judged=False) != 0.0:
            yield item.id, "its bad answer passes its check"


def _conditions(check: Check, message: Message, declined: bool) -> Iterator[bool]:
    """Every member that is there, cheap ones first."""
    said = message.text or message.refusal
    if check.refused is not None:
        yield declined == check.refused
    names = {call.name for call in message.tool_calls}
    for name in check.not_called:
        yield not names if name == ANY_TOOL else name not in names
    if check.calls:
        yield _called(check.calls, message.tool_calls[:CALLS])
    if check.exact:
        yield _bare(said) in {_bare(each) for each in check.exact}
    text = _folded(said)
    for each in check.contains:
        yield any(_folded(word) in text for word in each.split("|"))
    if check.lacks:
        everywhere = "\n".join((text, *(_folded(each) for each in _argued(message.tool_calls))))
        yield not any(_folded(each) in everywhere for each in check.lacks)
    if check.regex:
        yield re.search(check.regex, said[:MATCHED]) is not None
    if check.json is not None:
        yield _fits(said, check.json)


def _folded(text: str) -> str:
    """A text without case, kinds of quotes and of white space, which nobody checks."""
    return normalise(text.translate(_QUOTES))


def _bare(text: str) -> str:
    """A short answer without what may stand around it."""
    return _folded(text).strip(_AROUND).removesuffix(".").strip(_AROUND)


def _argued(calls: Sequence[ToolCall]) -> Iterator[str]:
    """The arguments of calls: every text in them, and all of them as written."""
    for call in calls:
        yield call.arguments
        yield from _texts(arguments(call))


def _texts(value: Any) -> Iterator[str]:
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            pending += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            pending += each


def _called(wanted: Sequence[Asked], made: Sequence[ToolCall]) -> bool:
    """Whether each wanted call has a made one of its own; the most exacting choose first."""
    left = [(call.name, arguments(call)) for call in made]
    for each in sorted(wanted, key=lambda call: -len(call.arguments)):
        twin = next((i for i, (name, given) in enumerate(left) if name == each.name and _given(each, given)), None)
        if twin is None:
            return False
        del left[twin]
    return True


def _given(wanted: Asked, arguments: Any) -> bool:
    return isinstance(arguments, Mapping) and all(
        name in arguments and _same(value, arguments[name]) for name, value in wanted.arguments.items()
    )


def _same(one: Any, other: Any) -> bool:
    """Equal values: texts by their folded form, numbers by value, true never 1."""
    if isinstance(one, str) and isinstance(other, str):
        return _folded(one) == _folded(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(*pair) for pair in zip(one, other, strict=True))
    return bool(one == other)


def _fits(text: str, schema: dict[str, object]) -> bool:
    fenced = _fence(text)
    try:
        value = msgspec.json.decode((fenced[1] if fenced else text).strip())
        return bool(validator_for(schema)(schema).is_valid(value))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return False
