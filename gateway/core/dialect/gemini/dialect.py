"""Gemini's wire format behind the Dialect protocol."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.contract.artifact import Tool
from gateway.core.contract.fault import Fault
from gateway.core.dialect import base
from gateway.core.dialect.gemini import assemble, envelope, errors, reply, tools
from gateway.core.dialect.routes import Operation


class Gemini:
    """generateContent, streamGenerateContent, countTokens, embedContent, batchEmbedContents, models. Holds no state."""

    name = "gemini"

    def read(self, operation: Operation | None, body: bytes) -> base.Envelope:
        """See `Dialect.read`."""
        return envelope.read(operation, body)

    def model_edit(self, model: str) -> dict[str, bytes]:  # noqa: ARG002 - the protocol has it
        """None: the path has the model, and `Envelope.model_edits` knows where a body repeats it."""
        return {}

    def tools_edit(self, operation: Operation, tools_: Sequence[Tool]) -> dict[str, bytes | None]:
        """See `tools.edit`; requests for content have tools, and counts of such."""
        return tools.edit(tools_) if operation in envelope.CARRYING else {}

    def decoder(self, operation: Operation | None, stream: bool) -> base.Decoder:
        """`stream` says that the answer is one of events. Without, a streamed operation answers in a JSON array."""
        if stream:
            return reply.StreamDecoder()
        return reply.ArrayDecoder() if operation is Operation.GENERATE_STREAM else reply.BodyDecoder()

    def assembler(self, operation: Operation, stream: bool) -> base.Assembler:
        """One that tells the two streamed forms apart by itself."""
        return assemble.Assembler(stream or operation is Operation.GENERATE_STREAM)

    def status(self, fault: Fault) -> int:
        """See `errors.status`."""
        return errors.status(fault)

    def error(self, fault: Fault, request_id: str) -> bytes:  # noqa: ARG002 - the protocol has it
        """See `errors.error`."""
        return errors.error(fault)

    def stream_error(self, fault: Fault, request_id: str, decoder: base.Decoder | None = None) -> bytes:  # noqa: ARG002 - the protocol has it
        """See `errors.stream_error`."""
        return errors.stream_error(fault)

    def looks_like_error(self, body: bytes) -> bool:
        """See `errors.looks_like_error`."""
        return errors.looks_like_error(body)
