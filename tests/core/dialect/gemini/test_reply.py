"""What is observed of Gemini answers, in each of their three forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.dialect.gemini.reply import ArrayDecoder, BodyDecoder, StreamDecoder, code_of, note

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "gemini"
STREAMS = sorted(GOLDEN.glob("*.sse"))


def chunk(*candidates: dict[str, Any], **members: Any) -> bytes:
    """One chunk of a stream."""
    return json.dumps({"candidates": list(candidates), **members}).encode()


def streamed(*chunks: bytes) -> Observed:
    """What a stream of events shows; the array of the same chunks shows the same."""
    events, array = StreamDecoder(), ArrayDecoder()
    for each in chunks:
        events.feed(b"data: " + each + b"\r\n\r\n")
    array.feed(b"[" + b",\r\n".join(chunks) + b"\n]")
    assert array.finish() == events.finish()
    return events.observed


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_golden_streams(path: Path) -> None:
    """Each stream shows what its file says."""
    wanted = json.loads(path.with_suffix(".observed.json").read_text(encoding="utf-8"))
    decoder = StreamDecoder()
    decoder.feed(path.read_bytes())
    assert msgspec.to_builtins(decoder.finish()) == wanted


def test_every_candidate_that_was_begun_must_end() -> None:
    """Gemini has no terminal event: one candidate's end is not the others', and more of a finished one changes nothing."""
    done = {"finishReason": "STOP"}
    assert not streamed(chunk({"index": 0}), chunk({"index": 1, **done})).terminal
    assert streamed(chunk({}, {"index": 1}), chunk({"index": 1, **done}), chunk(done)).terminal
    assert streamed(chunk(done), chunk({"groundingMetadata": {}}), chunk(usageMetadata={})).terminal
    assert not streamed(b'{"usageMetadata":{}}').terminal
    assert not streamed().terminal


def test_a_blocked_prompt_is_a_whole_answer() -> None:
    """It has no candidate; why it was blocked stands where its finish reason would."""
    observed = streamed(b'{"promptFeedback":{"blockReason":"SAFETY"},"modelVersion":"m-1","responseId":"r"}')
    assert (observed.terminal, observed.finish, observed.model, observed.response_id) == (True, "SAFETY", "m-1", "r")
    assert not streamed(b'{"promptFeedback":{"safetyRatings":[]}}').terminal


def test_call_ids_are_kept_once_in_order() -> None:
    """Calls without an id hand out nothing to link by."""
    calls = [{"functionCall": {"id": x} if x else {"name": "f"}} for x in ("b1", None, "a1", "b1")]
    observed = streamed(chunk({"content": {"parts": calls}}), chunk({"content": {"parts": calls[:1]}}))
    assert observed.tool_calls == ["b1", "a1"]


def test_usage_has_thoughts_in_its_output_and_tool_use_in_its_input() -> None:
    """In the contract's words parts are inside wholes; Google counts them beside each other."""
    usage = {"promptTokenCount": 9, "toolUsePromptTokenCount": 4, "candidatesTokenCount": 5, "thoughtsTokenCount": 7,
             "cachedContentTokenCount": 3, "totalTokenCount": 25}  # fmt: skip
    assert streamed(chunk(usageMetadata=usage)).usage == Usage(13, 12, 3, 7)
    assert streamed(chunk(usageMetadata={}), chunk()).usage == Usage()
    assert streamed(chunk()).usage is None


def test_an_error_in_a_chunk_is_seen() -> None:
    """Its status is the word for it, never its message."""
    error = b'{"error":{"code":503,"message":"secret","status":"UNAVAILABLE"}}'
    assert streamed(chunk({}), error).error == "UNAVAILABLE"
    assert code_of({"code": 503}) == "503"
    assert code_of({"message": "x"}) == code_of("x") == code_of({"status": True}) == "error"


def test_odd_members_hide_no_others() -> None:
    """A member of another type is left out; half a character, as models write it, is no reason to miss the rest."""
    observed = Observed()
    odd = b'{"candidates":[{"finishReason":5}],"modelVersion":"m","x":"\\ud800","usageMetadata":[],"error":1}'
    assert note(observed, odd, {})
    assert (observed.model, observed.usage, observed.error, observed.terminal) == ("m", None, "error", False)
    assert not note(observed, b"[]", {}) and not note(observed, b"<html>", {})


@pytest.mark.parametrize(
    ("array", "withheld", "whole"),
    [
        (b'[{"candidates":[{"finishReason":"STOP"}]}]', -1, True),
        (b'[{"candidates":[{"content":{}}]}\n]', 33, False),
        (b"[]", 1, False),
        (b'[{"candidates":[{"finishReason":"STOP"}]}', -1, False),
        (b'[{"candidates":[{"finishReason":"STOP"}]}] x', -1, False),
        (b'[{"error":{"code":500}}]', -1, False),
    ],
)
def test_an_array_is_whole_when_it_is_closed_and_its_answer_ended(array: bytes, withheld: int, whole: bool) -> None:
    """Where it is closed too early is told, so that the bracket need not pass for an end."""
    decoder = ArrayDecoder()
    decoder.feed(array)
    assert decoder.withheld == withheld
    assert decoder.finish().terminal is whole


def test_what_is_too_long_to_read_is_not_kept() -> None:
    """Only its end is known then, and counts."""
    array, body = ArrayDecoder(cap=20), BodyDecoder(cap=20)
    array.feed(b'[{"a":"' + b"x" * 50 + b'"}]')
    assert (array.withheld, array.finish().terminal) == (-1, True)
    body.feed(b'{"a":"' + b"x" * 50)
    assert body.finish().terminal


def test_a_whole_body() -> None:
    """One JSON object is the whole answer, whatever is in it; anything else is none."""
    for data, whole in ((b'{"embedding":{}}', True), (b'{"candidates":[{}]}', True), (b"[]", False), (b'{"a":', False)):
        decoder = BodyDecoder()
        for start in range(0, len(data), 4):
            decoder.feed(data[start : start + 4])
        assert decoder.finish().terminal is whole
    assert not BodyDecoder().finish().terminal
