"""What a live worker hands over to the shadow."""

from __future__ import annotations

import msgspec

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.job import Job


def test_a_job_reads_back() -> None:
    """A job is stored as JSON and reads back equal; what is at its default takes no room."""
    job = Job(
        pair="req_1.rel_2",
        request="req_1",
        tenant="t",
        run="r",
        alias="a",
        step=3,
        primary="rel_1",
        candidate="rel_2",
        dialect="openai",
        operation="chat",
        path="/v1/chat/completions",
        at_ms=1,
        observed=Observed(model="m", usage=Usage(1, 2), terminal=True),
    )
    stored = msgspec.json.encode(job)
    assert msgspec.json.decode(stored, type=Job) == job
    assert b"secondary" not in stored
