"""OpenAI answers observed: the same however they are cut, and never an exception for what a provider sends."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.dialect.openai.reply import BodyDecoder, StreamDecoder, code_of
from gateway.core.dialect.sse import Splitter

ROOT = Path(__file__).resolve().parents[4]
GOLDEN = ROOT / "tests" / "golden" / "openai"
STREAMS = sorted(GOLDEN.glob("*.sse"))
BODIES = sorted(GOLDEN.glob("*.reply"))
RECORDED = Path(os.environ.get("TRIVET_EXCHANGES", ROOT.parent / "shared" / "exchanges"))
"""Folder of recorded provider answers, where there is one; they are not part of this project."""


def wanted(path: Path) -> Observed:
    """What the golden file beside this one says."""
    return msgspec.json.decode(path.with_suffix(".observed.json").read_bytes(), type=Observed)


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
    """Trailing data changes nothing that was observed."""
    data = (GOLDEN / "stream-text.sse").read_bytes()
    after = b'data: {"id":"other","model":"other","error":{"code":"late"},"choices":[{"finish_reason":"x"}]}\n\n'
    assert stream([data + after]) == stream([data, after]) == wanted(GOLDEN / "stream-text.sse")


def test_a_terminal_event_without_its_blank_line_is_seen() -> None:
    """At a clean end the rest may be fed as it is (faults row E7)."""
    decoder = StreamDecoder()
    decoder.feed(b"data: [DONE]")
    assert decoder.observed.terminal
    decoder = StreamDecoder()
    decoder.feed(b"data: [DON")
    assert not decoder.observed.terminal


def test_a_body_over_the_cap_is_passed_over() -> None:
    """A long body costs no memory; that it ended is all that is known."""
    decoder = BodyDecoder(cap=10)
    decoder.feed(b'{"model":')
    decoder.feed(b'"m"}')
    decoder.feed(b"x")
    assert decoder.finish() == Observed(terminal=True)


def test_two_decoders_share_nothing() -> None:
    """What one answer hands out never shows up in another."""
    one, two = StreamDecoder(), StreamDecoder()
    one.feed((GOLDEN / "stream-tools.sse").read_bytes())
    assert one.observed.tool_calls and not two.observed.tool_calls


def test_later_usage_replaces_earlier() -> None:
    """Some providers count along in every chunk: the last count stands, as does the last finish reason."""
    data = b'data: {"usage":{"prompt_tokens":5,"completion_tokens":1}}\n\ndata: {"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    assert stream([data]).usage == Usage(5, 2)


def test_parts_of_the_input_are_told_apart() -> None:
    """What came from the cache and what went into it have prices of their own."""
    details = b'"prompt_tokens_details":{"cached_tokens":3,"cache_write_tokens":2}'
    data = b'data: {"usage":{"prompt_tokens":9,"completion_tokens":1,%b}}\n\n' % details
    assert stream([data]).usage == Usage(9, 1, 3, written=2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"code": "a", "type": "b"}, "a"),
        ({"code": None, "type": "b"}, "b"),
        ({"code": 429}, "429"),
        ({"code": 5, "status": "X"}, "5"),
        ({"code": True, "status": "X"}, "X"),
        ({"message": "secret"}, "error"),
        ("text", "error"),
        ({"code": "x" * 500}, "x" * 64),
    ],
)
def test_the_word_for_an_error(error: object, code: str) -> None:
    """The code, else the type, else one word; never the message, which may quote the prompt."""
    assert code_of(error) == code


@settings(max_examples=200, deadline=None)
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
NAMES = ("id", "model", "system_fingerprint", "choices", "usage", "x_groq", "error")


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_odd_members_do_not_hide_the_others(members: dict[str, object]) -> None:
    """A member of an unexpected type is left out; the model is read all the same."""
    observed = body([json.dumps({**members, "model": "m"}).encode()])
    assert observed.model == "m"
    assert observed.terminal


def test_half_characters_do_not_hide_the_rest() -> None:
    """A model that stops within a character leaves a lone surrogate escape; its answer is read all the same."""
    text = b'{"model":"m","choices":[{"message":{"content":"\\ud83d","tool_calls":[{"id":"call_1"}]}}]}'
    assert body([text]) == Observed(model="m", tool_calls=["call_1"], terminal=True)
    assert stream([b"data:  " + text + b"\n\n"]).tool_calls == ["call_1"]


@pytest.mark.parametrize("value", ["null", "false", '""', "{}"])
def test_an_empty_error_is_none(value: str) -> None:
    """The official client raises only on an error that says something, and so it is observed."""
    assert body([b'{"error":%b}' % value.encode()]).error == ""


def test_an_error_that_cannot_be_read_is_one() -> None:
    """Whatever stands in `error`, the answer is not taken for a good one."""
    assert body([b'{"model":"m","error":{"code":' + b"9" * 5000 + b"}}"]) == Observed(
        model="m", error="error", terminal=True
    )


def test_deep_answers_do_not_raise() -> None:
    """An answer nested beyond what the decoder follows is passed over; how deep that is differs between interpreters."""
    deep = b'{"model":"m","error":' + b"[" * 5000 + b"]" * 5000 + b"}"
    assert body([deep]).model in {"", "m"}
    stream([b"data: " + deep + b"\n\n"])


def plainly(data: bytes) -> tuple[str, str, str, list[str]]:
    """Model, id, finish reason and tool-call ids of a stream of one-line events, read in the simplest way."""
    chunks = [json.loads(line[5:]) for line in data.decode().splitlines() if line.startswith("data: {")]
    choices = [choice for chunk in chunks for choice in chunk.get("choices") or ()]
    calls = [call for choice in choices for call in (choice.get("delta") or {}).get("tool_calls") or ()]
    model = next((chunk["model"] for chunk in chunks if chunk.get("model")), "")
    response_id = next((chunk["id"] for chunk in chunks if chunk.get("id")), "")
    finish = next(
        (choice["finish_reason"] for choice in reversed(choices) if choice.get("finish_reason") is not None), ""
    )
    return model, response_id, finish, list(dict.fromkeys(call["id"] for call in calls if call.get("id")))


def recordings() -> list[tuple[str, bool, bytes]]:
    """(name, streaming, body bytes) of every recorded answer in OpenAI's chat or embeddings format."""
    found = []
    for path in sorted(RECORDED.glob("openai-chat/*.json")) + sorted(RECORDED.glob("openai-embeddings/*.json")):
        for number, exchange in enumerate(json.loads(path.read_bytes())["exchanges"]):
            answer = exchange["response"]
            if exchange["dialect"] not in ("openai-chat", "openai-embeddings"):
                continue
            text = answer.get("text")
            data = text.encode() if text is not None else json.dumps(answer.get("json"), ensure_ascii=False).encode()
            found.append((f"{path.stem}-{number}", exchange["streaming"], data))
    return found


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded exchanges here; set TRIVET_EXCHANGES")
def test_recorded_streams() -> None:
    """Every recorded stream decodes to the same whole, byte by byte and cut at random; what it says is all there."""
    dice = random.Random(7)
    seen = 0
    for name, streaming, data in recordings():
        if not streaming:
            continue
        seen += 1
        whole = stream([data])
        for pieces in (singles(data), *(cut(data, dice) for _ in range(5))):
            assert stream(pieces) == whole, name
        crlf = data.replace(b"\n", b"\r\n")
        assert stream([crlf]) == stream(singles(crlf)) == whole, name
        assert whole.terminal or whole.error, name
        assert (whole.model, whole.response_id, whole.finish, whole.tool_calls) == plainly(data), name
    assert seen > 40


@pytest.mark.skipif(not RECORDED.is_dir(), reason="no recorded exchanges here; set TRIVET_EXCHANGES")
def test_recorded_bodies() -> None:
    """Every recorded body decodes to the same whole and byte by byte, and names its model or its error."""
    seen = 0
    for name, streaming, data in recordings():
        if streaming or not data.startswith(b"{"):
            continue
        seen += 1
        whole = body([data])
        assert whole == body(singles(data)), name
        members = json.loads(data)
        assert whole.terminal, name
        assert whole.model == (members.get("model") or ""), name
        assert bool(whole.error) == bool(members.get("error")), name
        if isinstance(members.get("usage"), dict):
            assert whole.usage is not None, name
            assert whole.usage.input == (members["usage"].get("prompt_tokens") or 0), name
    assert seen > 150


def test_a_refusal_and_the_tools_called_are_the_same_streamed_or_not() -> None:
    """A `refusal` with words in it is one, whole or in pieces, however the stream is cut; null and empty are none."""
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "pay", "arguments": ""}}
    custom = {"index": 1, "id": "call_2", "type": "custom", "custom": {"name": "sql", "input": "x"}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    for said, refused in (("I cannot", True), ("", False), (None, False)):
        message = {"role": "assistant", "content": None, "refusal": said, "tool_calls": [call, custom]}
        body = json.dumps({"model": "m", "choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        whole = BodyDecoder()
        whole.feed(body)
        deltas = [{"role": "assistant", "content": "", "refusal": None}, {"content": "Hm"}, {"refusal": said}]
        deltas += [{"tool_calls": [call]}, {"tool_calls": [more]}, {"tool_calls": [custom]}]
        chunks = [{"model": "m", "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        for separators in ((",", ":"), (", ", ": ")):
            streamed = StreamDecoder()
            for chunk in chunks:
                streamed.feed(b"data: " + json.dumps(chunk, separators=separators).encode() + b"\n\n")
            found = (streamed.finish().refused, streamed.observed.tool_names, streamed.observed.tool_calls)
            assert found == (refused, ["pay", "sql"], ["call_1", "call_2"])
        assert (whole.finish().refused, whole.observed.tool_names) == (refused, ["pay", "sql"])
