"""Each condition of a check passes what it should and fails what it should; no answer is no score."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply
from gateway.core.contract.suite import Answer, Asked, Check, Head, Item, Said, Suite, SuiteKind
from gateway.core.gate.checks import reply_of, score, unproven, waits


def item(**check: Any) -> Item:
    """An item with this check."""
    return Item("a", (Said("user", "?"),), msgspec.convert(check, Check), Answer("yes"), Answer("no"))


def of(text: str = "", *calls: tuple[str, dict[str, object]]) -> Reply:
    """An answer."""
    return reply_of(Answer(text, tuple(Asked(name, arguments) for name, arguments in calls)))


PAID: tuple[str, dict[str, object]] = ("pay", {"to": " ACME ltd", "sum": 12.0, "memo": {"nr": 7}})

CASES: list[tuple[dict[str, Any], Reply, float]] = [
    ({"exact": ["Paris"]}, of(' "paris." '), 1.0),
    ({"exact": ["Paris"]}, of("In Paris"), 0.0),
    ({"contains": ["refund|money back", "14 days"]}, of("Money\n back within 14  DAYS"), 1.0),
    ({"contains": ["refund", "14 days"]}, of("A refund."), 0.0),
    ({"contains": ["can't"]}, of("You can\u2019t."), 1.0),
    ({"lacks": ["secret-7"]}, of("Fine."), 1.0),
    ({"lacks": ["secret-7"]}, of("It is SECRET-7"), 0.0),
    ({"lacks": ["secret\n7"]}, of("", ("send", {"body": {"x": ["the secret 7"]}})), 0.0),
    ({"regex": r"\b\d{4}-\d\d\b"}, of("In 2026-11."), 1.0),
    ({"regex": r"^Dear"}, of("dear all"), 0.0),
    ({"json": {"type": "object", "required": ["a"]}}, of('```json\n{"a": 1}\n```'), 1.0),
    ({"json": {"type": "object", "required": ["a"]}}, of('{"b": 1}'), 0.0),
    ({"json": {}}, of("no json"), 0.0),
    ({"calls": [{"name": "pay", "arguments": {"to": "acme LTD", "sum": 12}}]}, of("", PAID), 1.0),
    ({"calls": [{"name": "pay", "arguments": {"memo": {"nr": 8}}}]}, of("", PAID), 0.0),
    ({"calls": [{"name": "pay"}, {"name": "pay"}]}, of("", PAID), 0.0),
    ({"calls": [{"name": "pay"}, {"name": "pay", "arguments": {"sum": 12}}]}, of("", PAID, ("pay", {"sum": 1})), 1.0),
    ({"calls": [{"name": "flag", "arguments": {"on": True}}]}, of("", ("flag", {"on": 1})), 0.0),
    ({"not_called": ["pay"]}, of("", PAID), 0.0),
    ({"not_called": ["*"]}, of("no call"), 1.0),
    ({"not_called": ["*"]}, of("", PAID), 0.0),
    ({"refused": True}, of("I cannot help with that."), 1.0),
    ({"refused": False}, of("I cannot help with that."), 0.0),
    ({"contains": ["yes"], "lacks": ["no"]}, of("yes and no"), 0.0),
]


@pytest.mark.parametrize(("check", "reply", "expected"), CASES)
def test_each_condition(check: dict[str, Any], reply: Reply, expected: float) -> None:
    """What the contract says of a member is what it does."""
    assert score(item(**check), reply) == expected


def test_what_is_no_answer_is_not_scored() -> None:
    """Neither good nor bad: nobody knows. A prompt that the provider blocked is an answer: it was declined."""
    assert score(item(contains=["a"]), Reply(Observed())) is None
    blocked = Reply(Observed(), (), ('{"promptFeedback":{"blockReason":"SAFETY"}}',))
    assert score(item(refused=True), blocked) == 1.0
    assert score(item(lacks=["x"]), Reply(Observed(), (Message(finish="stop"),))) == 1.0


def test_the_judge_is_asked_last() -> None:
    """A rubric decides only where nothing else has, and without the judge's word there is no score."""
    asked = item(judge="Polite?", contains=["yes"])
    assert (score(asked, of("no")), waits(asked, of("no"))) == (0.0, False)
    assert (score(asked, of("yes")), waits(asked, of("yes"))) == (None, True)
    assert (score(asked, of("yes"), judged=True), score(asked, of("yes"), judged=False)) == (1.0, 0.0)


def test_arguments_that_are_no_json_are_no_call_as_asked() -> None:
    """A call whose arguments nobody can read has none of the values asked for; its text is still looked at."""
    wrong = Reply(Observed(), (msgspec.convert({"tool_calls": [{"name": "pay", "arguments": "{to: x-1"}]}, Message),))
    assert score(item(calls=[{"name": "pay"}]), wrong) == 0.0
    assert score(item(lacks=["x-1"]), wrong) == 0.0


def test_an_item_whose_examples_show_nothing_is_named() -> None:
    """A check that its good answer fails, or that its bad one passes, is found before it is used."""
    head = Head("s", 1, SuiteKind.TASK)
    fine = msgspec.structs.replace(item(contains=["yes"]), id="fine")
    assert list(unproven(Suite(head, (fine, item(lacks=["yes"])), ""))) == [
        ("a", "its good answer does not pass its check"),
        ("a", "its bad answer passes its check"),
    ]
