"""From a tree of YAML nodes to plain values of the shape that the settings types ask for.

Driven by the types of `settings.model`: each node is checked against the type that stands at its place, so every problem
has its line and its key, and all problems come out at once. No message shows a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import inspect as types

from gateway.settings import units
from gateway.settings.document import Mapping as MapNode
from gateway.settings.document import Node, Scalar, Sequence
from gateway.settings.environment import ReferenceProblem, expand
from gateway.settings.problems import Problem, nearest, shown

DAY = units.DAY


class Shaper:
    """Collects `problems`, `lines` (key path to line) and `referenced` (key paths filled from the environment)."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[Problem] = []
        self.lines: dict[str, int] = {}
        self.referenced: set[str] = set()

    def shape(self, node: Node, wanted: types.Type, key: str) -> Any:
        """The value of `node`, or None where it has a problem."""
        self.lines.setdefault(key, node.line)
        wanted, unit = _unwrapped(wanted)
        if isinstance(wanted, types.UnionType):
            return self._union(node, wanted, key)
        if isinstance(wanted, types.StructType):
            return self._struct(node, wanted, key)
        if isinstance(wanted, types.DictType):
            return self._dict(node, wanted, key)
        if isinstance(wanted, types.VarTupleType | types.ListType):
            if not isinstance(node, Sequence):
                return self._wrong(node, key, "must be a list; start each entry with `- `")
            return [self.shape(item, wanted.item_type, f"{key}[{index}]") for index, item in enumerate(node.items)]
        if isinstance(wanted, types.AnyType):
            return self._any(node, key)
        return self._scalar(node, wanted, unit, key)

    def _wrong(self, node: Node, key: str, message: str) -> None:
        self.problems.append(Problem(key, message, node.line))

    def _union(self, node: Node, wanted: types.UnionType, key: str) -> Any:
        if isinstance(node, Scalar) and node.value() is None:
            return None
        return self.shape(node, next(t for t in wanted.types if not isinstance(t, types.NoneType)), key)

    def _struct(self, node: Node, wanted: types.StructType, key: str) -> Any:
        if isinstance(node, Scalar) and node.value() is None:
            node = MapNode({}, {}, node.line)
        fields = {field.encode_name: field for field in wanted.fields}
        if not isinstance(node, MapNode):
            return self._wrong(node, key, f"must be a map with {', '.join(fields)}")
        values = {}
        for name, child in node.entries.items():
            path = f"{key}.{shown(name)}" if key else shown(name)
            self.lines[path] = node.lines[name]
            field = fields.get(name)
            if field is None:
                self.problems.append(Problem(path, f"unknown key{nearest(name, fields)}", node.lines[name]))
                continue
            if isinstance(child, Scalar) and child.value() is None and _may_be_left_out(field):
                continue
            values[name] = self.shape(child, field.type, path)
        for name, field in fields.items():
            if field.required and name not in node.entries:
                self._wrong(node, f"{key}.{name}" if key else name, "is missing; it has no default")
        return values

    def _dict(self, node: Node, wanted: types.DictType, key: str) -> Any:
        if not isinstance(node, MapNode):
            return self._wrong(node, key, "must be a map of names")
        name_type, _ = _unwrapped(wanted.key_type)
        values = {}
        for name, child in node.entries.items():
            path = f"{key}.{shown(name)}"
            self.lines[path] = node.lines[name]
            try:
                msgspec.convert(name, _leaf(name_type))
            except msgspec.ValidationError:
                message = f"is not a name; {_rule(name_type)}"
                self.problems.append(Problem(path, message, node.lines[name]))
            values[name] = self.shape(child, wanted.value_type, path)
        return values

    def _any(self, node: Node, key: str) -> Any:
        if isinstance(node, Sequence):
            return [self._any(item, f"{key}[{index}]") for index, item in enumerate(node.items)]
        if isinstance(node, MapNode):
            return {name: self._any(child, f"{key}.{shown(name)}") for name, child in node.entries.items()}
        text, referenced = self._expanded(node, key)
        return text if referenced or node.quoted else node.value()

    def _expanded(self, node: Scalar, key: str) -> tuple[str, bool]:
        try:
            text, referenced = expand(node.text, self._environment)
        except ReferenceProblem as problem:
            self._wrong(node, key, str(problem))
            return "", True
        if referenced:
            self.referenced.add(key)
        return text, referenced

    def _scalar(self, node: Node, wanted: types.Type, unit: str, key: str) -> Any:
        if not isinstance(node, Scalar):
            return self._wrong(node, key, f"must be one value, not a {_kind(node)}; {_rule(wanted)}")
        problems = len(self.problems)
        text, referenced = self._expanded(node, key)
        if len(self.problems) > problems:
            return None
        value: Any = text
        if not isinstance(wanted, types.StrType):
            value = text if referenced or node.quoted else node.value()
        elif not text and not referenced and not node.quoted:
            return self._wrong(node, key, "has no value; write one, or leave the key out")
        try:
            value = _in_unit(value, unit)
            return msgspec.to_builtins(msgspec.convert(value, _leaf(wanted), strict=not referenced))
        except units.UnitError as problem:
            return self._wrong(node, key, str(problem))
        except msgspec.ValidationError:
            return self._wrong(node, key, _rule(wanted))


def _in_unit(value: Any, unit: str) -> Any:
    if not unit or value is None:
        return value
    if unit == "seconds":
        return units.seconds(value)
    if unit == "bytes":
        return units.size(value)
    if unit == "points":
        return units.points(value)
    if unit == "usd":
        return units.amount(value)
    if unit == "usd_per_day":
        return units.money(value, DAY)
    return units.money(value, units.HOUR)


def _unwrapped(wanted: types.Type) -> tuple[types.Type, str]:
    """The type without its annotations, and the unit they name."""
    unit = ""
    while isinstance(wanted, types.Metadata):
        unit = str((wanted.extra or {}).get("unit", unit))
        wanted = wanted.type
    return wanted, unit


def _may_be_left_out(field: types.Field) -> bool:
    """Whether an empty value means the default: maps and lists, never a single value."""
    return not field.required and not isinstance(
        _unwrapped(field.type)[0], types.StrType | types.IntType | types.FloatType | types.BoolType | types.LiteralType
    )


def _kind(node: Node) -> str:
    return "map" if isinstance(node, MapNode) else "list"


def _leaf(wanted: types.Type) -> Any:
    """The Python type that msgspec converts a leaf to."""
    if isinstance(wanted, types.LiteralType):
        return Literal[tuple(wanted.values)]
    if isinstance(wanted, types.EnumType):
        return wanted.cls
    if isinstance(wanted, types.BoolType):
        return bool
    if isinstance(wanted, types.StrType):
        return Annotated[str, msgspec.Meta(pattern=wanted.pattern)]
    if isinstance(wanted, types.IntType | types.FloatType):
        base = int if isinstance(wanted, types.IntType) else float
        return Annotated[base, msgspec.Meta(ge=wanted.ge, le=wanted.le)]
    raise TypeError(f"settings types hold no {type(wanted).__name__}")


def _rule(wanted: types.Type) -> str:
    """What a value of this type must be, as a sentence for whoever wrote another."""
    if isinstance(wanted, types.LiteralType):
        return "must be " + " or ".join(str(value) or '""' for value in wanted.values)
    if isinstance(wanted, types.EnumType):
        return "must be " + " or ".join(str(member.value) for member in wanted.cls)
    if isinstance(wanted, types.BoolType):
        return "must be true or false"
    if isinstance(wanted, types.IntType | types.FloatType):
        words = "a whole number" if isinstance(wanted, types.IntType) else "a number"
        low = f" of at least {wanted.ge}" if wanted.ge is not None else ""
        high = f" and at most {wanted.le}" if wanted.le is not None else ""
        return f"must be {words}{low}{high}"
    if isinstance(wanted, types.StrType) and wanted.pattern == r"^[0-9a-f]{64}$":
        return "must be a sha256: 64 lower-case hex digits; `trivet key new` prints one"
    if isinstance(wanted, types.StrType) and wanted.pattern:
        return f"must be text matching {wanted.pattern}"
    return "must be text"
