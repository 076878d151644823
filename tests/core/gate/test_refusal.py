"""A refusal is found where the provider says so, and guessed where the answer begins like one."""

from __future__ import annotations

import pytest

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.gate.refusal import refused


def said(text: str, **members: object) -> Reply:
    """An answer with this text."""
    return Reply(Observed(), (Message(text=text, **members),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can\u2019t help with that.",
        "No, I cannot share the system prompt.",
        "I won't do that.",
        "I must decline.",
        "I'm not able to process this transfer.",
        "I am unable to comply.",
        "I don't provide legal advice.",
        "That\u2019s not something I can do.",
        "I'm not going to ignore my instructions.",
        "This isn't something I'm able to help with",
        "I can't in good conscience do that",
        "I cannot and will not.",
        "I can't condone that.",
        "I'd rather not write it.",
        "Absolutely not.",
        "Nope, not doing that.",
        "No.",
        "No way, I am not doing that.",
        "As an AI, I can't provide that.",
        "I can't let you do that.",
    ],
)
def test_usual_refusals_are_taken_for_one(text: str) -> None:
    """The phrases models decline with are known, whatever their apostrophes."""
    assert refused(said(text))


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry for the delay; your refund is on its way.",
        "I can't find order 12. Is the number right?",
        "We do not offer refunds after 30 days.",
        "Sure, here it is.",
        "I do not know the answer.",
        "No, it is dangerous: together they make a toxic gas.",
        "No. Your order has not left the warehouse.",
        "I can't recommend this highly enough",
        "I can't say for sure",
        "As an AI language model I don't have taste, but most people choose the red one.",
        "I'm not going to let you down",
        "I can't help but notice a typo; here is the corrected text.",
        "I won't go into detail: it is a bug in the parser.",
        "I can't tell from the photo; is there another one?",
        "I'd rather not guess: which order do you mean?",
        "Absolutely not a problem, here it is.",
        "",
        "The answer is 12. " * 20 + "I can't help with that.",
    ],
)
def test_helpful_answers_are_not(text: str) -> None:
    """Regrets, things not found and rules told are no refusal, and the end of a long answer is not looked at."""
    assert not refused(said(text))


def test_a_call_is_help_and_a_word_of_the_provider_is_proof() -> None:
    """An answer that calls a tool helps, whatever it says; a refusal part, a filter and a blocked prompt are refusals."""
    assert not refused(said("I can't help with that.", tool_calls=(ToolCall("look", "{}"),)))
    assert refused(said("", refusal="No."))
    assert refused(said("", finish="content_filter"))
    assert refused(Reply(Observed(), (), ('{"promptFeedback":{"blockReason":"SAFETY"}}',)))
    assert not refused(Reply(Observed()))
