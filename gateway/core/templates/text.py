"""A prompt or toolset as sent, read into units: lines and sentences of tokens, with dates, times and ids taken out.

Rule of the file: white space and JSON spelling do not matter, every word does. What is surely a value (a date, a time, a
uuid) is replaced by the name of its kind at once and so never leaves this file; all else has to prove that it changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import msgspec

Unit = tuple[str, ...]
"""Tokens of a line or sentence. A token that follows white space starts with a blank."""

KIND_MARK = "\ue001"
"""First character, after the blank, of a token that stands for a value of a known kind: `\ue001date`."""
CHUNK_MARK = "\ue002"
"""First character of a unit that stands for many lines of a very long text, by their digest."""
RESERVED = re.compile("[\ue000-\ue00f]")
UNITS = 1200
"""Units that are kept as they are; what follows is kept by digest, CHUNK units at a time."""
CHUNK = 16
MOST_CHUNKS = 400
TOKENS = 400
"""Tokens of one unit; a longer one is cut into several."""

_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\b\.?"
)
_WEEKDAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_DAY = r"\d{1,2}(?:st|nd|rd|th)?"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
_ZONE = r"(?:\ ?(?:UTC|GMT|Z)\b|[+-]\d{2}:?\d{2}\b)?"
_TOKEN = re.compile(
    rf"""
    (?P<uuid>\b[0-9a-fA-F]{{8}}-(?:[0-9a-fA-F]{{4}}-){{3}}[0-9a-fA-F]{{12}}\b)
    |(?P<date>
        \b\d{{4}}-\d{{2}}-\d{{2}}(?:[T ]{_CLOCK}{_ZONE})?(?!\w)
        |\b\d{{1,4}}[/.]\d{{1,2}}[/.]\d{{2,4}}\b(?![/.]\d)
        |\b(?:{_WEEKDAY},?\ )?(?:{_MONTH}\ {_DAY}(?:,?\ \d{{4}})?|{_DAY}\ (?:of\ )?{_MONTH}(?:,?\ \d{{4}})?|{_MONTH}\ \d{{4}})(?!\w)
        |\b{_WEEKDAY}\b
    )
    |(?P<time>\b{_CLOCK}(?:\ ?[AaPp]\.?[Mm]\b\.?)?{_ZONE}(?!\w))
    |(?P<address>\b(?:https?://[^\s"'<>)\]]+|[\w.+-]{{1,64}}@[\w-]{{1,64}}(?:\.[\w-]{{1,64}}){{1,8}}))
    |(?P<number>\b\d+(?:[.,]\d+)+)
    |(?P<word>\w+(?:['\u2019]\w+)?)
    |(?P<other>\S)
    """,
    re.VERBOSE,
)
_KINDS = {"uuid": "id", "date": "date", "time": "time"}
_ENDS = frozenset(".!?")
_WIDE_ENDS = frozenset("\u3002\uff01\uff1f")
"""Ends of sentences: the first before a blank, the wide ones wherever they stand."""
_MEMBERS = ("content", "parts", "text", "input", "instructions")


def readable(raw: bytes) -> str:
    """The text of a system prompt as sent in any dialect; what is not JSON, or was cut, as it stands. Never raises."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw.decode("utf-8", "replace").replace("\\n", "\n")
    found = list(_strings(value))
    return "\n".join(found) if found else raw.decode("utf-8", "replace")


def readable_tools(raw: bytes) -> str:
    """A toolset as sent in any dialect, a line per member, tools by name: neither their order nor white space counts."""
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return raw.decode("utf-8", "replace")
    tools = sorted(_tools(value), key=lambda pair: pair[0])
    return "\n".join(msgspec.json.format(msgspec.json.encode(tool), indent=1).decode() for _, tool in tools)


def units(text: str) -> tuple[Unit, ...]:
    """Lines and sentences of a text, blank ones left out. Of a very long text the rest stands as digests of its chunks."""
    found: list[Unit] = []
    rest: list[Unit] = []
    for unit in _units(RESERVED.sub(" ", text)):
        if len(found) < UNITS:
            found.append(unit)
        elif len(rest) < CHUNK * MOST_CHUNKS:
            rest.append(unit)
    for start in range(0, len(rest), CHUNK):
        whole = "\n".join("".join(unit) for unit in rest[start : start + CHUNK])
        found.append((CHUNK_MARK + sha256(whole.encode("utf-8", "replace")).hexdigest()[:16],))
    return tuple(found)


def value_like(tokens: Unit) -> bool:
    """Whether a short span looks like a value (a name, a number, an address) and not like words that instruct."""
    bare = [token.strip() for token in tokens]
    return 0 < len(bare) <= 6 and all(
        not token[:1].islower() or "@" in token or "://" in token or any(c.isdigit() for c in token) for token in bare
    )


def _units(text: str) -> Iterator[Unit]:
    for line in text.splitlines():
        unit: list[str] = []
        last = 0
        for match in _TOKEN.finditer(line):
            blank = match.start() > last
            if unit and ((blank and _ends(unit)) or unit[-1] in _WIDE_ENDS or len(unit) >= TOKENS):
                yield tuple(unit)
                unit = []
            token = match.group()
            kind = _KINDS.get(match.lastgroup or "") or ("id" if _identifies(token) else "")
            if kind:
                token = KIND_MARK + kind
            unit.append(" " + token if blank and unit else token)
            last = match.end()
        if unit:
            yield tuple(unit)


def _ends(unit: list[str]) -> bool:
    """Whether a sentence is over; a capital letter and a dot are somebody's initial."""
    if unit[-1] not in _ENDS:
        return False
    before = unit[-2].strip() if len(unit) > 1 else ""
    return not (len(before) == 1 and before.isupper() and before != "I")


def _identifies(token: str) -> bool:
    """Whether a token is surely an id: a long number, or letters with several digits among them."""
    if len(token) < 6 or not token.isascii() or not token.replace("_", "").isalnum():
        return False
    digits = sum(c.isdigit() for c in token)
    return token.isdigit() or (digits >= 4 and digits < len(token))


def _strings(value: Any) -> Iterator[str]:
    """Every text of a prompt, in order: of strings, lists, and objects with the members that hold text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for name in _MEMBERS:
            if name in value:
                yield from _strings(value[name])


def _tools(value: Any) -> Iterator[tuple[str, Any]]:
    """Each tool with its name; Gemini's lists of declarations are opened."""
    for item in value if isinstance(value, list) else [value]:
        held = item if isinstance(item, dict) else {}
        declared = held.get("functionDeclarations") or held.get("function_declarations")
        if isinstance(declared, list):
            yield from _tools(declared)
            continue
        function = held.get("function")
        name = held.get("name") or (function.get("name") if isinstance(function, dict) else "") or held.get("type", "")
        yield str(name), item
