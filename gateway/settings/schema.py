"""The JSON Schema of the configuration, for editors: made from the types, so that it cannot tell anything else.

Wherever one value stands, a reference to the environment may stand as well; durations, sizes and money may be written with
their units.
"""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import Any

import msgspec

from gateway.settings.model import Settings

FILE = "gateway.schema.json"
REFERENCE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\}"}
_UNITS = {
    "seconds": {"type": "string", "description": "a duration: 30s, 5m, 72h, 30d", "pattern": r"^[0-9.]+\s*[a-z]+"},
    "bytes": {"type": "string", "description": "a size: 64KiB, 64MiB, 1GiB", "pattern": r"^[0-9.]+\s*[A-Za-z]+$"},
    "points": {"type": "string", "description": "percentage points: 5pp", "pattern": r"^[0-9.]+\s*pp$"},
    "usd": {"type": "string", "description": "money: 5 USD", "pattern": r"^\$?\s*[0-9.]+"},
    "usd_per_hour": {"type": "string", "description": "money over time: 5 USD/h", "pattern": r"^\$?\s*[0-9.]+"},
    "usd_per_day": {"type": "string", "description": "money over time: 5 USD/day", "pattern": r"^\$?\s*[0-9.]+"},
}


def schema() -> dict[str, Any]:
    """The schema as a value."""
    made = msgspec.json.schema(Settings)
    definitions = {name: _relaxed(each) for name, each in made.pop("$defs").items()}
    root = definitions.pop("Settings")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trivet configuration",
        **{name: value for name, value in root.items() if name not in {"title", "required"}},
        "$defs": dict(sorted(definitions.items())),
    }


def render() -> str:
    """The text of `config/gateway.schema.json`."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _relaxed(node: Any) -> Any:
    """A node of the schema with references and units allowed."""
    if isinstance(node, list):
        return [_relaxed(each) for each in node]
    if not isinstance(node, dict):
        return node
    unit = node.pop("x-unit", None)
    node.pop("title", None)
    if isinstance(node.get("description"), str):
        # Python has done so itself since 3.13; the file is to be the same under any.
        node["description"] = cleandoc(node["description"])
    if "properties" in node:
        node["properties"] = {name: _relaxed(each) for name, each in node["properties"].items()}
        return node
    if _is_leaf(node):
        default = {"default": node.pop("default")} if "default" in node else {}
        told = {"description": node.pop("description")} if "description" in node else {}
        ways = [node, *([_UNITS[unit]] if unit else []), REFERENCE]
        return {**told, "anyOf": ways, **default}
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            node[name] = _relaxed(node[name])
    if "anyOf" in node:
        node["anyOf"] = [_relaxed(each) if "$ref" not in each else each for each in node["anyOf"]]
    return node


def _is_leaf(node: dict[str, Any]) -> bool:
    """A single value that a plain string would not satisfy."""
    kind = node.get("type")
    return kind in {"integer", "number", "boolean"} or "enum" in node or (kind == "string" and "pattern" in node)
