"""The error event of a Responses stream."""

from __future__ import annotations

import json

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.responses.errors import stream_error


def test_the_event_is_flat_numbered_and_raised_by_the_client() -> None:
    """Faults row E1: named, the members of the API's own error event, and `error`, on which the official client raises."""
    event = stream_error(Fault(Kind.UPSTREAM, "upstream_cut", "a\nb"), 7)
    assert event.startswith(b"event: error\ndata: {") and event.endswith(b"}\n\n")
    assert event.count(b"\n") == 3
    assert json.loads(event.partition(b"data: ")[2]) == {
        "type": "error",
        "code": "upstream_cut",
        "message": "a\nb",
        "param": None,
        "sequence_number": 7,
        "error": {"message": "a\nb", "type": "server_error", "param": None, "code": "upstream_cut"},
    }
