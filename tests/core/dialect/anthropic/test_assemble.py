"""Anthropic answers put together: streamed or not, cut anywhere, one answer is one Reply."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.reply import Reply
from gateway.core.dialect.anthropic.assemble import assembler
from gateway.core.dialect.routes import Operation

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "anthropic"
ANSWERS = sorted([*GOLDEN.glob("*.sse"), *GOLDEN.glob("*.reply")])
BOTH = [GOLDEN / f"body-{name}.reply" for name in ("text", "tools", "thinking", "server-tools", "refusal")]


def put_together(pieces: list[bytes], stream: bool) -> Reply:
    """The Reply of an answer that comes in these pieces."""
    made = assembler(Operation.MESSAGES, stream)
    for piece in pieces:
        made.feed(piece)
    return made.finish()


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_golden_answers(path: Path) -> None:
    """Each answer says what its file says, whole and byte by byte."""
    data, stream = path.read_bytes(), path.suffix == ".sse"
    wanted = msgspec.json.decode(path.with_suffix(".answer.json").read_bytes(), type=Reply)
    assert put_together([data], stream) == wanted
    assert put_together([data[i : i + 1] for i in range(len(data))], stream) == wanted


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 5000), max_size=6))
def test_cut_anywhere(path: Path, places: list[int]) -> None:
    """Where the pieces of an answer begin and end makes no difference."""
    data, stream = path.read_bytes(), path.suffix == ".sse"
    cuts = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(cuts)]
    assert put_together(pieces, stream) == put_together([data], stream)


@pytest.mark.parametrize("path", BOTH, ids=lambda path: path.stem[5:])
def test_both_forms_are_one(path: Path) -> None:
    """A streamed answer and the same answer unstreamed make equal replies, whatever white space either has."""
    streamed = put_together([(GOLDEN / f"stream-{path.stem[5:]}.sse").read_bytes()], stream=True)
    assert streamed == put_together([path.read_bytes()], stream=False)
    spaced = json.dumps(json.loads(path.read_bytes()), indent=2).encode()
    assert streamed == put_together([spaced], stream=False)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode), st.booleans())
def test_no_input_raises(data: bytes, stream: bool) -> None:
    """Whatever a provider sends makes some Reply."""
    put_together([data], stream)
    put_together([b"data: " + data.replace(b"\n", b"") + b"\n\n"], stream)


def test_deep_answers_do_not_raise() -> None:
    """Nesting beyond what can be read leaves that part out."""
    deep = b"[" * 900 + b"]" * 900
    for levels in (deep, b"[" * 5000):
        block = b'{"type":"novel","content":' + levels + b"}"
        put_together(
            [b'data: {"type":"content_block_start","index":0,"content_block":' + block + b"}\n\n"], stream=True
        )
        put_together([b'{"type":"message","content":[' + block + b"]}"], stream=False)
