"""From stored bytes to the line of a pair."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.contract.exchange import Observed
from gateway.core.contract.pair import Dimension, PairClass, Side, Turn
from gateway.shadow.compare import Call, Tools, decoded, line, observed_side, response_schema
from tests.shadow.jobs import BODY, chat, events, job

TOOL = {"name": "look", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}}


def call(release: str, body: bytes, *, status: int = 200, stream: bool = False) -> Call:
    """A call that came back."""
    return Call(Side(release, f"openai/{release}", status, stream=stream), body)


def test_a_stream_and_a_whole_answer_of_the_same_words_are_identical() -> None:
    """How an answer is framed is no difference."""
    found = line(
        job(),
        BODY,
        call("rel_1", events("Hello there"), stream=True),
        call("rel_2", chat("Hello there")),
        None,
        Tools(),
    )
    assert (found.pair_class, found.differences, found.secondary) == (PairClass.IDENTICAL, (), None)
    assert (found.turn, found.primary.release, found.candidate.release) == (Turn.FIRST, "rel_1", "rel_2")


def test_noise_is_measured_with_the_same_ruler() -> None:
    """The secondary's differences stand beside the candidate's."""
    found = line(
        job(secondary=True),
        BODY,
        call("rel_1", chat("It costs 40.")),
        call("rel_2", chat("It costs 41.")),
        call("rel_1", chat("It costs 42.")),
        Tools(),
    )
    assert {d.dimension for d in found.differences} >= {Dimension.NUMBERS}
    assert {d.dimension for d in found.noise} == {d.dimension for d in found.differences}
    assert found.noise_class is PairClass.DIVERGENT and found.noise_similarity == found.similarity


def test_each_release_is_held_to_its_own_tools() -> None:
    """A call of a tool that only the candidate's release brings is known; the same call by the primary is not."""
    called = chat("", calls=[("look", '{"id": 1}')])
    tools = Tools(candidate=msgspec.json.encode([TOOL]))
    found = line(job(), BODY, call("rel_1", chat("no tools")), call("rel_2", called), None, tools)
    assert Dimension.UNKNOWN_TOOL not in {d.dimension for d in found.differences}
    bad = chat("", calls=[("look", '{"id": "one"}')])
    found = line(
        job(), BODY, call("rel_1", called), call("rel_2", bad), None, Tools(*[msgspec.json.encode([TOOL])] * 2)
    )
    assert found.pair_class is PairClass.REGRESSION
    assert Dimension.INVALID_ARGUMENTS in {d.dimension for d in found.differences}


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        (call("rel_2", b'{"error": {"message": "x"}}', status=500), "500"),
        (Call(Side("rel_2", failed="upstream_timeout"), b""), "upstream_timeout"),
        (call("rel_2", events("Hello")[:40], stream=True), "cut"),
        (call("rel_2", b"<html>", status=200), "cut"),
    ],
)
def test_a_candidate_that_fails_is_a_regression(other: Call, shown: str) -> None:
    """A status, a fault of the call, a cut stream and an answer that is none are told as errors."""
    found = line(job(), BODY, call("rel_1", chat("Hello")), other, None, Tools())
    assert found.pair_class is PairClass.REGRESSION
    assert [(d.dimension, d.candidate) for d in found.differences] == [(Dimension.ERROR, shown)]


@pytest.mark.parametrize(
    "request_body",
    [
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
        {"text": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
        {"generationConfig": {"responseJsonSchema": {"type": "object"}}},
    ],
)
def test_response_schemas_of_every_dialect(request_body: dict[str, Any]) -> None:
    """The schema is found where each dialect has it."""
    found = response_schema(request_body)
    assert found is not None and found.is_valid({}) and not found.is_valid([])


@pytest.mark.parametrize(
    "request_body",
    [{}, {"response_format": {"type": "json_object"}}, {"response_format": {"json_schema": {"schema": {"type": 7}}}}],
)
def test_no_schema_checks_nothing(request_body: dict[str, Any]) -> None:
    """A request without a schema, or with a broken one, is not held to any."""
    assert response_schema(request_body) is None


def test_what_the_live_worker_saw_is_the_primary() -> None:
    """Status, times, observed identity and cost of the primary are those of the live answer."""
    seen = Observed(model="m", terminal=True)
    side = observed_side(job(observed=seen, total_ms=5.0), "openai/m", 12)
    assert (side.release, side.model, side.status, side.total_ms, side.observed, side.cost) == (
        "rel_1",
        "openai/m",
        200,
        5.0,
        seen,
        12,
    )
    assert decoded(b"[1]") == decoded(b"{") == {}
