"""What scenes with a rollout share: manifests that are taken, and transitions read as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.contract.alias import AliasState, Lane, Split
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import Action, Phase, Plan, Rollout, Stage
from gateway.core.rollout.manifest import plan_of
from gateway.demo import drifted, promoted, reverted, rollouts
from gateway.demo.agent import Case, Run
from gateway.demo.provider import MockProvider
from gateway.demo.served import Gateway
from gateway.demo.stage import Stage as Scene
from gateway.settings import manifest
from tests.demo.test_screen import screen

PLAN = Plan((Stage("*", 2500, 1000, 5),), Stage("*", 8000, 1000, 8), ())
OLD, NEW = "rel_000000000000000a", "rel_000000000000000b"


def entry(word: str, phase: Phase, weight: int = 0, *, release: str = OLD, by: str = "trivet") -> HistoryEntry:
    """A transition of a rollout from OLD to NEW."""
    rollout = Rollout("0123456789abcdef", NEW, OLD, ("*",), PLAN, phase)
    split = Split(NEW, rollout.id, {"*": weight}) if weight else None
    state = AliasState("gpt-4o", 9, {"*": Lane(release)}, rollout=rollout, split=split)
    return HistoryEntry(1000, by, f"rollout_{word}", "why", 9, None, state, id="1-0")


def run(release: str, *more: str, model: str = "m") -> Run:
    """A run that was answered by these releases."""
    return Run(Case("A-1", 20), models=[model] * (2 + len(more)), releases=[release, release, *more])


@pytest.mark.parametrize(
    "lines", [promoted.MANIFEST, reverted.MANIFEST, drifted.MANIFEST], ids=["promoted", "reverted", "drifted"]
)
def test_manifests_are_taken(lines: tuple[str, ...], tmp_path: Path) -> None:
    """What is written beside the configuration is a manifest of this candidate, and is shown."""
    shown, text = screen(120)
    agent: object = None
    stage = Scene(shown, MockProvider(), Gateway(tmp_path), agent, agent)  # type: ignore[arg-type]
    rollouts.written(stage, "r.yaml", NEW, lines)
    read = manifest.read((tmp_path / "r.yaml").read_text(), "r.yaml")
    plan = plan_of(read)
    assert (read.alias, read.release) == ("gpt-4o", NEW)
    assert {g.metric for g in plan.guardrails if g.action is Action.ROLLBACK} >= {"error", "invalid_tool_call"}
    assert all(line in text.getvalue() for line in lines[:2])


def test_transitions_are_read_as_they_were() -> None:
    """Phase and share of new runs after each: 0 without a split, all after the pointer has moved."""
    told = [
        entry("go", Phase.CANARY, 2500),
        entry("advance", Phase.COMPLETED, release=NEW),
        entry("no_go", Phase.ABORTED),
    ]
    assert [(rollouts.phase(each), rollouts.weight(each)) for each in told] == [
        ("canary", 25.0),
        ("completed", 100.0),
        ("aborted", 0.0),
    ]
    assert rollouts.releases([run(OLD), run(NEW), run(OLD, NEW)], OLD) == 1
    state = told[0].after
    assert state is not None
    assert rollouts.in_phase(Phase.CANARY)(state) and not rollouts.in_phase(Phase.GATED)(state)
