"""A toolset as the `tools` of a Responses request: flat, where chat completions nest the function."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.toolset import parameters_of

TAKING = frozenset({Operation.RESPONSES, Operation.COUNT_TOKENS})
"""Operations that take tools; a compaction takes none."""


def edit(operation: Operation, tools: Sequence[Tool]) -> dict[str, bytes | None]:
    """Puts the tools in, in place of every tool sent."""
    if operation not in TAKING:
        return {}
    return {"tools": b"[" + b",".join(map(_tool, tools)) + b"]"}


def _tool(tool: Tool) -> bytes:
    if tool.hosted:
        return bytes(tool.hosted)
    described = b',"description":' + msgspec.json.encode(tool.description) if tool.description else b""
    strict = b',"strict":' + msgspec.json.encode(tool.strict) if tool.strict is not None else b""
    name = msgspec.json.encode(tool.name)
    return b'{"type":"function","name":%b%b,"parameters":%b%b}' % (name, described, parameters_of(tool), strict)
