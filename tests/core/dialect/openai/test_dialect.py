"""OpenAI behind the Dialect protocol: a request read and spliced, end to end."""

from __future__ import annotations

import json

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.openai.dialect import OpenAI
from gateway.core.dialect.openai.envelope import ChatEnvelope
from gateway.core.dialect.openai.reply import BodyDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice


def test_a_pinned_model_goes_into_the_clients_own_bytes() -> None:
    """Everything but the value of `model` is as sent, odd spacing and numbers included."""
    body = b'{ "temperature": 1.0, "model" : "gpt-4o" ,"messages":[{"role":"user","content":"\\u00fc"}]}\n'
    dialect = OpenAI()
    envelope = dialect.read(Operation.CHAT, body)
    assert isinstance(envelope, ChatEnvelope)
    assert splice(envelope.members, dialect.model_edit("gpt-4o-2024-08-06")) == body.replace(
        b"gpt-4o", b"gpt-4o-2024-08-06"
    )


def test_faults_keep_their_status() -> None:
    """OpenAI has no statuses of its own."""
    assert OpenAI().status(Fault(Kind.OVERLOADED, "c", "m")) == 503
    assert (
        json.loads(OpenAI().error(Fault(Kind.AUTH, "invalid_api_key", "m"), "r"))["error"]["code"] == "invalid_api_key"
    )
    assert OpenAI().looks_like_error(OpenAI().error(Fault(Kind.AUTH, "c", "m"), "r"))
    assert OpenAI().stream_error(Fault(Kind.AUTH, "c", "m"), "r").startswith(b"data: ")


def test_decoders() -> None:
    """One kind for streams, one for whole bodies."""
    assert isinstance(OpenAI().decoder(Operation.CHAT, stream=True), StreamDecoder)
    assert isinstance(OpenAI().decoder(Operation.EMBEDDINGS, stream=False), BodyDecoder)
