"""Made-up models as data: how often each does what a refund desk asks of it, and passes an item of a suite.

Nothing here says anything about OpenAI's models. The ids are borrowed so that the pinning table knows them; the numbers are
invented, in the size of what people report when a floating name moves.
Rule of the file: a decision is a function of (table, dice, conversation); the dice come from outside.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

OLD = "gpt-4o-2024-08-06"
NEW = "gpt-4o-2024-11-20"
CANDIDATE = "gpt-4.1-2025-04-14"
"""Cheaper, shorter, never in prose where JSON is asked for; and it gets the argument of a refund wrong."""
SHARP = "gpt-4.1-mini-2025-04-14"
"""Better at the task than OLD, and does what a text that it fetched tells it to."""
BETTER = "gpt-5-mini-2025-08-07"
"""A little better than OLD in everything."""
FLOATING = "gpt-4o"


@dataclass(frozen=True, slots=True)
class Skills:
    """Share of a suite's items that a made-up model passes, by what the items take."""

    task: float = 0.90
    injection: float = 0.95
    """Does not follow a text that tries to give orders."""
    safety: float = 0.96
    """The rest of a safety suite: keeps secrets and its authority, declines harm, helps with what is harmless."""


@dataclass(frozen=True, slots=True)
class Mind:
    """How a made-up model behaves. The first three are probabilities."""

    looks_up: float
    """Looks the order up before it decides; otherwise it refunds on the customer's word."""
    grants_late: float
    """Refunds an order that it knows to be older than the policy allows."""
    keeps_json: float
    """Answers with the bare JSON it was asked for; otherwise wraps it in prose."""
    words: tuple[int, int]
    """Length of a reply to the customer, from and to."""
    fingerprint: str
    misnames: float = 0.0
    """Probability that a refund is asked for with an argument that the tool does not have."""
    skills: Skills = Skills()


MINDS: Mapping[str, Mind] = MappingProxyType(
    {
        OLD: Mind(looks_up=0.95, grants_late=0.10, keeps_json=0.97, words=(18, 34), fingerprint="fp_made_up_a"),
        NEW: Mind(looks_up=0.55, grants_late=0.55, keeps_json=0.70, words=(34, 62), fingerprint="fp_made_up_b"),
        CANDIDATE: Mind(
            1.0,
            grants_late=0.10,
            keeps_json=1.0,
            words=(12, 20),
            fingerprint="fp_made_up_c",
            misnames=0.5,
            skills=Skills(task=0.94, injection=0.99, safety=0.99),
        ),
        SHARP: Mind(
            0.95,
            grants_late=0.10,
            keeps_json=0.97,
            words=(18, 34),
            fingerprint="fp_made_up_d",
            skills=Skills(task=0.93, injection=0.75),
        ),
        BETTER: Mind(
            0.98,
            grants_late=0.05,
            keeps_json=0.99,
            words=(16, 30),
            fingerprint="fp_made_up_e",
            skills=Skills(task=0.92, injection=0.975, safety=0.975),
        ),
    }
)
"""Behaviour per snapshot."""
LENIENT = replace(MINDS[BETTER], grants_late=0.95, words=(30, 56))
"""What a provider puts in the place of BETTER and says nothing, not even by the fingerprint."""

POLICY_DAYS = 30
"""What counts as late where the prompt says nothing."""
RULE = re.compile(r"older than (\d+) days")
"""The sentence of a prompt that says what is late; where there are several, the last one stands."""
AGE = re.compile(r"bought (\d+) days ago")
"""What a customer says who only asks, where no tool is offered."""
LOOK_UP = "look_up_order"
REFUND = "refund"
REPLY = "reply_to_customer"
VOUCHER = "give_voucher"
DESK = (LOOK_UP, REFUND, REPLY)
"""The tools of a refund desk. VOUCHER is used where it is offered and the prompt speaks of it."""

OPENERS = ("Thank you for writing to us", "I am sorry about the trouble", "Thanks for your patience")
FILLER = (
    "we looked at your order and the dates it was bought and delivered, and we have written our decision into the "
    "ticket so that a colleague can see it later; if anything is missing, answer this message and someone from the "
    "team will come back to you within two working days, and we are glad to help with any other order as well"
)


@dataclass(frozen=True, slots=True)
class Call:
    """The model wants a tool called."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """The model answers in words."""

    text: str


@dataclass(frozen=True, slots=True)
class Given:
    """The model does what an example says: words, calls, or both."""

    text: str
    calls: tuple[Call, ...]


Turn = Call | Said
GRANTED = "your refund is on its way"
REFUSED = "we cannot refund it, for it was bought more than {days} days ago"


def decide(mind: Mind, dice: random.Random, messages: Sequence[Mapping[str, Any]], tools: Sequence[str]) -> Turn:
    """What this mind does next in a conversation in the API's own form."""
    if not set(DESK) <= set(tools):
        return _advise(mind, dice, messages)
    results = _results(messages)
    if REPLY in results:
        return Said(_closing(mind, dice, refunded=REFUND in results))
    if REFUND in results:
        return _reply(mind, dice, GRANTED)
    order = json.dumps({"order": _order(messages)})
    if LOOK_UP not in results:
        return Call(LOOK_UP, order) if dice.random() < mind.looks_up else _refund(mind, dice, messages)
    prompt = _prompt(messages)
    days = _limit(prompt)
    refused = REFUSED.format(days=days)
    if VOUCHER in results:
        return _reply(mind, dice, f"{refused}, but a voucher is on its way")
    late = int(results[LOOK_UP].get("days_since_purchase", 0)) > days
    if not late or dice.random() < mind.grants_late:
        return _refund(mind, dice, messages)
    if VOUCHER in tools and "voucher" in prompt:
        return Call(VOUCHER, order)
    return _reply(mind, dice, refused)


def _refund(mind: Mind, dice: random.Random, messages: Sequence[Mapping[str, Any]]) -> Call:
    name = "order_number" if dice.random() < mind.misnames else "order"
    return Call(REFUND, json.dumps({name: _order(messages)}))


def _closing(mind: Mind, dice: random.Random, *, refunded: bool) -> str:
    line = json.dumps({"decision": "refunded" if refunded else "refused"})
    if dice.random() < mind.keeps_json:
        return line
    return f"Certainly! Here is the closing line you asked for:\n```json\n{line}\n```"


def _reply(mind: Mind, dice: random.Random, verdict: str) -> Call:
    return Call(REPLY, json.dumps({"text": _words(mind, dice, verdict)}))


def _words(mind: Mind, dice: random.Random, verdict: str) -> str:
    length = dice.randint(*mind.words)
    words = f"{dice.choice(OPENERS)}; {verdict}; {FILLER}".split()
    return " ".join(words[:length]).rstrip(",;") + "."


def _advise(mind: Mind, dice: random.Random, messages: Sequence[Mapping[str, Any]]) -> Said:
    """Tell somebody who asks about an order of some age whether it would be refunded: in words, for there are no tools."""
    ages = [age for message in messages if message.get("role") == "user" for age in AGE.findall(_text(message))]
    if not ages:
        return Said("Hello! What can I do for you?")
    days = _limit(_prompt(messages))
    granted = int(ages[-1]) <= days or dice.random() < mind.grants_late
    return Said(_words(mind, dice, GRANTED if granted else REFUSED.format(days=days)))


def _limit(prompt: str) -> int:
    """Days after which an order is late."""
    return int((RULE.findall(prompt) or [POLICY_DAYS])[-1])


def _results(messages: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Tool name to the result that was brought for it."""
    names = {
        call["id"]: call["function"]["name"] for message in messages for call in message.get("tool_calls") or () if call
    }
    found: dict[str, dict[str, Any]] = {}
    for message in messages:
        if message.get("role") == "tool":
            name = names.get(str(message.get("tool_call_id")), "")
            found[name] = json.loads(_text(message))
    return found


def _prompt(messages: Sequence[Mapping[str, Any]]) -> str:
    """What the system says."""
    return "\n".join(_text(message) for message in messages if message.get("role") == "system")


def _order(messages: Sequence[Mapping[str, Any]]) -> str:
    """The order number that the customer named: the word after `order`."""
    for message in messages:
        _before, found, after = _text(message).partition("order ")
        if message.get("role") == "user" and found:
            return after.split()[0].strip(".,;")
    return "unknown"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return str(content or "")
