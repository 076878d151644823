"""A log is told by what is in it."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.cli.evidence import unpacker
from gateway.core.gate.brought import Unreadable
from gateway.core.gate.formats import read

GOLDEN = Path(__file__).parents[2] / "golden" / "evals"


@pytest.mark.parametrize(
    ("file", "engine"),
    [
        ("inspect.eval", "inspect_ai 0.3.285"),
        ("inspect.json", "inspect_ai 0.3.285"),
        ("promptfoo.json", "promptfoo 0.123.0"),
        ("lines.jsonl", "jsonl"),
    ],
)
def test_each_format_finds_its_reader(file: str, engine: str) -> None:
    """Whatever the file is called."""
    assert read((GOLDEN / file).read_bytes(), "some.txt", unpacker()).engine == engine


@pytest.mark.parametrize("text", [b"", b"  \n ", b"{}", b"item,score\n1,1", b"\x00\x01\x02", b'{"a": 1}\n{"b": 2}'])
def test_none_of_them(text: bytes) -> None:
    """Anything else is refused with what is read."""
    with pytest.raises(Unreadable, match=r"some\.txt: is"):
        read(text, "some.txt")


@pytest.mark.parametrize("file", ["inspect.eval", "inspect.json", "promptfoo.json", "lines.jsonl"])
def test_damage_is_always_told(file: str) -> None:
    """Bytes changed, lost or put in: a log is read or refused, and nothing else ever happens."""
    whole, dice = (GOLDEN / file).read_bytes(), random.Random(7)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            data[at : at + dice.randint(0, 30)] = dice.choice([b"", b"\xff", b"null", b"1e999", b"{}", b"\x00\x63"])
        with suppress(Unreadable):
            read(bytes(data), "f", unpacker())
