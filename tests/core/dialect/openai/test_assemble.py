"""Chat and text completions put together: streamed or not, cut anywhere, one answer is one Reply."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall
from gateway.core.dialect.openai.assemble import assembler
from gateway.core.dialect.routes import Operation

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "openai"
ANSWERS = sorted([*GOLDEN.glob("*.sse"), *GOLDEN.glob("*.reply")])


def put_together(pieces: list[bytes], stream: bool) -> Reply:
    """The Reply of an answer that comes in these pieces."""
    made = assembler(Operation.CHAT, stream)
    for piece in pieces:
        made.feed(piece)
    return made.finish()


def streamed(*deltas: dict[str, Any], index: int = 0, finish: str | None = "stop", **choice: Any) -> Message:
    """The message that these deltas of one choice make."""
    chunks = [{"model": "m", "choices": [{"index": index, "delta": delta, **choice}]} for delta in deltas]
    chunks.append({"model": "m", "choices": [{"index": index, "delta": {}, "finish_reason": finish}]})
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    (message,) = put_together([body], stream=True).messages
    return message


def whole(message: dict[str, Any], finish: str | None = "stop", **choice: Any) -> Message:
    """The message of a choice that comes whole."""
    made = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **choice}
    (found,) = put_together([json.dumps({"model": "m", "choices": [made]}).encode()], stream=False).messages
    return found


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 5000), max_size=6))
def test_cut_anywhere(path: Path, places: list[int]) -> None:
    """Where the pieces of an answer begin and end makes no difference."""
    data, stream = path.read_bytes(), path.suffix == ".sse"
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    assert put_together(pieces, stream) == put_together([data], stream)
    assert put_together([data[i : i + 1] for i in range(len(data))], stream) == put_together([data], stream)


def call(identifier: str, name: str, text: str, **more: Any) -> dict[str, Any]:
    """A tool call of a message."""
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": text}, **more}


def more_of(index: int, text: str) -> dict[str, Any]:
    """The next piece of a streamed call."""
    return {"tool_calls": [{"index": index, "function": {"arguments": text}}]}


PAIRS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], Message]] = {
    "text": (
        [{"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"}],
        {"content": "Hello", "refusal": None, "annotations": []},
        Message("Hello", finish="stop"),
    ),
    "refusal": (
        [{"refusal": "I "}, {"refusal": "won't."}],
        {"content": None, "refusal": "I won't."},
        Message(refusal="I won't.", finish="stop"),
    ),
    "reasoning": (
        [{"reasoning_content": "Is "}, {"reasoning_content": "it?"}, {"reasoning_content": None, "content": "No."}],
        {"content": "No.", "reasoning_content": "Is it?"},
        Message("No.", reasoning="Is it?", finish="stop"),
    ),
    "reasoning twice": (
        [{"reasoning": "a", "reasoning_content": "a"}, {"reasoning": "b", "reasoning_content": "b"}],
        {"reasoning": "ab", "reasoning_content": "ab"},
        Message(reasoning="ab", finish="stop"),
    ),
    "thinking parts": (
        [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Is "}]}]},
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "it?"}]}]},
            {"content": "N"},
            {"content": "o."},
        ],
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "Is it?"}]},
                {"type": "text", "text": "No."},
            ]
        },
        Message("No.", reasoning="Is it?", finish="stop"),
    ),
    "calls": (
        [
            {"tool_calls": [{"index": 0, **call("a", "look", "")}]},
            more_of(0, '{"x"'),
            {"tool_calls": [{"index": 1, **call("b", "now", "{")}]},
            more_of(0, ": 1}"),
            more_of(1, "}"),
        ],
        {"tool_calls": [call("a", "look", '{"x": 1}'), call("b", "now", "{}")]},
        Message(tool_calls=(ToolCall("look", '{"x": 1}', "a"), ToolCall("now", "{}", "b")), finish="stop"),
    ),
    "calls without index": (
        [{"tool_calls": [call("a", "look", "{}"), call("b", "now", "{")]}, {"tool_calls": [{"function": {"arguments": "}"}}]}],
        {"tool_calls": [call("a", "look", "{}"), call("b", "now", "{}")]},
        Message(tool_calls=(ToolCall("look", "{}", "a"), ToolCall("now", "{}", "b")), finish="stop"),
    ),
    "calls of one index": (
        [{"tool_calls": [call("a", "look", "{}", index=0)]}, {"tool_calls": [call("b", "now", "{}", index=0)]}],
        {"tool_calls": [call("a", "look", "{}"), call("b", "now", "{}")]},
        Message(tool_calls=(ToolCall("look", "{}", "a"), ToolCall("now", "{}", "b")), finish="stop"),
    ),
    "custom call": (
        [
            {"tool_calls": [{"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "l"}}]},
            {"tool_calls": [{"index": 0, "custom": {"input": "s"}}]},
        ],
        {"tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]},
        Message(tool_calls=(ToolCall("sh", "ls", "a"),), finish="stop"),
    ),
    "older call": (
        [{"function_call": {"name": "look", "arguments": ""}}, {"function_call": {"arguments": "{}"}}],
        {"content": None, "function_call": {"name": "look", "arguments": "{}"}},
        Message(tool_calls=(ToolCall("look", "{}"),), finish="stop"),
    ),
    "signed call": (
        [{"tool_calls": [{"index": 0, **call("a", "look", "{}"), "extra_content": {"google": {"s": "x"}}}]}],
        {"tool_calls": [call("a", "look", "{}", extra_content={"google": {"s": "x"}})]},
        Message(
            tool_calls=(ToolCall("look", "{}", "a"),),
            finish="stop",
            others=('{"tool_call":{"extra_content":{"google":{"s":"x"}}}}',),
        ),
    ),
    "unknown members": (
        [
            {"audio": {"id": "au", "data": "AA", "transcript": "Hi "}, "annotations": [{"n": 1}]},
            {"audio": {"id": "au", "data": "BB", "transcript": "you"}, "annotations": [{"n": 2}]},
            {"reasoning_details": [{"type": "reasoning.text", "format": "f", "index": 0, "text": "a"}]},
            {"reasoning_details": [{"type": "reasoning.text", "format": "f", "index": 0, "text": "b"}]},
        ],
        {
            "audio": {"id": "au", "data": "AABB", "transcript": "Hi you"},
            "annotations": [{"n": 1}, {"n": 2}],
            "reasoning_details": [{"type": "reasoning.text", "format": "f", "index": 0, "text": "ab"}],
        },
        Message(
            finish="stop",
            others=(
                '{"annotations":[{"n":1},{"n":2}]}',
                '{"audio":{"data":"AABB","id":"au","transcript":"Hi you"}}',
                '{"reasoning_details":[{"format":"f","index":0,"text":"ab","type":"reasoning.text"}]}',
            ),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_both_forms_are_one(name: str) -> None:
    """Deltas and the message that they make give the same words, and nothing that was said is lost."""
    deltas, message, wanted = PAIRS[name]
    assert streamed(*deltas) == whole(message) == wanted


def test_members_of_a_choice() -> None:
    """Log probabilities follow each other; what is said again, as of a filter, stands once."""
    filters = {"hate": {"severity": "safe"}}
    one = streamed({"content": "a"}, {"content": "b"}, logprobs={"content": [1]}, content_filter_results=filters)
    both = whole({"content": "ab"}, logprobs={"content": [1, 1]}, content_filter_results=filters)
    assert one == both
    assert one.others == ('{"content_filter_results":{"hate":{"severity":"safe"}}}', '{"logprobs":{"content":[1,1]}}')


def test_choices_by_index() -> None:
    """Several choices come mixed; each is a message, in order."""
    chunks = [
        {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}
        for index, text, finish in ((1, "b", None), (0, "a", "length"), (1, "b", "stop"))
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    assert put_together([body], stream=True) == Reply(
        Observed(finish="stop"), (Message("a", finish="length"), Message("bb", finish="stop"))
    )


def test_what_stands_beside_the_choices_is_kept() -> None:
    """The citations of a search are part of the answer, once, however often a stream repeats them; how it was made is not."""
    beside = {"citations": ["https://a.example"], "search_results": [], "x_groq": {"id": "1"}, "provider": "P"}
    said = [{"index": 0, "message": {"content": "Yes."}, "delta": {"content": "Yes."}, "finish_reason": "stop"}]
    chunk = json.dumps({"model": "m", "choices": said, **beside}).encode()
    last = json.dumps({"model": "m", "choices": [], "usage": {}, **beside}).encode()
    kept = ('{"citations":["https://a.example"]}',)
    assert put_together([chunk], stream=False).others == kept
    assert put_together([b"data: %b\n\ndata: %b\n\ndata: [DONE]\n\n" % (chunk, last)], stream=True).others == kept


def test_text_completions() -> None:
    """The older completions have their text in the choice."""
    event = b'data: {"choices":[{"index":0,"text":"On","finish_reason":%b}]}\n\n'
    (message,) = put_together([event % b"null", event % b'"stop"', b"data: [DONE]\n\n"], stream=True).messages
    body = b'{"choices":[{"index":0,"text":"OnOn","finish_reason":"stop","logprobs":null}]}'
    assert put_together([body], stream=False).messages == (message,) == (Message("OnOn", finish="stop"),)


def test_embeddings_are_results_of_their_own() -> None:
    """No message: each embedding stands among the others, as does anything else that is no choice."""
    body = b'{"object":"list","data":[{"index":0,"embedding":[0.5, 1]},{"index":1,"embedding":"AACA"}],"model":"m"}'
    got = put_together([body], stream=False)
    assert got == Reply(
        Observed(model="m", terminal=True),
        (),
        ('{"embedding":[0.5,1],"index":0}', '{"embedding":"AACA","index":1}'),
    )
    assert put_together([b'{"a": 1}'], stream=False).others == ('{"a":1}',)


def test_an_error_is_no_answer() -> None:
    """What failed has no message and no result."""
    got = put_together([b'{"error":{"code":"c","message":"m"}}'], stream=False)
    assert got == Reply(Observed(terminal=True, error="c"))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.booleans())
def test_no_input_raises(data: bytes, stream: bool) -> None:
    """Whatever a provider sends makes some Reply."""
    put_together([data], stream)
    put_together([b"data: " + data.replace(b"\n", b"") + b"\n\n"], stream)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["index", "id", "type", "text", "function", "thinking"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = ("content", "tool_calls", "function_call", "refusal", "reasoning", "reasoning_content", "role", "audio")


@settings(max_examples=150, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(NAMES), values), max_size=4))
def test_odd_members_do_not_raise(deltas: list[dict[str, Any]]) -> None:
    """Members of any type are put together as far as they can be."""
    streamed(*deltas)
    for delta in deltas:
        whole(delta)
