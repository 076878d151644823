"""The sixth scene claims what the lists say. The lists themselves are made in test_story.py."""

from __future__ import annotations

import pytest

from gateway.core.contract.records import TemplateList, TemplateRow
from gateway.demo.agent import SYSTEM
from gateway.demo.undeclared import IS, WAS, tell
from tests.demo.test_prompts import stage

DATED = "Today is {date}."


def row(identifier: str, leg: str, state: str, requests: int, *lines: str) -> TemplateRow:
    """A line of a list."""
    return TemplateRow(
        identifier,
        "gpt-4o",
        leg,
        state,
        (),
        "",
        first_ms=0,
        last_ms=0,
        requests=requests,
        share=0.5,
        text="\n".join(lines),
    )


USUAL = row("p_1", "prompt", "baseline", 90, DATED, WAS)
TOOLS = row("t_1", "tools", "baseline", 90, "[]")
CHANGED = row("p_2", "prompt", "undeclared", 3, DATED, IS)


def test_the_sentence_that_changes_is_in_the_prompt() -> None:
    """Otherwise nothing would be shipped."""
    assert WAS in SYSTEM and IS not in SYSTEM


@pytest.mark.parametrize(
    ("news", "known", "held"),
    [
        ([CHANGED], [USUAL, TOOLS, CHANGED], 2),
        ([row("p_2", "prompt", "undeclared", 9, DATED, IS)], [USUAL, TOOLS, CHANGED], 1),
        ([row("p_2", "prompt", "undeclared", 3, DATED, WAS)], [USUAL, TOOLS, CHANGED], 1),
        ([CHANGED], [USUAL, TOOLS, CHANGED, row("p_3", "prompt", "new", 1)], 1),
        ([], [USUAL, TOOLS], 1),
    ],
    ids=["noticed", "late", "another sentence", "flooded", "nothing"],
)
def test_what_is_claimed_is_in_the_lists(news: list[TemplateRow], known: list[TemplateRow], held: int) -> None:
    """Late, vague or flooded lists fail the claims."""
    shown = stage()
    shown.pinned.sent.update(f"prompt {n}" for n in range(9))
    tell(shown, news, TemplateList("gpt-4o", tuple(known), unread=0), 1.0)
    assert (len(shown.screen.held), len(shown.screen.failed)) == (held, 2 - held)
