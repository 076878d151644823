"""Anthropic's wire format behind the Dialect protocol."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.contract.fault import Fault
from gateway.core.dialect.anthropic import assemble, envelope, errors, reply
from gateway.core.dialect.base import Assembler, Decoder, Envelope
from gateway.core.dialect.openai.errors import looks_like_error
from gateway.core.dialect.routes import Operation

TAKES_TOOLS = frozenset((Operation.MESSAGES, Operation.COUNT_TOKENS))
NO_ARGUMENTS = msgspec.Raw(b'{"type":"object"}')
"""The schema of a tool that has none: the API demands one."""


class Anthropic:
    """Messages, and the count of their tokens. Holds no state."""

    name = "anthropic"

    def read(self, operation: Operation | None, body: bytes) -> Envelope:
        """See `Dialect.read`."""
        return envelope.read(operation, body)

    def model_edit(self, model: str) -> dict[str, bytes]:
        """The top-level `model`."""
        return {"model": msgspec.json.encode(model)}

    def tools_edit(self, operation: Operation, tools: Sequence[Tool]) -> dict[str, bytes | None]:
        """`tools` with these in place of every tool sent; a hosted one as it is written. `mcp_servers` and `tool_choice`
        stay as they are. Empty for an operation without tools."""
        if operation not in TAKES_TOOLS:
            return {}
        return {"tools": b"[" + b",".join(_rendered(tool) for tool in tools) + b"]" if tools else None}

    def decoder(self, operation: Operation | None, stream: bool) -> Decoder:
        """See `reply.decoder`."""
        return reply.decoder(operation, stream)

    def assembler(self, operation: Operation, stream: bool) -> Assembler:
        """See `assemble.assembler`."""
        return assemble.assembler(operation, stream)

    def status(self, fault: Fault) -> int:
        """See `errors.status`."""
        return errors.status(fault)

    def error(self, fault: Fault, request_id: str) -> bytes:
        """See `errors.error`."""
        return errors.error(fault, request_id)

    def stream_error(self, fault: Fault, request_id: str, decoder: Decoder | None = None) -> bytes:  # noqa: ARG002 - the protocol has it
        """See `errors.stream_error`."""
        return errors.stream_error(fault, request_id)

    def looks_like_error(self, body: bytes) -> bool:
        """A top-level `error`, or words in its place: the official client takes both, as OpenAI's does."""
        return looks_like_error(body)


def _rendered(tool: Tool) -> bytes:
    """One tool as the API takes it."""
    if bytes(tool.hosted):
        return bytes(tool.hosted)
    made: dict[str, object] = {"name": tool.name}
    if tool.description:
        made["description"] = tool.description
    made["input_schema"] = tool.parameters if bytes(tool.parameters).strip() != b"{}" else NO_ARGUMENTS
    if tool.strict is not None:
        made["strict"] = tool.strict
    return msgspec.json.encode(made)
