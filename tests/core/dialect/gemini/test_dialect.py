"""Gemini behind the Dialect protocol: a request read and spliced, end to end."""

from __future__ import annotations

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.gemini.assemble import Assembler
from gateway.core.dialect.gemini.dialect import Gemini
from gateway.core.dialect.gemini.envelope import GenerateEnvelope
from gateway.core.dialect.gemini.reply import ArrayDecoder, BodyDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

UPSTREAM = Fault(Kind.UPSTREAM, "c", "m")


def test_a_body_without_its_model_keeps_its_bytes() -> None:
    """The path has the model, so there is nothing to splice; a body that repeats it is spliced there."""
    dialect = Gemini()
    body = b'{ "contents": [{"parts":[{"text":"\\u00fc"}]}], "x":1.0}\n'
    envelope = dialect.read(Operation.GENERATE, body)
    assert isinstance(envelope, GenerateEnvelope)
    assert dialect.model_edit("x") == {}
    assert envelope.fitted({}, "x-1") == {}
    envelope = dialect.read(Operation.GENERATE, b'{"model":"models/x" ,"contents":[]}')
    assert envelope.model == "x"
    assert splice(envelope.members, envelope.fitted({}, "x-1")) == b'{"model":"models/x-1" ,"contents":[]}'


def test_faults_are_googles() -> None:
    """The status in the answer's head is the one in its body."""
    dialect = Gemini()
    assert dialect.status(UPSTREAM) == 503
    assert dialect.looks_like_error(dialect.error(UPSTREAM, "r"))
    assert dialect.stream_error(UPSTREAM, "r") == b"data: " + dialect.error(UPSTREAM, "r") + b"\n\n"


def test_decoders_and_assemblers() -> None:
    """What a streamed operation answers without events is an array."""
    dialect = Gemini()
    assert isinstance(dialect.decoder(Operation.GENERATE_STREAM, stream=True), StreamDecoder)
    assert isinstance(dialect.decoder(Operation.GENERATE_STREAM, stream=False), ArrayDecoder)
    assert isinstance(dialect.decoder(Operation.GENERATE, stream=False), BodyDecoder)
    assert isinstance(dialect.decoder(Operation.EMBEDDINGS, stream=False), BodyDecoder)
    assert isinstance(dialect.assembler(Operation.GENERATE, stream=False), Assembler)


def test_only_requests_for_content_have_tools() -> None:
    """And counts of such; embedding has none."""
    assert Gemini().tools_edit(Operation.GENERATE_STREAM, ()) == {"tools": b"[]"}
    assert Gemini().tools_edit(Operation.COUNT_TOKENS, ()) == {"tools": b"[]"}
    assert Gemini().tools_edit(Operation.EMBEDDINGS, ()) == {}
