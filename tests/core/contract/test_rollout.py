"""A rollout is one value that a takeover reads and goes on from."""

from __future__ import annotations

import msgspec

from gateway.core.contract.rollout import EXPOSED, TERMINAL, Action, Guardrail, Phase, Plan, Rollout, Stage

PLAN = Plan(
    stages=(Stage("*", 100, 60_000, 50), Stage("*", 500, 60_000, 50, approve=True)),
    promoting=Stage("*", 9500, 60_000, 50),
    guardrails=(Guardrail("error"), Guardrail("latency", Action.FREEZE, 1.25, above="p95")),
)


def test_a_rollout_reads_back() -> None:
    """A rollout with its plan is stored as JSON and reads back equal; what is at its default takes no room."""
    rollout = Rollout(
        "0123456789abcdef", "rel_2", "rel_1", ("*",), PLAN, Phase.CANARY, at=1, limits={"latency": 1200.0}
    )
    stored = msgspec.json.encode(rollout)
    assert msgspec.json.decode(stored, type=Rollout) == rollout
    assert b"override" not in stored


def test_a_phase_is_terminal_or_exposed_or_before_exposure() -> None:
    """Nobody is on the candidate of a rollout that has ended or not begun."""
    assert not TERMINAL & EXPOSED
    before = {Phase.DRAFT, Phase.SHADOWING, Phase.GATED}
    assert TERMINAL | EXPOSED | before == set(Phase)
