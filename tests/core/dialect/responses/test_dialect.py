"""Responses behind the Dialect protocol: a request read and spliced, answers told apart, faults in its shape."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.responses.assemble import BodyAssembler, StreamAssembler
from gateway.core.dialect.responses.dialect import Responses
from gateway.core.dialect.responses.envelope import ResponseEnvelope
from gateway.core.dialect.responses.reply import ResponseDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice


@pytest.mark.parametrize("operation", [Operation.RESPONSES, Operation.COMPACT, Operation.COUNT_TOKENS])
def test_a_pinned_model_goes_into_the_clients_own_bytes(operation: Operation) -> None:
    """Everything but the value of `model` is as sent, for every operation that a model works on."""
    body = b'{ "temperature": 1.0, "model" : "gpt-5" ,"input":[{"role":"user","content":"\\u00fc"}]}\n'
    envelope = Responses().read(operation, body)
    assert isinstance(envelope, ResponseEnvelope)
    assert splice(envelope.members, Responses().model_edit("gpt-5-x")) == body.replace(b"gpt-5", b"gpt-5-x")


def test_decoders_and_assemblers() -> None:
    """One kind for streams, one for whole bodies."""
    assert isinstance(Responses().decoder(Operation.RESPONSES, stream=True), StreamDecoder)
    assert isinstance(Responses().decoder(Operation.STORED, stream=False), ResponseDecoder)
    assert isinstance(Responses().assembler(Operation.RESPONSES, stream=True), StreamAssembler)
    assert isinstance(Responses().assembler(Operation.COMPACT, stream=False), BodyAssembler)


def test_faults() -> None:
    """Bodies are OpenAI's; the event has the number after the last one that the decoder saw."""
    fault = Fault(Kind.OVERLOADED, "c", "m")
    assert Responses().status(fault) == 503
    assert Responses().looks_like_error(Responses().error(fault, "r"))
    decoder = StreamDecoder()
    decoder.feed(b'event: x\ndata: {"type":"x","sequence_number":41}\n\n')
    for given, number in ((decoder, 42), (StreamDecoder(), 0), (None, 0)):
        event = Responses().stream_error(fault, "r", given)
        assert json.loads(event.partition(b"data: ")[2])["sequence_number"] == number
