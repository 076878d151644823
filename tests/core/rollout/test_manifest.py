"""Manifests: what they stand for, and how what is wrong in them is named."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Action, Guardrail, Plan, Stage, Word
from gateway.core.rollout import machine
from gateway.core.rollout.manifest import PRESETS, duration_ms, plan_of, read, share
from gateway.core.rollout.metrics import METRICS, default_guardrail
from tests.core.rollout.walk import STANDARD, STATE, draft
from tests.house.tree import ROOT

LEAST: dict[str, Any] = {"kind": "Rollout", "alias": "support", "release": "rel_0123456789abcdef"}
HOUR = 3_600_000


def planned(**members: Any) -> Plan:
    """The plan of a manifest with these members."""
    return plan_of(read({**LEAST, **members}))


def refused(**members: Any) -> str:
    """How such a manifest is refused."""
    with pytest.raises(Fault) as caught:
        planned(**members)
    assert (caught.value.status, caught.value.code) == (400, "manifest_bad")
    return caught.value.message


def test_three_members_are_enough() -> None:
    """Alias and release get everybody in steps of 1, 5, 25 and 50 %, every metric by its default, and a week per stage."""
    plan = planned()
    assert [(stage.lane, stage.weight) for stage in plan.stages] == [("*", 100), ("*", 500), ("*", 2500), ("*", 5000)]
    assert plan.promoting == Stage("*", 9500, 24 * HOUR, 400)
    assert plan.guardrails == tuple(default_guardrail(name) for name in METRICS)
    assert (plan.trios, plan.shadow_rate, plan.shadow_secondary, plan.shadow_failures) == (50, 1000, 2000, 500)
    assert (plan.alpha, plan.trips, plan.by) == (0.05, 3, "run")
    assert (plan.grace_ms, plan.deadline_ms, plan.approval_ms) == (24 * HOUR, 168 * HOUR, 72 * HOUR)


def test_low_traffic_waits_longer_for_less() -> None:
    """Few runs a day: two steps, fewer runs, every run shadowed, four weeks per stage."""
    plan = planned(preset="low-traffic")
    assert [stage.weight for stage in plan.stages] == [1000, 5000]
    assert max(stage.runs for stage in plan.stages) < min(stage.runs for stage in planned().stages)
    assert (plan.promoting.weight, plan.shadow_rate, plan.deadline_ms) == (9000, 10_000, 28 * 24 * HOUR)


def test_low_traffic_only_observes_what_needs_a_hundred_observations() -> None:
    """Latency and steps hold nothing up there, unless the manifest names them: then they act as they do by default, or as it says."""

    def acts(**guardrails: Any) -> dict[str, Action]:
        found = planned(preset="low-traffic", guardrails=guardrails).guardrails
        return {each.metric: each.action for each in found if each.metric in ("latency_ms", "steps", "error")}

    assert acts() == {"error": Action.ROLLBACK, "latency_ms": Action.OBSERVE, "steps": Action.OBSERVE}
    assert acts(latency_ms={"above": 20_000})["latency_ms"] is Action.FREEZE
    assert acts(steps="rollback")["steps"] is Action.ROLLBACK


def test_lanes_and_steps() -> None:
    """Lanes come in their order, each with its own steps or the common ones; what a step leaves out the preset says."""
    plan = planned(
        lanes=[{"lane": "segment:internal", "steps": [{"weight": "10%"}]}, "tenant:acme", "*"],
        steps=[{"weight": 0.05, "bake": 90, "runs": 7, "approve": True}],
    )
    own = Stage("segment:internal", 1000, HOUR, PRESETS["default"].runs)
    common = (Stage(lane, 500, 90_000, 7, approve=True) for lane in ("tenant:acme", "*"))
    assert plan.stages == (own, *common)


def test_guardrails_change_single_metrics() -> None:
    """A word changes the action, an object single members; a bound replaces the default's; outcomes are added."""
    found = {
        each.metric: each
        for each in planned(
            guardrails={
                "refusal": "rollback",
                "latency_ms": {"above": 900},
                "outcome.resolved": {"ratio": 1.1, "noninferior": 1.5},
                "error": {"action": "observe"},
            }
        ).guardrails
    }
    assert found["refusal"].action is Action.ROLLBACK
    assert found["error"].action is Action.OBSERVE
    assert (found["latency_ms"].above, found["latency_ms"].ratio) == (900, METRICS["latency_ms"].default.ratio)
    assert found["outcome.resolved"] == Guardrail("outcome.resolved", Action.FREEZE, 1.1, below=0.5, noninferior=1.5)
    assert found["invalid_json"] == METRICS["invalid_json"].default


def test_the_example_is_a_plan() -> None:
    """The annotated example reads, and shows every member there is."""
    text = (ROOT / "config" / "rollouts" / "support.yaml").read_text(encoding="utf-8")
    value = yaml.safe_load(text)
    plan = plan_of(read(value))
    assert len(plan.stages) == 6
    members = {field for field in read(value).__struct_fields__ if field != "skip_shadow"}
    assert set(value) == members


@pytest.mark.parametrize(
    ("members", "member"),
    [
        ({"kind": "Gateway"}, "kind"),
        ({"stepz": []}, "the manifest"),
        ({"preset": "fast"}, "preset"),
        ({"by": "request"}, "by"),
        ({"lanes": []}, "lanes"),
        ({"lanes": ["internal"]}, "lanes[0]"),
        ({"lanes": ["*", "*"]}, "lanes[1]"),
        ({"lanes": [{"lane": "*", "steps": []}]}, "lanes[0].steps"),
        ({"lanes": [{"lane": "*", "steps": [{"weight": "0%"}]}]}, "lanes[0].steps[0].weight"),
        ({"steps": []}, "steps"),
        ({"steps": [{"weight": "5%"}, {"weight": "5%"}]}, "steps[1].weight"),
        ({"steps": [{"weight": "100%"}]}, "steps[0].weight"),
        ({"steps": [{"weight": 5}]}, "steps[0].weight"),
        ({"steps": [{"weight": "0.001%"}]}, "steps[0].weight"),
        ({"steps": [{"weight": "5"}]}, "steps[0].weight"),
        ({"steps": [{"weight": "5%", "runs": 0}]}, "steps[0].runs"),
        ({"steps": [{"weight": "5%", "bake": "soon"}]}, "steps[0].bake"),
        ({"steps": [{"weight": "5%", "bake": -1}]}, "steps[0].bake"),
        ({"steps": [{"weight": "5%", "runs": "many"}]}, "steps[0].runs"),
        ({"promoting": {"weight": "50%"}}, "promoting.weight"),
        ({"deadline": "24h"}, "deadline"),
        ({"deadline": 0}, "deadline"),
        ({"approval": "0s"}, "approval"),
        ({"alpha": 0}, "alpha"),
        ({"trips": 0}, "trips"),
        ({"canaries": ["CANARY-1234", "short"]}, "canaries[1]"),
        ({"canaries": ['has "quotes" in it']}, "canaries[0]"),
        ({"canaries": ["back\\slash it"]}, "canaries[0]"),
        ({"canaries": ["CANARY-1234"] * 9}, "canaries"),
        ({"shadow": {"trios": 0}}, "shadow.trios"),
        ({"shadow": {"rate": "0%"}}, "shadow.rate"),
        ({"shadow": {"rate": "a lot"}}, "shadow.rate"),
        ({"shadow": {"secondary": 0}}, "shadow.secondary"),
        ({"guardrails": {"vibes": "freeze"}}, "guardrails.vibes"),
        ({"guardrails": {"outcome.": "freeze"}}, "guardrails.outcome."),
        ({"guardrails": {"error": {"ratio": 0}}}, "guardrails.error.ratio"),
        ({"guardrails": {"error": {"above": 3}}}, "guardrails.error.above"),
        ({"guardrails": {"latency_ms": {"above": "p99"}}}, "guardrails.latency_ms.above"),
        ({"guardrails": dict.fromkeys(METRICS, "observe")}, "guardrails"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], member: str) -> None:
    """Each mistake is refused with the member it stands in."""
    assert refused(**members).startswith(f"{member}: ")


def test_values_are_not_quoted() -> None:
    """A message does not repeat what stands in the wrong place: it may be a secret."""
    assert refused(by="session") == "by: must be one of run, tenant, user"
    assert refused(preset="quick") == "preset: must be one of default, low-traffic"
    for asked in ("stop", {"action": "stop"}):
        assert refused(guardrails={"error": asked}).endswith(": must be one of rollback, freeze, observe")
    assert "sk-abc" not in refused(preset="sk-abc") + refused(steps=[{"weight": "sk-abc"}]) + refused(by="sk-abc")


def test_the_shadow_asks_the_live_release_as_often_as_said() -> None:
    """A second live answer to every pair makes every pair a trio: the plan and the shadow it starts say so."""
    plan = planned(shadow={"secondary": "100%"})
    assert plan.shadow_secondary == 10_000
    begun = machine.turn(draft(plan), Word.START, now_ms=1, stakes=STANDARD)
    (shadow,) = machine.state_after(STATE, begun, 3).shadows
    assert (shadow.candidate, shadow.secondary) == (begun.candidate, 10_000)


def test_skipping_the_shadow_needs_no_trios() -> None:
    """With a reason to skip the shadow none is asked for."""
    assert planned(skip_shadow="one word changed", shadow={"trios": 0}).trios == 0


@given(st.integers(0, 10_000))
def test_shares_are_exact(whole: int) -> None:
    """A share is the same written in percent or as a fraction, to 0.01 %."""
    assert share("x", f"{whole / 100:.2f}%") == share("x", whole / 10_000) == whole


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("250ms", 250), ("90s", 90_000), ("1h30m", 5_400_000), ("7d", 604_800_000), ("1w", 604_800_000), (1.5, 1500)],
)
def test_durations(text: str | float, milliseconds: int) -> None:
    """Durations as in the configuration file."""
    assert duration_ms("x", text) == milliseconds
