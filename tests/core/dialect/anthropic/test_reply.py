"""Anthropic answers observed: the same however they are cut, and never an exception for what a provider sends."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.reply import Reply
from gateway.core.dialect.anthropic.reply import BodyDecoder, StreamDecoder, Tokens, count
from gateway.core.dialect.sse import Splitter

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "anthropic"
STREAMS = sorted(GOLDEN.glob("*.sse"))
BODIES = sorted(GOLDEN.glob("*.reply"))


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
    decoder = BodyDecoder()
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


def test_nothing_after_the_terminal_event_counts() -> None:
    """Trailing events change nothing that was observed."""
    data = (GOLDEN / "stream-text.sse").read_bytes()
    after = event("error", error={"type": "late"}) + event("message_delta", delta={"stop_reason": "late"})
    assert stream([data + after]) == stream([data, after]) == wanted(GOLDEN / "stream-text.sse")


def test_a_terminal_event_without_its_blank_line_is_seen() -> None:
    """At a clean end the rest may be fed as it is (faults row E7)."""
    decoder = StreamDecoder()
    decoder.feed(b'event: message_stop\ndata: {"type":"message_stop"}')
    assert decoder.observed.terminal
    decoder = StreamDecoder()
    decoder.feed(b'event: message_stop\ndata: {"type":"message_st')
    assert not decoder.observed.terminal


def test_more_text_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deltas cost no parsing once the model is known, even when the text talks of errors; words that matter do."""
    decoder = StreamDecoder()
    decoder.feed(event("message_start", message={"model": "m"}))
    read: list[bytes] = []
    monkeypatch.setattr(StreamDecoder, "_note", lambda _self, text: read.append(text))
    for text in ("Hello", 'the "error" is: an error\n', "{error}"):
        decoder.feed(event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}))
    decoder.feed(event("content_block_stop", index=0) + event("ping"))
    assert read == []
    decoder.feed(event("content_block_delta", index=0, delta={"type": "text_delta", "text": "a message_stop"}))
    assert len(read) == 1


words = st.lists(st.sampled_from(["a", " error", '"error"', "event: error\n", "message_stop", "_start", "\n\n", "é"]))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["text_delta", "input_json_delta"]), words), max_size=5), st.booleans())
def test_the_short_way_sees_what_the_long_way_sees(deltas: list[tuple[str, list[str]]], ends: bool) -> None:
    """Whatever an answer talks of, event by event and as one piece it is observed as the same."""
    events = [event("message_start", message={"model": "m", "usage": {"input_tokens": 1}})]
    for kind, text in deltas:
        name = "text" if kind == "text_delta" else "partial_json"
        events.append(event("content_block_delta", index=0, delta={"type": kind, name: "".join(text)}))
    events += [event("message_delta", delta={"stop_reason": "end_turn"}), event("message_stop")] if ends else []
    got = stream(events)
    assert got == stream([b"".join(events)])
    assert (got.error, got.terminal) == ("", ends)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"m"}}\n\n', "overloaded_error"),
        (b'event: error\r\ndata: {"type":"error"}\r\n\r\n', "error"),
        (b'event:error\ndata: {"message":"m"}\n\n', "error"),
        (b"event: error\ndata: not json\n\n", "error"),
        (b'data: {"error":{"type":"x"}}\n\n', "x"),
        (b'event: ping\ndata: {"type":"ping","error":null}\n\n', ""),
    ],
)  # fmt: skip
def test_what_counts_as_an_error(data: bytes, code: str) -> None:
    """The client raises by the event's name, whatever stands in its data; what only looks like one is one as well."""
    started = event("message_start", message={"model": "m"})
    assert stream([started, data]).error == stream([started + data]).error == code


def test_tokens_are_counted_once() -> None:
    """Counts at the end replace those at the start, and what is not counted again stands."""
    first = event("message_start", message={"model": "m", "usage": {"input_tokens": 5, "cache_read_input_tokens": 7}})
    assert stream([first]).usage == Usage(12, 0, 7)
    last = event("message_delta", delta={}, usage={"input_tokens": 6, "output_tokens": 9})
    assert stream([first, last, last]).usage == Usage(13, 9, 7)
    assert stream([first, event("message_delta", delta={"stop_reason": "end_turn"})]).usage == Usage(12, 0, 7)
    assert count(Tokens()) == Usage()
    parts = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    kept = event("message_delta", delta={}, usage={"cache_creation_input_tokens": 3, "cache_creation": parts})
    assert stream([first, kept]).usage == Usage(15, 0, 7, written=3, written_hour=2)
    odd = event("message_delta", delta={}, usage={"cache_creation_input_tokens": 3, "cache_creation": "none"})
    assert stream([first, odd]).usage == Usage(15, 0, 7, written=3)


def test_a_count_of_tokens_is_no_usage() -> None:
    """Counting costs nothing and generates nothing."""
    assert body([b'{"input_tokens":2095}']) == Observed(terminal=True)


def test_a_body_over_the_cap_is_passed_over() -> None:
    """A long body costs no memory; that it ended is all that is known."""
    decoder = BodyDecoder(cap=10)
    for piece in (b'{"model":', b'"m"}', b"x"):
        decoder.feed(piece)
    assert decoder.finish() == Observed(terminal=True)


def test_two_decoders_share_nothing() -> None:
    """What one answer hands out never shows up in another."""
    one, two = StreamDecoder(), StreamDecoder()
    one.feed((GOLDEN / "stream-tools.sse").read_bytes())
    assert one.observed.tool_calls
    assert not two.observed.tool_calls


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("id", "type", "content", "usage", "stop_reason", "error", "delta", "content_block", "index", "role")


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_odd_members_do_not_hide_the_others(members: dict[str, object]) -> None:
    """A member of an unexpected type is left out; the model is read all the same."""
    observed = body([json.dumps({**members, "model": "m"}).encode()])
    assert (observed.model, observed.terminal) == ("m", True)
    assert stream([event("message_start", message={**members, "model": "m"})]).model == "m"


def test_half_characters_do_not_hide_the_rest() -> None:
    """A model that stops within a character leaves a lone surrogate escape; its answer is read all the same."""
    block = b'{"type":"tool_use","id":"toolu_1","input":{"a":"\\ud83d"}}'
    assert body([b'{"model":"m","content":[%b]}' % block]).tool_calls == ["toolu_1"]
    assert stream([b'data:  {"type":"content_block_start","content_block":%b}\n\n' % block]).tool_calls == ["toolu_1"]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.booleans())
def test_no_input_raises(data: bytes, framed: bool) -> None:
    """A decoder observes: whatever a provider sends, it does not fail the answer."""
    stream([b"data: " + data.replace(b"\n", b"") + b"\n\n" if framed else data])
    body([data])


def test_deep_answers_do_not_raise() -> None:
    """An answer nested beyond what the decoder follows is passed over."""
    deep = b'{"model":"m","type":"message_start","message":' + b"[" * 5000 + b"]" * 5000 + b"}"
    body([deep])
    stream([b"data: " + deep + b"\n\n"])
