"""Anthropic behind the Dialect protocol: a request read and spliced, tools rendered, answers told apart."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.core.contract.artifact import Tool
from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.anthropic.assemble import Collected
from gateway.core.dialect.anthropic.dialect import Anthropic
from gateway.core.dialect.anthropic.envelope import MessagesEnvelope
from gateway.core.dialect.anthropic.reply import BodyDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

SCHEMA = b'{"type":"object","required":["b","a"],"properties":{"b":{},"a":{}}}'


@pytest.mark.parametrize("operation", [Operation.MESSAGES, Operation.COUNT_TOKENS])
def test_a_pinned_model_goes_into_the_clients_own_bytes(operation: Operation) -> None:
    """Everything but the value of `model` is as sent; a request to count is read like one to answer."""
    body = b'{ "temperature": 1.0, "model" : "sonnet" ,"messages":[{"role":"user","content":"\\u00fc"}]}\n'
    envelope = Anthropic().read(operation, body)
    assert isinstance(envelope, MessagesEnvelope)
    assert splice(envelope.members, Anthropic().model_edit("claude-x")) == body.replace(b"sonnet", b"claude-x")


def test_tools_are_rendered() -> None:
    """Name, description and schema under Anthropic's names, in the order given; a hosted tool keeps its bytes."""
    hosted = b'{"type":"web_search_20250305" , "name":"web_search"}'
    tools = [
        Tool("track", "Where a parcel is.", msgspec.Raw(SCHEMA), strict=True),
        Tool("now"),
        Tool("", hosted=msgspec.Raw(hosted)),
    ]
    for operation in (Operation.MESSAGES, Operation.COUNT_TOKENS):
        made = Anthropic().tools_edit(operation, tools)["tools"]
        assert made is not None
        assert SCHEMA in made
        assert hosted in made
        assert json.loads(made) == [
            {
                "name": "track",
                "description": "Where a parcel is.",
                "input_schema": json.loads(SCHEMA),
                "strict": True,
            },
            {"name": "now", "input_schema": {"type": "object"}},
            json.loads(hosted),
        ]
    assert Anthropic().tools_edit(Operation.MESSAGES, []) == {"tools": None}
    assert Anthropic().tools_edit(Operation.MODELS, tools) == {}


def test_decoders() -> None:
    """One kind for streams, one for whole bodies; an assembler for either."""
    assert isinstance(Anthropic().decoder(Operation.MESSAGES, stream=True), StreamDecoder)
    assert isinstance(Anthropic().decoder(Operation.COUNT_TOKENS, stream=False), BodyDecoder)
    assert isinstance(Anthropic().assembler(Operation.MESSAGES, stream=True), Collected)


def test_faults() -> None:
    """Its own status, body and event, which it knows again."""
    fault = Fault(Kind.OVERLOADED, "no_pointer", "m")
    assert Anthropic().status(fault) == 529
    assert Anthropic().looks_like_error(Anthropic().error(fault, "r"))
    assert not Anthropic().looks_like_error(b'{"type":"message","content":[]}')
    assert Anthropic().stream_error(fault, "r", StreamDecoder()).startswith(b"event: error\ndata: {")
