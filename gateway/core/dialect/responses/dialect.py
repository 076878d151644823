"""OpenAI's Responses wire format behind the Dialect protocol."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.contract.fault import Fault
from gateway.core.dialect.base import Assembler, Decoder, Envelope
from gateway.core.dialect.openai import errors as openai
from gateway.core.dialect.responses import assemble, envelope, errors, reply
from gateway.core.dialect.responses import tools as render
from gateway.core.dialect.routes import Operation


class Responses:
    """Responses, compactions, token counts, stored responses. Holds no state."""

    name = "responses"

    def read(self, operation: Operation | None, body: bytes) -> Envelope:
        """See `Dialect.read`."""
        return envelope.read(operation, body)

    def model_edit(self, model: str) -> dict[str, bytes]:
        """The top-level `model`."""
        return {"model": msgspec.json.encode(model)}

    def tools_edit(self, operation: Operation, tools: Sequence[Tool]) -> dict[str, bytes | None]:
        """See `tools.edit`."""
        return render.edit(operation, tools)

    def decoder(self, operation: Operation | None, stream: bool) -> Decoder:  # noqa: ARG002 - the protocol has it
        """Every operation answers in the same few members."""
        return reply.decoder(stream)

    def assembler(self, operation: Operation, stream: bool) -> Assembler:
        """See `assemble.assembler`."""
        return assemble.assembler(operation, stream)

    def status(self, fault: Fault) -> int:
        """OpenAI uses HTTP's own statuses."""
        return fault.status

    def error(self, fault: Fault, request_id: str) -> bytes:  # noqa: ARG002 - the protocol has it
        """OpenAI's error body."""
        return openai.error(fault)

    def stream_error(self, fault: Fault, request_id: str, decoder: Decoder | None = None) -> bytes:  # noqa: ARG002 - the protocol has it
        """See `errors.stream_error`; numbered after the last event that `decoder` saw."""
        return errors.stream_error(fault, decoder.sequence if isinstance(decoder, reply.StreamDecoder) else 0)

    def looks_like_error(self, body: bytes) -> bool:
        """See `openai.errors.looks_like_error`."""
        return openai.looks_like_error(body)
