"""What a rollout waits for, in words."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.waits import lasting, waits
from gateway.core.contract.alias import Stakes
from gateway.core.contract.rollout import (
    Action,
    Facts,
    Finding,
    GateFacts,
    Guardrail,
    Phase,
    ShadowFacts,
    Tally,
    Verdict,
)
from tests.control.rolling import rollout

LOW, HIGH = Stakes.LOW, Stakes.HIGH


def words(phase: Phase, facts: Facts | None = None, stakes: Stakes = LOW, **more: object) -> str:
    """Everything that is said, as one text."""
    found = waits("agent", rollout("rel_b", "rel_a", phase, **more), facts, stakes)
    return "\n".join(f"{each.what} | {each.command}" for each in found)


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_says_something(phase: Phase) -> None:
    """No phase leaves a person without a word, and what can be helped has its command."""
    found = waits("agent", rollout("rel_b", "rel_a", phase, causes=("operator",)), Facts(now_ms=0), LOW)
    assert found
    assert any(each.command.startswith("trivet ") for each in found) or phase in (Phase.CANARY, Phase.PROMOTING)


def test_numbers_that_are_missing() -> None:
    """Trios, bake time and runs are told as what there is of what is needed."""
    shadow = Facts(now_ms=0, shadow=ShadowFacts(trios=2, pairs=9, failures=0))
    assert "2 of 5 requests compared three ways" in words(Phase.SHADOWING, shadow)
    assert "no pair came yet" in words(Phase.SHADOWING, Facts(now_ms=0))
    failing = Facts(now_ms=0, shadow=ShadowFacts(trios=5, pairs=9, failures=1))
    assert "1 of 9 calls of the candidate failed, and 5 % are tolerated" in words(Phase.SHADOWING, failing)
    finding = Finding("error", Action.ROLLBACK, Verdict.INCONCLUSIVE, 5.0, 20.0, 1, 4, 1, 80, 1.0)
    facts = Facts(now_ms=400, tally=Tally(units={"* canary 500": 4, "* canary 100": 9}), findings=(finding,))
    told = words(Phase.CANARY, facts)
    assert "bake time: 0 s left of 1 s" in told
    assert "runs on the candidate at 5 % in *: 4 of 10" in told
    assert "error: neither passes nor fails yet (evidence 5 of 20)" in told
    asked = msgspec.structs.replace(rollout("rel_b", "rel_a").plan, guardrails=(Guardrail("error", noninferior=1.5),))
    unproven = Facts(now_ms=400, findings=(msgspec.structs.replace(finding, e_value=1.0, noninferior_e=3.0),))
    assert "error: no proof yet that its rate is below 1.5 times the control's (evidence 3 of 20)" in words(
        Phase.CANARY, unproven, plan=asked
    )
    assert "the gate says MISSING" in told


def test_the_gate_and_who_may_go_without_it() -> None:
    """A gate that is not green says why; an override is offered only where the stakes allow it."""
    facts = Facts(now_ms=0, gate=GateFacts("INSUFFICIENT", (), ("task: 3 items short",)))
    low, high = words(Phase.GATED, facts), words(Phase.GATED, facts, HIGH)
    assert "it says INSUFFICIENT" in low
    assert "task: 3 items short" in low
    assert "rollout override" in low
    assert "rollout override" not in high


def test_each_cause_of_a_freeze_names_the_word_that_lifts_it() -> None:
    """What a person may excuse is told with the command for it, and what clears by itself is told as such."""
    told = words(Phase.FROZEN, causes=("no_data:cost_micro", "tripwire:model_gone=1", "gate_missing"))
    assert "rollout resume agent --accept-inconclusive" in told
    assert "rollout resume agent --reason" in told
    assert "rollout override agent" in told
    assert "goes on by itself" in told
    assert "stakes `high`" in words(Phase.FROZEN, stakes=HIGH, causes=("no_data:cost_micro",))


def test_after_the_end() -> None:
    """A completed rollout names the way back, an ended one how the bar is lifted, and one whose bar was lifted nothing."""
    assert "trivet rollback agent" in words(Phase.COMPLETED)
    assert "rollout retry agent" in words(Phase.ROLLED_BACK, causes=("guardrail:error",))
    assert words(Phase.ABORTED, retried=True) == ""


def test_durations() -> None:
    """Two largest units, nothing below a second."""
    assert [lasting(ms) for ms in (0, 59_999, 61_000, 3_600_000, 90_000_000)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h",
        "1 d 1 h",
    ]


def test_values_are_frozen() -> None:
    """What is told is a record that programs read as well."""
    found = waits("agent", rollout("rel_b", "rel_a", Phase.GATED), None, LOW)
    assert msgspec.json.decode(msgspec.json.encode(found))[0]["what"]
