"""Responses observed: the same however they are cut, and never an exception for what a provider sends."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Reply
from gateway.core.dialect.responses import reply as module
from gateway.core.dialect.responses.assemble import assembler
from gateway.core.dialect.responses.reply import LAST, ResponseDecoder, StreamDecoder
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.sse import Splitter

ROOT = Path(__file__).resolve().parents[4]
GOLDEN = ROOT / "tests" / "golden" / "responses"
STREAMS = sorted(GOLDEN.glob("*.sse"))
BODIES = sorted(GOLDEN.glob("*.reply"))
RECORDED = Path(os.environ.get("TRIVET_EXCHANGES", ROOT.parent / "shared" / "exchanges"))
"""Folder of recorded provider answers, where there is one; they are not part of this project."""


def wanted(path: Path) -> Observed:
    """What the golden file beside this one says."""
    return msgspec.json.decode(path.with_suffix(".answer.json").read_bytes(), type=Reply).observed


def stream(pieces: list[bytes]) -> Observed:
    """A streamed answer observed as the live path does it."""
    splitter, decoder = Splitter(8 << 20), StreamDecoder()
    for piece in pieces:
        events = splitter.feed(piece)
        if events:
            decoder.feed(events)
    return decoder.finish()


def body(pieces: list[bytes]) -> Observed:
    """A whole body observed."""
    decoder = ResponseDecoder()
    for piece in pieces:
        decoder.feed(piece)
    return decoder.finish()


def singles(data: bytes) -> list[bytes]:
    """Byte by byte."""
    return [data[i : i + 1] for i in range(len(data))]


def cut(data: bytes, dice: random.Random) -> list[bytes]:
    """Cut at some random points."""
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(8))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def event(kind: str, **members: Any) -> bytes:
    """One event as the API writes it."""
    data = json.dumps({"type": kind, **members}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_golden_streams(path: Path) -> None:
    """Whole, byte by byte and cut anywhere, each stream says what its file says."""
    data = path.read_bytes()
    dice = random.Random(path.name)
    for pieces in ([data], singles(data), *(cut(data, dice) for _ in range(10))):
        assert stream(pieces) == wanted(path)


@pytest.mark.parametrize("path", BODIES, ids=lambda path: path.stem)
def test_golden_bodies(path: Path) -> None:
    """Whole, byte by byte and with white space after it, each body says what its file says."""
    data = path.read_bytes()
    for pieces in ([data], singles(data), [data, b"\n"]):
        assert body(pieces) == wanted(path)


def test_mere_text_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deltas cost a look and no parse, whatever their text says; only their number is kept."""
    decoder = StreamDecoder()
    decoder.feed(event("response.created", response={"model": "m", "id": "resp_1"}, sequence_number=0))
    monkeypatch.setattr(StreamDecoder, "_event", lambda *_a: pytest.fail("an event was read"))
    text = 'say "response": {"item": 1}, "error" and "sequence_number": 99'
    for number in (1, 2, 3):
        decoder.feed(event("response.output_text.delta", item_id="i", delta=text, sequence_number=number))
    assert decoder.sequence == 4


def test_numbers_survive_pieces_without_one() -> None:
    """Comments and events that have no number do not make the gateway forget the last."""
    decoder = StreamDecoder()
    assert decoder.sequence == 0
    decoder.feed(event("a", sequence_number=1) + event("b", sequence_number=2))
    decoder.feed(b": ping\n\n")
    decoder.feed(b'data: {"type":"c" , "sequence_number" : 8}\n\n')
    decoder.feed(b"data: [DONE]\n\n")
    assert decoder.sequence == 9


def test_nothing_after_the_last_event_counts() -> None:
    """Trailing data changes nothing that was observed."""
    data = (GOLDEN / "stream-text.sse").read_bytes()
    after = event("error", code="late") + event("response.created", response={"id": "resp_other", "object": "response"})
    assert stream([data + after]) == stream([data, after]) == wanted(GOLDEN / "stream-text.sse")


def test_a_failed_response_is_an_end_and_an_error() -> None:
    """The stream is whole, so it may end cleanly; that the answer failed is known once it has ended."""
    decoder = StreamDecoder()
    decoder.feed(event("response.failed", response={"status": "failed", "error": {"code": "x"}}))
    assert (decoder.observed.terminal, decoder.observed.error) == (True, "")
    assert decoder.finish().error == "x"
    assert stream([event("response.failed", response={"status": "failed"})]).error == "error"


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"code": "a", "message": "m"}, "a"),
        ({"error": {"code": "b"}}, "b"),
        ({"error": {"type": "c", "code": None}}, "c"),
        ({"code": None}, "error"),
        ({}, "error"),
    ],
)
def test_error_events(members: dict[str, Any], code: str) -> None:
    """Flat as the API describes them, nested as it sends them."""
    assert stream([event("error", **members)]) == Observed(error=code)
    assert stream([b'data: {"error":{"code":"d"}}\n\n']).error == "d", "as other servers write it"


def test_what_is_not_kept_is_no_state() -> None:
    """An answer that the provider does not store cannot be continued; every id of one that it does can be."""
    assert body([b'{"object":"response","id":"resp_1","store":false}']).states == []
    assert body([b'{"object":"response.compaction","id":"resp_1"}']).states == []
    turning = [event("x", response={"object": "response", "id": f"resp_{n}"}) for n in (1, 2, 2)]
    assert stream(turning).states == ["resp_1", "resp_2"]


def test_two_decoders_share_nothing() -> None:
    """What one answer hands out never shows up in another."""
    one, two = StreamDecoder(), StreamDecoder()
    one.feed((GOLDEN / "stream-tools.sse").read_bytes())
    assert one.observed.tool_calls and one.observed.states
    assert not two.observed.tool_calls and not two.observed.states


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.booleans())
def test_no_input_raises(data: bytes, framed: bool) -> None:
    """A decoder observes: whatever a provider sends, it does not fail the answer."""
    stream([b"data: " + data.replace(b"\n", b"") + b"\n\n" if framed else data])
    body([data])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "status", "output", "usage", "error", "conversation", "incomplete_details", "store", "object")


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_odd_members_do_not_hide_the_others(members: dict[str, object]) -> None:
    """A member of an unexpected type is left out; the model is read all the same."""
    observed = body([json.dumps({**members, "model": "m"}).encode()])
    assert observed.model == "m"
    assert observed.terminal
    streamed = stream([event("response.completed", response={**members, "model": "m"})])
    assert (streamed.model, streamed.terminal) == ("m", True)


def test_half_characters_do_not_hide_the_rest() -> None:
    """A model that stops within a character leaves a lone surrogate escape; its answer is read all the same."""
    text = b'{"model":"m","status":"completed","output":[{"type":"function_call","call_id":"c","name":"\\ud83d"}]}'
    wanted = Observed(model="m", finish="completed", tool_calls=["c"], tool_names=["\ufffd"], terminal=True)
    assert body([text]) == wanted
    whole = stream([b'data: {"type":"response.completed","response":' + text + b"}\n\n"])
    assert whole == wanted


def test_deep_answers_do_not_raise() -> None:
    """An answer nested beyond what the decoder follows is passed over."""
    deep = b'{"model":"m","error":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert body([deep]).model in {"", "m"}
    stream([b"data: " + deep + b"\n\n"])
    stream([b'data: {"type":"response.completed","response":' + deep + b"}\n\n"])


def recordings() -> list[tuple[str, Operation, bool, bytes]]:
    """(name, operation, streaming, body bytes) of every recorded answer in this format."""
    found = []
    for path in sorted(RECORDED.glob("openai-responses/*.json")):
        for number, exchange in enumerate(json.loads(path.read_bytes())["exchanges"]):
            if exchange["dialect"] != "openai-responses":
                continue
            answer, url = exchange["response"], (exchange["request"] or {}).get("url", "")
            operation = Operation.COUNT_TOKENS if url.endswith("input_tokens") else Operation.RESPONSES
            operation = Operation.COMPACT if url.endswith("compact") else operation
            text = answer.get("text")
            data = text.encode() if text is not None else json.dumps(answer.get("json"), ensure_ascii=False).encode()
            found.append((f"{path.stem}-{number}", operation, exchange["streaming"], data))
    return found


def last_response(data: bytes) -> dict[str, Any]:
    """The response in the last event of a stream; empty when it has none."""
    for line in data.decode().splitlines():
        if line.startswith("data: {"):
            found = json.loads(line[6:])
            if found.get("type") in LAST:
                return dict(found["response"])
    return {}


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded exchanges here; set TRIVET_EXCHANGES")
def test_recorded_answers() -> None:
    """Every recorded answer decodes and assembles to the same whole, byte by byte and cut; a stream as its unstreamed form."""
    dice = random.Random(7)
    seen = 0
    for name, operation, streaming, data in recordings():
        whole = (stream if streaming else body)([data])
        pieces = singles(data) if len(data) < 5000 else cut(data, dice)
        assert (stream if streaming else body)(pieces) == whole, name
        replies = []
        for each in ([data], pieces, cut(data, dice)):
            made = assembler(operation, streaming)
            for piece in each:
                made.feed(piece)
            replies.append(made.finish())
        assert replies[0] == replies[1] == replies[2], name
        assert replies[0].observed == whole, name
        last = last_response(data) if streaming else {}
        if last.get("output") and whole.response_id == last["id"]:
            made = assembler(operation, stream=False)
            made.feed(json.dumps(last).encode())
            assert made.finish() == replies[0], name
        seen += 1
    assert seen > 150


def test_the_parts_of_a_response_are_its_members() -> None:
    """The long way reads the same members as the short one."""
    assert set(module._RESPONSE_PARTS) == set(module.Response.__struct_fields__)
