"""Two answers compared: every dimension of the closed list has a pair that shows it, and pairs without a difference show none."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema.validators import validator_for

from gateway.core.contract.artifact import Tool
from gateway.core.contract.exchange import Observed
from gateway.core.contract.pair import Dimension, PairClass
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.diff.calls import Toolset
from gateway.core.diff.replies import Answer, Comparison, compare
from gateway.core.diff.severity import SEVERITY

LOOK = Tool(
    "look_up",
    parameters=msgspec.Raw(b'{"type":"object","properties":{"order":{"type":"string"}},"required":["order"]}'),
)
REFUND = Tool("refund", parameters=msgspec.Raw(b'{"type":"object","properties":{"amount":{"type":"number"}}}'))
TOOLS = Toolset.of((LOOK, REFUND))
WORDS = "The parcel left our house on Monday and is on its way to you now."
SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def side(*messages: Message, tools: Toolset | None = TOOLS) -> Answer:
    """An answer that worked."""
    return Answer(Reply(Observed(terminal=True), messages), tools=tools)


def said(text: str, finish: str = "stop") -> Answer:
    """An answer in words."""
    return side(Message(text, finish=finish))


def called(*calls: tuple[str, str]) -> Answer:
    """An answer that calls tools."""
    return side(Message(tool_calls=tuple(ToolCall(*call, id="x") for call in calls), finish="tool_calls"))


def dimensions(found: Comparison) -> set[Dimension]:
    """Which dimensions differ."""
    return {each.dimension for each in found.differences}


LOOKED = ("look_up", '{"order": "A-17"}')
CASES = [
    (Dimension.ERROR, said(WORDS), Answer(None, "500"), PairClass.REGRESSION),
    (Dimension.ERROR, Answer(None, "500"), said(WORDS), PairClass.DIVERGENT),
    (Dimension.FINISH, said(WORDS), said(WORDS, "pause_turn"), PairClass.DIVERGENT),
    (Dimension.TRUNCATED, said(WORDS), said(WORDS[:40], "max_tokens"), PairClass.REGRESSION),
    (Dimension.TRUNCATED, said(WORDS[:40], "MAX_TOKENS"), said(WORDS), PairClass.DIVERGENT),
    (Dimension.EMPTY, said(WORDS), said(""), PairClass.REGRESSION),
    (Dimension.REFUSAL, said(WORDS), side(Message(refusal="No.", finish="stop")), PairClass.REGRESSION),
    (Dimension.REFUSAL, side(Message(finish="refusal")), said(WORDS), PairClass.DIVERGENT),
    (Dimension.SUSPECTED_REFUSAL, said(WORDS), said("I'm sorry, I can't help with that."), PairClass.DIVERGENT),
    (Dimension.FILTERED, said(WORDS), said("", "SAFETY"), PairClass.REGRESSION),
    (Dimension.CHOICES, side(Message("a"), Message("b")), side(Message("a")), PairClass.DIVERGENT),
    (Dimension.JSON, said('{"total": 3}'), said('Sure: {"total": 3}'), PairClass.REGRESSION),
    (Dimension.JSON_SHAPE, said('{"total": 3}'), said('{"total": "3"}'), PairClass.DIVERGENT),
    (Dimension.JSON_VALUE, said('{"total": 3}'), said('{"total": 4}'), PairClass.DIVERGENT),
    (Dimension.FENCE, said(WORDS + "\n- one\n- two"), said(WORDS + "\none\ntwo"), PairClass.EQUIVALENT),
    (Dimension.CALLS, called(LOOKED), said(WORDS), PairClass.DIVERGENT),
    (Dimension.TOOL_NAMES, called(LOOKED), called(("refund", "{}")), PairClass.DIVERGENT),
    (Dimension.TOOL_ORDER, called(LOOKED, ("refund", "{}")), called(("refund", "{}"), LOOKED), PairClass.EQUIVALENT),
    (Dimension.ARGUMENTS, called(LOOKED), called(("look_up", '{"order": "A-18"}')), PairClass.DIVERGENT),
    (Dimension.ARGUMENTS, called(LOOKED), called(("look_up", '{"order": "a17"}')), PairClass.EQUIVALENT),
    (Dimension.UNKNOWN_TOOL, called(LOOKED), called(("delete_all", "{}")), PairClass.REGRESSION),
    (Dimension.INVALID_ARGUMENTS, called(LOOKED), called(("look_up", '{"order": 17}')), PairClass.REGRESSION),
    (Dimension.INVALID_ARGUMENTS, called(LOOKED), called(("look_up", '{"order": ')), PairClass.REGRESSION),
    (Dimension.TEXT, said(WORDS), said("We know nothing about any such thing here."), PairClass.DIVERGENT),
    (Dimension.LENGTH, said(WORDS), said(WORDS * 3), PairClass.DIVERGENT),
    (Dimension.NUMBERS, said("You get $40 back."), said("You get $400 back."), PairClass.DIVERGENT),
    (Dimension.LINKS, said("See https://a.example/x."), said("See https://b.example/x."), PairClass.DIVERGENT),
    (Dimension.NEGATION, said(WORDS), said(WORDS.replace("is on", "is not on")), PairClass.DIVERGENT),
]


@pytest.mark.parametrize(("dimension", "one", "other", "expected"), CASES)
def test_each_dimension_is_found(dimension: Dimension, one: Answer, other: Answer, expected: PairClass) -> None:
    """A pair that differs in a dimension names it, with its weight, and is classed by the gravest."""
    found = compare(one, other)
    assert dimension in dimensions(found)
    assert found.pair_class is expected
    assert all(0 < each.severity <= SEVERITY[each.dimension] for each in found.differences)


def test_every_dimension_has_a_case() -> None:
    """The closed list and this file are in step; the schema has a test of its own."""
    assert {case[0] for case in CASES} | {Dimension.SCHEMA} == set(Dimension) == set(SEVERITY)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (said(WORDS), said(WORDS), PairClass.IDENTICAL),
        (said(WORDS), said(WORDS.upper() + "  "), PairClass.EQUIVALENT),
        (said('{"a": 40, "b": [1]}'), said('{"b":[1.0],"a":40.0}'), PairClass.EQUIVALENT),
        (said("It is 1,000 EUR."), said("It is 1000 EUR."), PairClass.EQUIVALENT),
        (called(("refund", '{"amount": 1}')), called(("refund", '{"amount":1.0}')), PairClass.EQUIVALENT),
        (Answer(None, "429"), Answer(None, "429"), PairClass.IDENTICAL),
        (said(WORDS, "stop"), said(WORDS, "end_turn"), PairClass.IDENTICAL),
    ],
)
def test_what_nobody_acts_on_is_no_divergence(one: Answer, other: Answer, expected: PairClass) -> None:
    """Order of members, ways to write a number, case, white space and the dialect's word for a natural end do not count."""
    assert compare(one, other).pair_class is expected


def test_the_schema_that_was_asked_for() -> None:
    """An answer that breaks the response schema where the other keeps it is a regression with the path at fault."""
    schema = validator_for(SCHEMA)(SCHEMA)
    found = compare(said('{"total": 3}'), said('{"total": "three"}'), schema)
    assert Dimension.SCHEMA in dimensions(found) and found.pair_class is PairClass.REGRESSION
    assert next(each.candidate for each in found.differences if each.dimension is Dimension.SCHEMA).startswith(
        "$.total"
    )
    assert Dimension.SCHEMA not in dimensions(compare(said("{}"), said('{"total": "x"}'), schema))


@given(st.text(max_size=200), st.text(max_size=200))
def test_any_two_texts(one: str, other: str) -> None:
    """Whatever is said, comparing ends, is symmetric in which dimensions differ, and finds nothing between a text and itself."""
    assert compare(said(one), said(one)).differences == ()
    there, back = compare(said(one), said(other)), compare(said(other), said(one))
    assert dimensions(there) == dimensions(back)
    assert 0 <= there.similarity <= 1
