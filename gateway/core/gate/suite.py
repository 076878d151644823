"""A suite file: JSON Lines, a head and then items, read whole or refused with every line that is wrong.

Rule of the file: what could make an item mean nothing is refused here, before anybody pays for its answers: a check without a
condition, a tool that nobody offers, a call without its result, a pattern that could take for ever.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

import msgspec

from gateway.core.contract.suite import Check, Head, Item, Suite
from gateway.core.gate import patterns

LINES = 100_000
"""Items of a suite, at most."""
TOLD = 20
"""Problems of a file that are told."""
ANY_TOOL = "*"
"""In `not_called`: whatever tool."""

_ROLES = ("system", "user", "assistant", "tool")
_id = re.compile(r"[A-Za-z0-9._:/@#+-]{1,128}").fullmatch
_name = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch
_call = re.compile(r"[A-Za-z0-9_-]{1,40}").fullmatch
_item = msgspec.json.Decoder(Item).decode
_head = msgspec.json.Decoder(Head).decode


class SuiteError(ValueError):
    """A file that is no suite. `problems` are line and sentence, in the order of the file; its text is all of them."""

    def __init__(self, name: str, problems: list[tuple[int, str]]) -> None:
        told = [f"{name}:{line}: {message}" for line, message in problems[:TOLD]]
        more = [f"and {len(problems) - TOLD} more"] if len(problems) > TOLD else []
        super().__init__("\n".join((*told, *more)))
        self.problems = problems


def read(data: bytes, name: str) -> Suite:
    """The suite of a file; `name` is what its errors call it. Raises SuiteError with every line that is wrong.

    The digest is of the lines with the white space between tokens taken out, so laying a file out anew changes nothing.
    """
    lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
    if not lines:
        raise SuiteError(name, [(1, "is empty; the first line is the head: suite, version and kind")])
    problems: list[tuple[int, str]] = []
    head: Head | None = None
    items: dict[str, Item] = {}
    digest = hashlib.sha256()
    for number, line in lines[: LINES + 1]:
        try:
            digest.update(msgspec.json.format(line, indent=-1) + b"\n")
            if head is None:
                head = _head(line)
                problems += [(number, message) for message in _wrong_head(head)]
                continue
            item = _item(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            what = "head (suite, version, kind)" if head is None else "item"
            problems.append((number, f"is no {what}: {error}"))
            if head is None:
                break
            continue
        if item.id in items:
            problems.append((number, f"item {item.id!r} is there twice"))
        items[item.id] = item
        problems += [(number, f"item {item.id!r}: {message}") for message in _wrong_item(item)]
    if len(lines) > LINES + 1:
        problems.append((lines[LINES + 1][0], f"a suite has at most {LINES} items"))
    if head is not None and not items and not problems:
        problems.append((lines[0][0], "has no items"))
    if problems or head is None:
        raise SuiteError(name, problems)
    return Suite(head, tuple(items.values()), digest.hexdigest())


def identity(data: bytes, name: str) -> tuple[Head, str]:
    """Head and digest of a suite as `read` gives them, without a look at its items: a fortieth of the time.

    Raises SuiteError for what has no head, or a line that is not JSON.
    """
    digest = hashlib.sha256()
    head: Head | None = None
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            digest.update(msgspec.json.format(line, indent=-1) + b"\n")
            head = _head(line) if head is None else head
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SuiteError(name, [(number, f"is no part of a suite: {error}")]) from error
    if head is None:
        raise SuiteError(name, [(1, "is empty; the first line is the head: suite, version and kind")])
    return head, digest.hexdigest()


def label(of: Suite | Head) -> str:
    """`NAME@VERSION`, as evidence names a suite."""
    head = of.head if isinstance(of, Suite) else of
    return f"{head.suite}@{head.version}"


def judged(suite: Suite) -> bool:
    """Whether an item needs the judge."""
    return any(item.check.judge for item in suite.items)


def _wrong_head(head: Head) -> Iterator[str]:
    if not _id(head.suite):
        yield "`suite` is 1 to 128 letters, digits and ._:/@#+-"
    if head.version < 1:
        yield "`version` begins at 1"


def _wrong_item(item: Item) -> Iterator[str]:
    if not _id(item.id):
        yield "`id` is 1 to 128 letters, digits and ._:/@#+-"
    if not 1 <= item.max_tokens <= 1_000_000:
        yield "`max_tokens` is at least 1"
    names = [tool.name for tool in item.tools]
    if len(set(names)) < len(names):
        yield "each tool has a name of its own"
    if not all(map(_name, names)):
        yield "a tool's name is 1 to 64 letters, digits, _ and -, as every provider takes it"
    yield from _wrong_history(item)
    yield from _wrong_check(item)


def _wrong_history(item: Item) -> Iterator[str]:
    """Whether a provider would take the messages: each call has its result before anybody speaks on."""
    open_calls: dict[str, str] = {}
    seen: set[str] = set()
    begun = False
    for said in item.messages:
        if said.role not in _ROLES:
            yield f"role {said.role!r} is none of {', '.join(_ROLES)}"
        if said.role == "system" and begun:
            yield "a system message stands before all others"
        begun = begun or said.role != "system"
        if said.role != "assistant" and said.calls:
            yield f"`calls` in a message of role {said.role}"
        if said.role == "tool":
            if open_calls.pop(said.call, None) is None:
                yield f"a result of call {said.call!r}, which is not open"
            continue
        if said.call:
            yield f"`call` in a message of role {said.role}"
        if open_calls:
            yield f"call {next(iter(open_calls))!r} has no result"
            open_calls = {}
        for call in said.calls:
            if not _call(call.id) or call.id in seen:
                yield f"call of {call.name!r} needs an id of its own: 1 to 40 letters, digits, _ and -"
            if not call.name:
                yield "a call without the name of its tool"
            seen.add(call.id)
            open_calls[call.id] = call.name
        if not said.content and not said.calls:
            yield f"an empty message of role {said.role}"
    if open_calls:
        yield f"call {next(iter(open_calls))!r} has no result"
    if not item.messages or item.messages[-1].role not in ("user", "tool"):
        yield "the last message is of role user or tool: the model answers it"
    first = next((said.role for said in item.messages if said.role != "system"), "user")
    if first != "user":
        yield "the first message but for a system's is the user's"


def _wrong_check(item: Item) -> Iterator[str]:
    check = item.check
    if check == Check():
        yield "its check asks nothing, so every answer would pass"
    for member in ("exact", "contains", "lacks", "not_called"):
        if any(not each.strip() for each in getattr(check, member)):
            yield f"check.{member} holds an empty text"
    if any(not each.strip() for said in check.contains for each in said.split("|")):
        yield "check.contains has an empty alternative, which everything contains"
    if check.regex:
        yield from (f"check.regex {wrong}" for wrong in patterns.faults(check.regex))
    if check.json is not None:
        yield from (f"check.json {wrong}" for wrong in patterns.schema_faults(check.json))
    offered = {tool.name for tool in item.tools}
    if not offered:
        return  # the release may bring its own
    for name in (*(call.name for call in check.calls), *check.not_called):
        if name not in offered and name != ANY_TOOL:
            yield f"its check names tool {name!r}, which the item does not offer"
