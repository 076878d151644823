"""Prompt templates: a text with `{{variables}}`, parsed once, then rendered or matched per request.

Rule of the file: a value is data. What it holds is inserted as it is and never read as a template again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.contract.artifact import plain

APP = "app"
"""The reserved name: stands for what the request itself sent as its first system item."""
Value = str | int | float | bool
"""What a variable may be given."""

_mark = re.compile(r"\\\{\{|\{\{(?!\{)")
_name = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*\}\}")


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed prompt. `parts` alternates literal text and variable name, and begins and ends with a literal."""

    parts: tuple[str, ...]
    variables: frozenset[str]
    """Names that a request has to give; without `app`."""
    uses_app: bool

    def missing(self, values: Mapping[str, Value]) -> str:
        """The first variable that is not given; empty when all are."""
        if self.variables <= values.keys():
            return ""
        return next(name for name in self.parts[1::2] if name != APP and name not in values)

    def render(self, values: Mapping[str, Value], app: str = "") -> str:
        """The prompt with every variable filled in. Raises KeyError for one that is not given; `app` is never looked up."""
        parts = self.parts
        if len(parts) == 1:
            return parts[0]
        filled = list(parts)
        filled[1::2] = [app if name == APP else as_text(values[name]) for name in parts[1::2]]
        return "".join(filled)

    def departs(self, text: str, values: Mapping[str, Value]) -> int | None:
        """Where a text stops being this prompt, in characters; None when it is this prompt from end to end.

        A variable matches its value where one is given, else any text; so does `app`. Line ends and newlines at the end do
        not count, as in `canonical_prompt`. Takes time in proportion to the text, whatever the template is.
        """
        chunks = [self.parts[0]]
        for name, literal in zip(self.parts[1::2], self.parts[2::2], strict=True):
            if name in values and name != APP:
                chunks[-1] += as_text(values[name]) + literal
            else:
                chunks.append(literal)
        at = _walk(chunks, text)
        if at is None:
            return None
        chunks = [chunk.replace("\r\n", "\n") for chunk in chunks]
        return _walk([*chunks[:-1], chunks[-1].rstrip("\n")], plain(text))


def parse(text: str) -> Template:
    r"""Read a template: `{{name}}` is a variable, `\{{` is two literal braces, any other text stands for itself.

    Names match `[A-Za-z_][A-Za-z0-9_.-]*`; blanks around one do not matter; of three braces the first is text. Raises ValueError with line and column of braces
    that begin no variable.
    """
    parts: list[str] = []
    literal: list[str] = []
    at = 0
    for mark in _mark.finditer(text):
        literal.append(text[at : mark.start()])
        at = mark.end()
        if mark[0].startswith("\\"):
            literal.append("{{")
            continue
        found = _name.match(text, at)
        if found is None:
            line, column = text.count("\n", 0, at) + 1, mark.start() - text.rfind("\n", 0, at)
            raise ValueError(
                f"line {line}, column {column}: `{{{{` begins no variable such as `{{{{name}}}}`; write `\\{{{{` for the braces themselves"
            )
        parts += ("".join(literal), found[1])
        literal.clear()
        at = found.end()
    parts.append("".join(literal) + text[at:])
    names = frozenset(parts[1::2])
    return Template(tuple(parts), names - {APP}, APP in names)


def escape(text: str) -> str:
    """The template that renders to exactly this text."""
    return text.replace("{{", "\\{{")


def as_text(value: Value) -> str:
    """A value as it stands in a prompt: text as it is, numbers and booleans as JSON writes them."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _walk(chunks: list[str], text: str) -> int | None:
    """Where a text stops being these chunks with anything in between; None when it is them."""
    first, last = chunks[0], chunks[-1]
    if len(chunks) == 1:
        return None if text == first else _shared(text, first)
    if not text.startswith(first):
        return _shared(text, first)
    at = len(first)
    for chunk in chunks[1:-1]:
        found = text.find(chunk, at)
        if found < 0:
            return at
        at = found + len(chunk)
    return None if len(text) - at >= len(last) and text.endswith(last) else at


def _shared(one: str, other: str) -> int:
    """How many characters two texts have in common from their start."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one.startswith(other[:middle]):
            low = middle
        else:
            high = middle - 1
    return low
