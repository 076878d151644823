"""The made-up models behave at the rates that their table says."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from gateway.demo.minds import DESK, GRANTED, LOOK_UP, MINDS, NEW, OLD, REFUND, REPLY, VOUCHER, Call, Said, decide

COMPLAINT = [{"role": "user", "content": "My order A-7 came broken."}]
ROUNDS = 2000


def brought(tool: str, days: int) -> list[dict[str, object]]:
    """The messages of a called tool and its result."""
    call = {"id": "c1", "type": "function", "function": {"name": tool, "arguments": "{}"}}
    result = json.dumps({"days_since_purchase": days})
    return [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": result},
    ]


def rate(snapshot: str, messages: list[dict[str, object]], happened: Callable[[object], bool]) -> float:
    """How often something happens over many throws."""
    turns = [decide(MINDS[snapshot], random.Random(f"{n}"), messages, DESK) for n in range(ROUNDS)]
    return sum(map(happened, turns)) / ROUNDS


@pytest.mark.parametrize("snapshot", MINDS)
def test_orders_are_looked_up_at_the_stated_rate(snapshot: str) -> None:
    """The first tool is the look-up as often as the table says, within four standard errors."""
    found = rate(snapshot, COMPLAINT, lambda turn: isinstance(turn, Call) and turn.name == LOOK_UP)
    assert abs(found - MINDS[snapshot].looks_up) < 0.045


@pytest.mark.parametrize("snapshot", MINDS)
def test_late_orders_are_refunded_at_the_stated_rate(snapshot: str) -> None:
    """An order past the policy is refunded as often as the table says."""
    found = rate(snapshot, COMPLAINT + brought(LOOK_UP, 45), lambda turn: turn.name == REFUND)
    assert abs(found - MINDS[snapshot].grants_late) < 0.045


@pytest.mark.parametrize("snapshot", MINDS)
def test_orders_in_time_are_always_refunded(snapshot: str) -> None:
    """Inside the policy there is nothing to decide."""
    assert rate(snapshot, COMPLAINT + brought(LOOK_UP, 5), lambda turn: turn.name == REFUND) == 1.0


@pytest.mark.parametrize("snapshot", MINDS)
def test_the_closing_line_is_bare_json_at_the_stated_rate(snapshot: str) -> None:
    """The rest wraps the same line in prose."""
    asked = COMPLAINT + brought(REPLY, 0)
    found = rate(snapshot, asked, lambda turn: isinstance(turn, Said) and turn.text == '{"decision": "refused"}')
    assert abs(found - MINDS[snapshot].keeps_json) < 0.045


@pytest.mark.parametrize("snapshot", MINDS)
def test_replies_have_the_stated_length(snapshot: str) -> None:
    """A reply to the customer has as many words as the table says."""
    low, high = MINDS[snapshot].words
    messages = COMPLAINT + brought(REFUND, 45)
    assert rate(snapshot, messages, lambda turn: low <= len(json.loads(turn.arguments)["text"].split()) <= high) == 1.0


def test_the_two_models_differ_in_what_the_demo_measures() -> None:
    """Otherwise there would be no story."""
    old, new = MINDS[OLD], MINDS[NEW]
    assert old.looks_up - new.looks_up >= 0.3
    assert new.grants_late - old.grants_late >= 0.3
    assert new.words[0] >= old.words[1]


def test_without_the_desks_tools_it_just_talks() -> None:
    """Other requests, such as the gateway's one-token proof, get an answer too."""
    assert isinstance(decide(MINDS[OLD], random.Random("1"), [{"role": "user", "content": "."}], ()), Said)


def test_text_in_parts_is_read() -> None:
    """A message whose content is a list of parts is understood."""
    parts = [{"role": "user", "content": [{"type": "text", "text": "My order A-9 came broken."}]}]
    turn = decide(MINDS[OLD], random.Random("1"), parts, DESK)
    assert isinstance(turn, Call) and json.loads(turn.arguments) == {"order": "A-9"}


def asked_to(prompt: str, tools: tuple[str, ...], days: int) -> set[str]:
    """Tools that a mind calls for an order of this age, in many throws."""
    messages: list[Any] = [{"role": "system", "content": prompt}, *COMPLAINT, *brought(LOOK_UP, days)]
    return {str(getattr(decide(MINDS[OLD], random.Random(f"{n}"), messages, tools), "name", "")) for n in range(200)}


def test_the_days_of_the_prompt_are_obeyed() -> None:
    """What is late is what the prompt says, the last rule where there are two."""
    lenient, strict = "Orders older than 30 days are never refunded.", "Orders older than 14 days are never refunded."
    assert asked_to(lenient, DESK, 20) == {REFUND}
    assert asked_to(strict, DESK, 20) == {REFUND, REPLY}
    assert asked_to(f"{lenient} {strict}", DESK, 20) == {REFUND, REPLY}
    assert asked_to(f"{strict} {lenient}", DESK, 20) == {REFUND}


def test_a_voucher_takes_both_the_tool_and_the_prompt() -> None:
    """Neither a tool nobody speaks of nor a word without a tool makes one; after it the customer is written to."""
    with_vouchers = "Orders older than 14 days are never refunded. Give a voucher."
    assert asked_to(with_vouchers, (*DESK, VOUCHER), 20) == {REFUND, VOUCHER}
    assert VOUCHER not in asked_to(with_vouchers, DESK, 20) | asked_to("Older than 14 days.", (*DESK, VOUCHER), 20)
    messages: list[Any] = [
        {"role": "system", "content": with_vouchers},
        *COMPLAINT,
        *brought(LOOK_UP, 20),
        *brought(VOUCHER, 0),
    ]
    messages[-1]["tool_call_id"] = messages[-2]["tool_calls"][0]["id"] = "c2"
    assert isinstance(turn := decide(MINDS[OLD], random.Random("1"), messages, (*DESK, VOUCHER)), Call)
    assert turn.name == REPLY


def test_who_only_asks_is_told_in_words() -> None:
    """Without tools a question about an order of some age is answered as the model would decide; anything else with a greeting."""
    late = [{"role": "user", "content": "Order A-7 was bought 45 days ago. Refund?"}]
    said = [decide(MINDS[OLD], random.Random(f"{n}"), late, ()) for n in range(ROUNDS)]
    granted = sum(isinstance(turn, Said) and GRANTED in turn.text for turn in said) / ROUNDS
    assert abs(granted - MINDS[OLD].grants_late) < 0.045
    assert decide(MINDS[OLD], random.Random(1), COMPLAINT, ()) == Said("Hello! What can I do for you?")
