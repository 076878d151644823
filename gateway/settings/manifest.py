"""A rollout's manifest from its file: everything that is wrong with it is told with the line it stands on.

Rule of the file: what a manifest means is `core.rollout.manifest`'s; here it is only read, and a problem gets its place.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.core.contract.fault import Fault
from gateway.core.rollout.manifest import Manifest, plan_of
from gateway.core.rollout.manifest import read as understood
from gateway.settings import document
from gateway.settings.document import Mapping, Node, Scalar
from gateway.settings.problems import Problem, SettingsError, shown

ANY = "[...]"
"""How msgspec writes a member of a map: which one, has to be found out."""
_UNKNOWN = re.compile(r"unknown field `([^`]*)`")


def read(text: str, file: str) -> Manifest:
    """The manifest in a text; `file` is its name for messages. Raises SettingsError with file, line and member."""
    root = document.parse(text, file)
    lines: dict[str, int] = {}
    value = _plain(root, "", lines)
    try:
        manifest = understood(value)
        plan_of(manifest)
    except Fault as fault:
        raise SettingsError(file, [_placed(fault, value, lines)]) from fault
    return manifest


def _plain(node: Node, key: str, lines: dict[str, int]) -> Any:
    """The value of a node; `lines` gets the line of every member below it."""
    lines.setdefault(key, node.line)
    if isinstance(node, Scalar):
        return node.value()
    if isinstance(node, Mapping):
        found = {}
        for name, child in node.entries.items():
            path = f"{key}.{name}" if key else name
            lines[path] = node.lines[name]
            found[name] = _plain(child, path, lines)
        return found
    return [_plain(item, f"{key}[{index}]", lines) for index, item in enumerate(node.items)]


def _placed(fault: Fault, value: dict[str, Any], lines: dict[str, int]) -> Problem:
    member = fault.param or ""
    message = fault.message.removeprefix(f"{member}: ")
    if ANY in member:
        member = member.replace(ANY, f".{_culprit(value, member.partition(ANY)[0])}", 1)
    if member not in lines:
        member = _around(member, lines)
    unknown = _UNKNOWN.search(message)
    if unknown is not None:
        inside = f"{member}.{unknown[1]}" if member else unknown[1]
        member = inside if inside in lines else member
        message = "unknown key"
    place = ".".join(shown(part) for part in member.split(".")) if unknown is not None else member
    return Problem(place, message, lines.get(member, 0))


def _culprit(value: dict[str, Any], name: str) -> str:
    """The entry of a map that is refused when it stands there alone."""
    entries = value.get(name)
    for key, entry in entries.items() if isinstance(entries, dict) else ():
        try:
            understood({**value, name: {key: entry}})
        except Fault:
            return str(key)
    return ""


def _around(member: str, lines: dict[str, int]) -> str:
    """The nearest member around one that is not in the file; empty for the file as a whole."""
    while member and member not in lines:
        cut = max(member.rfind("."), member.rfind("["))
        member = member[:cut] if cut > 0 else ""
    return member
