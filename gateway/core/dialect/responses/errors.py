"""The error event of a Responses stream. Error bodies are as everywhere at OpenAI's: see `openai.errors`.

The event is flat, as the API describes it, and numbered as every event of such a stream. It also has the member `error`, as
the API sends it: the official client raises on that one, and hands a merely flat event out as if nothing were wrong.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.fault import Fault
from gateway.core.dialect.openai import errors


def stream_error(fault: Fault, sequence: int) -> bytes:
    """The whole event; `sequence` is the number after that of the last event."""
    event = {
        "type": "error",
        "code": fault.code,
        "message": fault.message,
        "param": fault.param,
        "sequence_number": sequence,
        "error": errors.described(fault),
    }
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"
