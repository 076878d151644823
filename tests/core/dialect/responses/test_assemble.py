"""Responses put together: streamed or not, cut anywhere, one answer is one Reply."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.reply import Reply
from gateway.core.dialect.responses.assemble import assembler
from gateway.core.dialect.responses.reply import LAST
from gateway.core.dialect.routes import Operation

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "responses"
ANSWERS = sorted([*GOLDEN.glob("*.sse"), *GOLDEN.glob("*.reply")])
BOTH = sorted(path for path in GOLDEN.glob("*.reply") if (GOLDEN / f"stream-{path.stem[5:]}.sse").exists())
OPERATIONS = {"body-compact": Operation.COMPACT, "body-count": Operation.COUNT_TOKENS}


def put_together(path: Path, pieces: list[bytes]) -> Reply:
    """The Reply of an answer that comes in these pieces."""
    made = assembler(OPERATIONS.get(path.stem, Operation.RESPONSES), path.suffix == ".sse")
    for piece in pieces:
        made.feed(piece)
    return made.finish()


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_golden_answers(path: Path) -> None:
    """Each answer says what its file says, whole and byte by byte."""
    data = path.read_bytes()
    wanted = msgspec.json.decode(path.with_suffix(".answer.json").read_bytes(), type=Reply)
    assert put_together(path, [data]) == wanted
    assert put_together(path, [data[i : i + 1] for i in range(len(data))]) == wanted


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 9000), max_size=6))
def test_cut_anywhere(path: Path, places: list[int]) -> None:
    """Where the pieces of an answer begin and end makes no difference."""
    data = path.read_bytes()
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    assert put_together(path, [data[a:b] for a, b in itertools.pairwise(cuts)]) == put_together(path, [data])


@pytest.mark.parametrize("path", BOTH, ids=lambda path: path.stem[5:])
def test_both_forms_are_one(path: Path) -> None:
    """A streamed answer and the same answer unstreamed make equal replies, whatever white space either has."""
    streamed = GOLDEN / f"stream-{path.stem[5:]}.sse"
    reply = put_together(streamed, [streamed.read_bytes()])
    assert reply == put_together(path, [path.read_bytes()])
    assert reply == put_together(path, [json.dumps(json.loads(path.read_bytes()), indent=2).encode()])


@pytest.mark.parametrize("path", BOTH, ids=lambda path: path.stem[5:])
@pytest.mark.parametrize("without", ["done", "done and added"])
def test_items_are_put_together_without_the_last_event(path: Path, without: str) -> None:
    """Deltas alone, and items alone, make the text and calls that the last event would have had."""
    kept: list[bytes] = []
    for event in (GOLDEN / f"stream-{path.stem[5:]}.sse").read_bytes().split(b"\n\n"):
        kind: Any = json.loads(event.partition(b"data: ")[2])["type"] if event else ""
        skipped = {"response.output_item.done"} if without == "done" else {"response.output_item.added"}
        if kind not in LAST | skipped:
            kept.append(event)
    got, whole = put_together(Path("x.sse"), [b"\n\n".join(kept)]), put_together(path, [path.read_bytes()])
    assert not got.observed.terminal
    for mine, theirs in zip(got.messages, whole.messages, strict=True):
        assert (mine.text, mine.refusal, mine.tool_calls) == (theirs.text, theirs.refusal, theirs.tool_calls)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.booleans())
def test_no_input_raises(data: bytes, stream: bool) -> None:
    """Whatever a provider sends makes some Reply."""
    for pieces in ([data], [b"data: " + data.replace(b"\n", b"") + b"\n\n"]):
        made = assembler(Operation.RESPONSES, stream)
        for piece in pieces:
            made.feed(piece)
        made.finish()


values = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.just({})
KINDS = ("response.output_text.delta", "response.function_call_arguments.delta", "response.output_item.done", "x")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["output_index", "content_index", "delta", "item", "response"]), values),
        max_size=4,
    ),
    st.sampled_from([*KINDS, *LAST]),
)
def test_odd_events_do_not_raise(events: list[dict[str, Any]], kind: str) -> None:
    """Members of any type, in any event."""
    data = b"".join(b"data: " + json.dumps({"type": kind, **event}).encode() + b"\n\n" for event in events)
    put_together(Path("x.sse"), [data])


def test_an_index_beyond_reason_costs_nothing() -> None:
    """A provider cannot make the gateway keep a list as long as a number it writes."""
    event = {"type": "response.output_text.delta", "output_index": 0, "content_index": 10**9, "delta": "x"}
    assert put_together(Path("x.sse"), [b"data: " + json.dumps(event).encode() + b"\n\n"]).messages[0].text == ""
