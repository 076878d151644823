"""The seventh scene claims what a report says, and the models' tables let every seed's report say it."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gateway.control.shadow_report import report
from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.pair import Line, Side, Turn
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.contract.shadowing import Estimate, ShadowReport
from gateway.core.dialect import toolset
from gateway.core.diff.calls import Toolset
from gateway.core.diff.replies import Answer, compare
from gateway.demo.agent import IN_TIME, SYSTEM, TODAY, TOOLS, Case, Run, cases
from gateway.demo.minds import CANDIDATE, DESK, MINDS, NEW, OLD, Call, Mind, Said, decide
from gateway.demo.shadows import FINDING, RUNS, tell_live, tell_price, tell_report
from tests.demo.test_screen import screen

KNOWN = Toolset.of(toolset.read(json.dumps(TOOLS).encode()))
PRICES = {OLD: 271, CANDIDATE: 217}


def answer(turn: Call | Said) -> Answer:
    """What a mind decided, as the shadow reads it."""
    if isinstance(turn, Said):
        return Answer(Reply(Observed(), (Message(text=turn.text, finish="stop"),)), "", KNOWN)
    call = ToolCall(turn.name, turn.arguments, "c1")
    return Answer(Reply(Observed(), (Message(tool_calls=(call,), finish="tool_calls"),)), "", KNOWN)


def conversation(mind: Mind, case: Case, seed: int) -> Sequence[list[dict[str, Any]]]:
    """Every request of one run with the live model."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM.replace(TODAY, case.today)},
        {"role": "user", "content": case.complaint},
    ]
    requests = []
    while True:
        requests.append(list(messages))
        turn = decide(mind, random.Random(f"{seed} {case.order} {len(requests)} primary"), messages, DESK)
        if isinstance(turn, Said):
            return requests
        function = {"name": turn.name, "arguments": turn.arguments}
        call = {"id": f"c{len(requests)}", "type": "function", "function": function}
        result = json.dumps({"days_since_purchase": case.days})
        messages += [
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": result},
        ]


def reported(candidate: Mind, seed: int) -> ShadowReport:
    """The report of a shadow of every run of the scene."""
    lines = []
    for case in cases(80_000, RUNS, IN_TIME):
        for step, messages in enumerate(conversation(MINDS[OLD], case, seed), 1):
            said = {
                role: answer(decide(mind, random.Random(f"{seed} {case.order} {step} {role}"), messages, DESK))
                for role, mind in (("primary", MINDS[OLD]), ("secondary", MINDS[OLD]), ("candidate", candidate))
            }
            found, noise = (compare(said["primary"], said[role]) for role in ("candidate", "secondary"))
            lines.append(
                Line(
                    pair=f"{case.order}-{step}.rel_b",
                    tenant="t",
                    run=case.order,
                    step=step,
                    turn=Turn.FIRST if step == 1 else Turn.TOOL_RESULT,
                    at_ms=1,
                    primary=Side("rel_a", cost=PRICES[OLD], observed=Observed(usage=Usage(1, 1))),
                    candidate=Side("rel_b", cost=PRICES[CANDIDATE], observed=Observed(usage=Usage(1, 1))),
                    pair_class=found.pair_class,
                    severity=found.severity,
                    similarity=found.similarity,
                    differences=found.differences,
                    secondary=Side("rel_a"),
                    noise_class=noise.pair_class,
                    noise_similarity=noise.similarity,
                    noise=noise.differences,
                )
            )
    return report("gpt-4o", "rel_b", lines)


@pytest.mark.parametrize("seed", range(4))
def test_the_report_finds_the_one_thing_that_is_worse(seed: int) -> None:
    """Whatever the dice: worse in the argument of refunds, as the live model in everything else, and cheaper."""
    shown, text = screen(120)
    worst = tell_report(shown, reported(MINDS[CANDIDATE], seed))
    assert (len(shown.held), shown.failed) == (3, [])
    assert worst.endswith(".rel_b") and FINDING in text.getvalue()


@pytest.mark.parametrize(
    ("mind", "failed"), [(MINDS[OLD], 1), (MINDS[NEW], 2)], ids=["nothing is worse", "other things are"]
)
def test_another_candidate_is_not_told_the_same_story(mind: Mind, failed: int) -> None:
    """A candidate that is the live model, and one that differs in other things, fail the claims."""
    shown, _ = screen(120)
    tell_report(shown, reported(mind, 1))
    assert len(shown.failed) == failed


def test_live_answers_of_anybody_else_are_noticed() -> None:
    """An agent that saw the candidate, or a candidate that was not asked each time, fails the claim."""
    kept = Run(Case("A-1", 20), models=[OLD, OLD], releases=["rel_a", "rel_a"])
    leaked = Run(Case("A-2", 20), models=[OLD, CANDIDATE], releases=["rel_a", "rel_a"])
    for runs, answers, held in (([kept], 2, True), ([kept], 1, False), ([kept, leaked], 4, False)):
        shown, _ = screen(120)
        tell_live(shown, runs, "rel_a", answers)
        assert bool(shown.held) is held


def test_a_price_that_nobody_knows_is_no_price() -> None:
    """The estimate has to be known, and below the cap."""
    known = Estimate(300, 200, 100, 20, candidate_micro=900, secondary_micro=1100, cap_micro=5_000_000, why="")
    for estimate, held in ((known, True), (msgspec.structs.replace(known, candidate_micro=None), False)):
        shown, _ = screen(120)
        tell_price(shown, estimate)
        assert bool(shown.held) is held
