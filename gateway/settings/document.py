"""A YAML file as a tree that remembers its lines.

Only what configuration needs: maps, lists and scalars of the YAML 1.2 core kind (`yes` is a word, `010` is a word,
`1e-3` is a number). Duplicate keys, custom tags, merge keys, cycles and oversized files are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from gateway.settings.problems import Problem, SettingsError, shown

MAX_BYTES = 4 << 20
MAX_NODES = 200_000
MAX_DEPTH = 32

_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]*)$")
_FLOAT = re.compile(r"^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_NULL = ("", "~", "null", "Null", "NULL")
_TAGS = ("str", "int", "float", "bool", "null", "map", "seq", "timestamp", "merge", "value")


@dataclass(frozen=True, slots=True)
class Scalar:
    """Text and whether it was quoted. `line` counts from 1."""

    text: str
    quoted: bool
    line: int

    def value(self) -> str | int | float | bool | None:
        """The scalar as YAML 1.2 core reads it; quoted text stays text."""
        return self.text if self.quoted else plain(self.text)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Mapping:
    """A map; `lines` has the line of each key."""

    entries: dict[str, Node]
    lines: dict[str, int]
    line: int


Node = Scalar | Sequence | Mapping


def plain(text: str) -> str | int | float | bool | None:
    """An unquoted scalar by the YAML 1.2 core schema."""
    if text in _NULL:
        return None
    if text in {"true", "True", "TRUE"}:
        return True
    if text in {"false", "False", "FALSE"}:
        return False
    if _INT.match(text) and len(text) < 300:
        return int(text)
    if _FLOAT.match(text) and len(text) < 300:
        return float(text)
    return text


def parse(text: str, file: str) -> Mapping:
    """Read one document. An empty file is an empty map. Raises SettingsError."""
    if len(text) > MAX_BYTES:
        raise SettingsError(file, [Problem("", f"the file is larger than {MAX_BYTES >> 20} MiB")])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = error.problem or error.context or "cannot be read"
        if "single document" in (error.context or ""):
            what = "more than one document in the file"
        message = f"not valid YAML: {_unquoting(what)}"
        raise SettingsError(file, [Problem("", message, mark.line + 1 if mark else 0)]) from None
    except (yaml.YAMLError, RecursionError):
        message = "not valid YAML: a character that is not allowed, or nesting too deep"
        raise SettingsError(file, [Problem("", message)]) from None
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.style and root.value in _NULL):
        return Mapping({}, {}, 1)
    reader = _Reader()
    node = reader.read(root, "", 0)
    if reader.problems:
        raise SettingsError(file, reader.problems)
    if not isinstance(node, Mapping):
        message = "must be a map of settings such as `listen: 127.0.0.1:8080`"
        raise SettingsError(file, [Problem("", message, node.line)])
    return node


def _unquoting(problem: str) -> str:
    """A parser's message without what it quotes from the file."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "a character or name", problem)


class _Reader:
    """Turns PyYAML's nodes into ours, collecting problems."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._open: set[int] = set()
        self._seen = 0

    def read(self, node: yaml.Node, key: str, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._seen += 1
        if self._seen > MAX_NODES or depth > MAX_DEPTH:
            if len(self.problems) < 1:
                self.problems.append(Problem(key, "the file is nested too deep or refers to itself too often", line))
            return Scalar("", quoted=True, line=line)
        if id(node) in self._open:
            self.problems.append(Problem(key, "refers to itself; a reference must not contain itself", line))
            return Scalar("", quoted=True, line=line)
        tag = str(node.tag).rpartition(":")[2]
        if tag not in _TAGS or not str(node.tag).startswith("tag:yaml.org,2002:"):
            self.problems.append(Problem(key, "has a YAML tag; write the plain value without it", line))
        if isinstance(node, yaml.ScalarNode):
            return Scalar(str(node.value), node.style is not None, line)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                items = tuple(self.read(item, f"{key}[{index}]", depth + 1) for index, item in enumerate(node.value))
                return Sequence(items, line)
            return self._mapping(node, key, depth, line)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.Node, key: str, depth: int, line: int) -> Mapping:
        entries: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for name_node, value_node in node.value:
            name_line = name_node.start_mark.line + 1
            if not isinstance(name_node, yaml.ScalarNode):
                self.problems.append(Problem(key, "has a key that is not a word", name_line))
                continue
            name = str(name_node.value)
            path = f"{key}.{shown(name)}" if key else shown(name)
            if name == "<<":
                self.problems.append(Problem(key, "merge keys (<<) are not read; write the settings out", name_line))
                continue
            if name in entries:
                message = f"is given twice, first on line {lines[name]}; keep one"
                self.problems.append(Problem(path, message, name_line))
                continue
            entries[name] = self.read(value_node, path, depth + 1)
            lines[name] = name_line
        return Mapping(entries, lines, line)
