"""The registry: every dialect that a route can name is there and keeps the protocol."""

from __future__ import annotations

import json

import pytest

from gateway.core.contract.artifact import Tool
from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation, find
from gateway.core.dialect.sse import Splitter
from tests.end_to_end.recorded import Exchange, golden, recordings

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1beta/x", "/v1/responses", "/nowhere", "/livez", "/trivet/runs")
DONE = b"data: [DONE]\n\n"
TERMINAL = {
    "anthropic": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    "gemini": b'data: {"candidates":[{"finishReason":"STOP"}]}\n\n',
}
"""The last event of a stream, where it is not OpenAI's."""


def test_every_route_names_a_dialect() -> None:
    """No route leaves an error without a shape."""
    assert {find(path, ()).dialect for path in PATHS} <= set(DIALECTS)


@pytest.mark.parametrize("name", DIALECTS)
def test_the_protocol_is_kept(name: str) -> None:
    """Each dialect reads a body, names a model, observes an answer, and knows its own error again."""
    dialect = DIALECTS[name]
    assert dialect.name == name
    envelope = dialect.read(None, b'{"model":"m","stream":true}')
    assert (envelope.model, envelope.stream) == ("m", True)
    assert dialect.model_edit('a"b') in ({"model": b'"a\\"b"'}, {})
    for stream in (True, False):
        decoder = dialect.decoder(None, stream)
        decoder.feed(TERMINAL.get(name, DONE) if stream else b"{}")
        assert decoder.finish().terminal
        assembler = dialect.assembler(Operation.CHAT, stream)
        assembler.feed(TERMINAL.get(name, DONE) if stream else b"{}")
        assert assembler.finish().observed == decoder.observed
    assert dialect.tools_edit(Operation.MODELS, [Tool("look")]) == {}
    for kind in Kind:
        fault = Fault(kind, "some_code", 'A "message".\n')
        body = dialect.error(fault, "req-1")
        assert dialect.looks_like_error(body)
        assert 400 <= dialect.status(fault) < 600
        assert 'A "message".' in json.loads(body)["error"]["message"]
        event = dialect.stream_error(fault, "req-1")
        assert event.endswith(b"}\n\n")
        assert json.loads(event.partition(b"data: ")[2])["error"] == json.loads(body)["error"]


def refused(exchange: Exchange) -> bool:
    """Whether a recorded answer holds words of a refusal, or says that the prompt was blocked."""
    parts = (b'"refusal":"', b'"refusal": "', b'"type":"refusal"', b'"type": "refusal"', b'"blockReason"')
    hollow = exchange.body.replace(b'"refusal":""', b"").replace(b'"refusal": ""', b"")
    return exchange.dialect != "anthropic" and any(part in hollow for part in parts)


def test_tools_called_and_refusals_are_noted_as_they_are_read_later() -> None:
    """In every recorded answer the decoder of the live path notes the tools that the whole reply calls, and its refusal."""
    seen = set()
    for exchange in (*golden(), *recordings()):
        route = find(exchange.path.partition("?")[0], ())
        dialect = DIALECTS[exchange.dialect]
        if route.operation is None or not route.generates or exchange.status != 200:
            continue
        decoder = dialect.decoder(route.operation, exchange.stream)
        decoder.feed(Splitter(1 << 20).feed(exchange.body) if exchange.stream else exchange.body)
        observed = decoder.finish()
        assembler = dialect.assembler(route.operation, exchange.stream or route.operation is Operation.GENERATE_STREAM)
        assembler.feed(exchange.body)
        reply = assembler.finish()
        called = [call.name for message in reply.messages for call in message.tool_calls]
        if '"function_call"' in exchange.body.decode("utf-8", "replace") and exchange.dialect == "openai":
            continue  # OpenAI's older form has no ids, and links nothing
        assert set(observed.tool_names) == set(called) - {""}, exchange.name
        assert observed.refused == refused(exchange), exchange.name
        seen |= {(exchange.dialect, bool(called)), (exchange.dialect, "refused" if observed.refused else "")}
    assert {(name, True) for name in DIALECTS} <= seen
