"""The tenth scene claims a rollback by a guardrail, its numbers and who was told; each of it can fail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rolling import RolloutStatus
from gateway.core.contract.rollout import Action, Facts, Finding, Phase, Rollout, Tally, Verdict
from gateway.demo.listener import Told
from gateway.demo.reverted import METRIC, REGRESSION, tell_called, tell_told, tell_touched
from tests.demo.test_rollouts import NEW, OLD, PLAN, entry, run
from tests.demo.test_screen import screen

ENTRY = entry("regression", Phase.ROLLED_BACK)
FOUND = Finding(METRIC, Action.ROLLBACK, Verdict.FAIL, 444.0, 120.0, 6, 10, 0, 61, 1.0)


def status(*findings: Finding, cause: str = f"guardrail:{METRIC}", first_bad_ms: int = 400) -> RolloutStatus:
    """A rollout that was rolled back on these findings."""
    rollout = Rollout("0123456789abcdef", NEW, OLD, ("*",), PLAN, Phase.ROLLED_BACK, causes=(cause,))
    return RolloutStatus(
        alias="gpt-4o",
        version=9,
        stakes=Stakes.STANDARD,
        at_ms=2000,
        rollout=rollout,
        lanes={},
        split=None,
        barred={},
        models={},
        facts=Facts(now_ms=2000, tally=Tally(first_bad_ms=first_bad_ms), findings=findings),
        waits=(),
        possible=(),
        conductor="",
        heard_ms=0,
    )


OBSERVED = msgspec.structs.replace(FOUND, metric="latency_ms", action=Action.OBSERVE)
OTHER = msgspec.structs.replace(FOUND, metric="error")


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (status(FOUND), 2),
        (status(FOUND, OBSERVED), 2),
        (status(FOUND, OTHER), 1),
        (status(FOUND, cause="operator"), 1),
        (status(FOUND, first_bad_ms=0), 1),
        (status(), 0),
    ],
    ids=["as it is", "what is only observed", "another metric too", "a person did it", "no first event", "no finding"],
)
def test_a_rollback_is_claimed_with_its_numbers(found: RolloutStatus, held: int) -> None:
    """By this guardrail, by the gateway itself, a known time after the first bad event."""
    shown, text = screen(120)
    tell_called(shown, found, [ENTRY])
    assert len(shown.held) == held
    if held == 2:
        assert "6 of 10" in text.getvalue() and "600 ms" in text.getvalue()


def test_a_run_that_is_moved_or_comes_too_late_is_noticed() -> None:
    """Few got the candidate, all ended where they began, and nobody got it afterwards."""
    during = [run(NEW), *[run(OLD)] * 5]
    for runs, held in (
        ((during, [run(OLD)]), True),
        (([*during, run(NEW, OLD)], [run(OLD)]), False),
        ((during, [run(NEW)]), False),
        (([run(OLD)], [run(OLD)]), False),
    ):
        shown, _ = screen(120)
        tell_touched(shown, runs, OLD, NEW)
        assert bool(shown.held) is held


def message(**changes: Any) -> dict[str, Any]:
    """What the webhook should hear."""
    data = {"candidate": NEW, "id": ENTRY.id, "phase": {"before": "canary", "after": "rolled_back"}}
    return {"type": f"trivet.{REGRESSION}", "data": data | changes}


@pytest.mark.parametrize(
    ("told", "held"),
    [
        (Told(message(), signed=True), True),
        (Told(message(), signed=False), False),
        (Told(message(candidate=OLD), signed=True), False),
        (Told(message(id="7-0"), signed=True), False),
        (None, False),
    ],
    ids=["as it is", "not signed", "of another release", "of another transition", "nobody was told"],
)
def test_a_message_counts_with_its_signature_only(told: Told | None, held: bool) -> None:
    """Of this transition, and signed."""
    shown, _ = screen(120)
    tell_told(shown, told, NEW, [ENTRY])
    assert bool(shown.held) is held
