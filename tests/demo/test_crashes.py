"""What a crash leaves in the journal is told as it is. The crash itself is told in test_story.py."""

from __future__ import annotations

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Step
from gateway.core.contract.records import RunDetail
from gateway.demo.crashes import lost


def detail(*steps: int) -> RunDetail:
    """A run with these steps in its journal."""
    entries = tuple(
        Step(
            request="r",
            step=n,
            alias="a",
            release="x",
            asked="a",
            model="m",
            answered="m",
            outcome=Outcome.OK,
            status=200,
            at_ms=1,
            total_ms=1.0,
        )
        for n in steps
    )
    return RunDetail(run="r", tenant="t", stamps=(), steps=entries, outcomes=(), ttl_s=1, unread=0)


def test_steps_without_an_entry_are_named() -> None:
    """A worker that died took its step's entry with it, and the numbers tell."""
    assert lost(detail(1, 3, 4)) == [2]
    assert lost(detail(1, 2, 3)) == []
    assert lost(detail()) == []
