"""One reply from each of an answer's three forms, however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.dialect.gemini.assemble import Assembler

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "gemini"
STREAMS = sorted(GOLDEN.glob("*.sse"))


def reply(data: bytes, cuts: tuple[int, ...] = (), *, streamed: bool = True) -> Reply:
    """What is assembled of a body, cut at these places."""
    assembler = Assembler(streamed)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        assembler.feed(data[start:end])
    return assembler.finish()


def chunks(data: bytes) -> list[Any]:
    """The chunks of a stream that are whole."""
    lines = [line[6:] for line in data.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line.endswith(b"}")]


def array(found: list[Any], indent: int | None = 2) -> bytes:
    """The same chunks as Google writes them without `alt=sse`."""
    return b"[" + b"\n,\r\n".join(json.dumps(each, indent=indent).encode() for each in found) + b"\n]\n"


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_events_and_array_are_the_same_reply(path: Path) -> None:
    """The form is not part of the answer; what was cut is cut in both."""
    data = path.read_bytes()
    found = array(chunks(data))
    whole = reply(data)
    assert reply(found if whole.observed.terminal else found.rstrip()[:-1]) == whole


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(STREAMS), st.booleans(), st.lists(st.integers(0, 3000), max_size=20))
def test_however_it_is_cut(path: Path, as_array: bool, cuts: list[int]) -> None:
    """The places where pieces begin are not part of the answer."""
    data = path.read_bytes()
    data = array(chunks(data)) if as_array else data
    assert reply(data, tuple(cuts)) == reply(data)


def said(*parts: dict[str, Any], **members: Any) -> dict[str, Any]:
    """A candidate that says something."""
    return {"content": {"role": "model", "parts": list(parts)}, **members}


WHOLE = {
    "candidates": [
        said(
            {"text": "Let me see.", "thought": True},
            {"text": "It is ü.", "thoughtSignature": "c2ln"},
            {"functionCall": {"id": "c-1", "name": "look", "args": {"b": 1.0, "a": [" "]}}, "thoughtSignature": "dA=="},
            {"functionCall": {"name": "bare"}},
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
            finishReason="STOP",
            index=0,
            safetyRatings=[],
            groundingMetadata={"webSearchQueries": ["x"]},
        ),
        said({"text": "Other"}, index=1, finishReason="MAX_TOKENS"),
    ],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4},
    "modelVersion": "gemini-x-1",
    "responseId": "r-1",
    "createTime": "2026-01-01T00:00:00Z",
}
PIECES: list[Any] = [
    {"candidates": [said({"text": "Let me ", "thought": True}, index=0)], "modelVersion": "gemini-x-1"},
    {"candidates": [said({"text": "see.", "thought": True}, {"text": "It "})], "responseId": "r-1"},
    {"candidates": [said({"text": "Oth"}, index=1)]},
    {"candidates": [said({"text": "is ü."}, {"text": "", "thoughtSignature": "c2ln"})]},
    {"candidates": [WHOLE["candidates"][0] | said(*WHOLE["candidates"][0]["content"]["parts"][2:5], finishReason="")]},  # type: ignore[index]
    {"candidates": [WHOLE["candidates"][0] | said(*WHOLE["candidates"][0]["content"]["parts"][5:])]},  # type: ignore[index]
    {"candidates": [said({"text": "er"}, index=1, finishReason="MAX_TOKENS")], "usageMetadata": WHOLE["usageMetadata"]},
]
MESSAGE = Message(
    text="It is ü.",
    reasoning="Let me see.",
    tool_calls=(ToolCall("look", '{"b":1.0,"a":[" "]}', "c-1"), ToolCall("bare", "{}")),
    finish="STOP",
    others=(
        '{"thoughtSignature":"c2ln"}',
        '{"thoughtSignature":"dA=="}',
        '{"executableCode":{"code":"1","language":"PYTHON"}}',
        '{"inlineData":{"data":"AA==","mimeType":"image/png"}}',
        '{"groundingMetadata":{"webSearchQueries":["x"]}}',
    ),
)


def test_streamed_and_unstreamed_are_the_same_reply() -> None:
    """Texts are joined, thoughts are reasoning, arguments lose only their white space, whatever else is kept once."""
    whole = reply(json.dumps(WHOLE, indent=3).encode(), streamed=False)
    assert whole.messages == (MESSAGE, Message(text="Other", finish="MAX_TOKENS"))
    assert whole.others == ()
    assert reply(array(PIECES)).messages == whole.messages
    events = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in PIECES)
    assert reply(events) == reply(array(PIECES))
    assert reply(json.dumps(WHOLE).encode()) == whole
    for streamed in (reply(events), whole):
        assert (streamed.observed.model, streamed.observed.response_id) == ("gemini-x-1", "r-1")
        assert streamed.observed.terminal


def test_what_is_no_message_stands_beside() -> None:
    """Embeddings, token counts, a blocked prompt, an error."""
    assert reply(b'{"embedding":{"values":[0.5, 1]}}', streamed=False).others == ('{"embedding":{"values":[0.5,1]}}',)
    assert reply(b'{"totalTokens": 31}', streamed=False).others == ('{"totalTokens":31}',)
    blocked = reply(b'[{"promptFeedback":{"blockReason":"SAFETY"}}]')
    assert (blocked.messages, blocked.others) == ((), ('{"promptFeedback":{"blockReason":"SAFETY"}}',))
    assert reply(b'data: {"error":{"code":500}}\n\n').others == ('{"error":{"code":500}}',)


def test_streamed_arguments_are_kept_as_sent() -> None:
    """A call that comes in pieces has no arguments yet that could be compared."""
    part = {"functionCall": {"name": "look", "willContinue": True}}
    message = reply(array([{"candidates": [said(part)]}])).messages[0]
    assert (message.tool_calls, message.others) == ((), ('{"functionCall":{"name":"look","willContinue":true}}',))


@pytest.mark.parametrize(
    "data", [b"", b" ", b"<html>", b"[", b"[5]", b'{"candidates":5}', b'{"candidates":[5,{"content":1}]}']
)
def test_nothing_raises(data: bytes) -> None:
    """Whatever a provider sends is read as far as it can be."""
    for streamed in (True, False):
        assert all(message == Message() for message in reply(data, streamed=streamed).messages)
