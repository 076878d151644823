"""A toolset as the `tools` of a request for content."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.dialect.toolset import parameters_of


def edit(tools: Sequence[Tool]) -> dict[str, bytes | None]:
    """Puts the tools in, in place of every tool sent: one entry declares all functions, and each tool that Google runs has an
    entry of its own. Gemini has no word for `strict`."""
    functions = [_function(tool) for tool in tools if not tool.hosted]
    entries = [b'{"functionDeclarations":[' + b",".join(functions) + b"]}"] if functions else []
    entries += [bytes(tool.hosted) for tool in tools if tool.hosted]
    return {"tools": b"[" + b",".join(entries) + b"]"}


def _function(tool: Tool) -> bytes:
    described = b',"description":' + msgspec.json.encode(tool.description) if tool.description else b""
    name = msgspec.json.encode(tool.name)
    return b'{"name":%b%b,"parametersJsonSchema":%b}' % (name, described, parameters_of(tool))
