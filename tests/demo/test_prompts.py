"""The fifth scene is judged by what runs did. The commands themselves are told in test_story.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.core.dialect import toolset
from gateway.demo.agent import IN_TIME, MODEL, TOOLS, Agent, Case, Run, client, connections
from gateway.demo.minds import OLD, REFUND, REPLY, RULE, VOUCHER
from gateway.demo.prompts import POLICY, RUNS, TOOLSET, tell
from gateway.demo.provider import MockProvider
from gateway.demo.served import Gateway
from gateway.demo.stage import Stage
from tests.demo.test_screen import screen


def stage() -> Stage:
    """A stage of which only the screen is used."""
    agent = Agent(client("http://127.0.0.1:9", connections()), model=MODEL)
    return Stage(screen(120)[0], MockProvider(), Gateway(Path()), agent, agent)


def runs(release: str, *tools: str) -> list[Run]:
    """Runs that all did this."""
    return [Run(Case("A-1", 20), tools=[*tools, REPLY], models=[OLD], releases=[release]) for _ in range(RUNS)]


def test_the_policy_keeps_the_agents_own_prompt_and_has_another_number_of_days() -> None:
    """The release wraps what the agent sends, its rule falls between the ages of the scene's orders, its toolset is readable."""
    assert POLICY.startswith("{{app}}")
    assert RULE.findall(POLICY) == ["14"] and min(IN_TIME) > 14
    assert len(TOOLSET) == len(TOOLS) + 1
    assert toolset.read(json.dumps(TOOLSET).encode())[-1].name == VOUCHER


@pytest.mark.parametrize(
    ("after", "held"),
    [(runs("new", VOUCHER), True), (runs("new", REFUND), False), (runs("old", VOUCHER), False)],
    ids=["obeys the release", "goes on as before", "was on the old release"],
)
def test_a_change_is_claimed_only_when_it_is_there(after: list[Run], held: bool) -> None:
    """Runs that refund as before, or that were on another release, fail the claim."""
    shown = stage()
    tell(shown, runs("old", REFUND), after, "new")
    assert (len(shown.screen.held), len(shown.screen.failed)) == ((1, 0) if held else (0, 1))
