"""The neutral lines: read to the scores, or refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.gate.brought import Unreadable
from gateway.core.gate.lines import read

GOLDEN = Path(__file__).parents[2] / "golden" / "evals" / "lines.jsonl"


def test_lines_are_read() -> None:
    """Repeats in order, numbers and texts as ids, null as no score, what is not known passed over."""
    found = read(GOLDEN.read_bytes(), "lines.jsonl")
    assert found.items == {"0": (1.0, 0.0), "q-2": (None,), "q-3": (1.0,)}
    assert (found.categories, found.groups) == ({"0": "sums"}, {"0": "a"})
    assert (dict(found.models), found.fallbacks) == ({"m-2024-01-01": 2, "other": 1}, 1)


def test_repeats_may_come_in_any_order() -> None:
    """The number orders them, not the place in the file."""
    text = b'{"problem_idx": 1, "reward": 0, "repeat": 2}\n{"problem_idx": 1, "reward": 1, "repeat": 0}'
    assert read(text, "f").items == {"1": (1.0, 0.0)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "f:1: has no line with a score"),
        (b"\n\n", "f:1: has no line"),
        (b'{"problem_idx": 1, "reward": 1}\n{"problem_idx": 1, "rewar', "f:2: is not JSON"),
        (b"[1]", "f:1: must be an object with problem_idx and reward"),
        (b'{"reward": 1}', "f:1: must be an object"),
        (b'{"problem_idx": 1, "reward": 7}', "f:1: the score is '7'"),
        (b'{"problem_idx": 1, "reward": "good"}', "f:1: the score is 'good'"),
        (b'{"problem_idx": null, "reward": 1}', "f:1: problem_idx must be"),
        (b'{"problem_idx": true, "reward": 1}', "f:1: problem_idx must be"),
        (b'{"problem_idx": 1, "reward": 1, "repeat": -1}', "f:1: repeat must be"),
        (
            b'{"problem_idx": 1, "reward": 1}\n\n{"problem_idx": "1", "reward": 0}',
            "f:3: problem 1, repeat 0 is there twice",
        ),
        (b"\xff\xfe", "f:1: is not JSON"),
    ],
)
def test_what_is_wrong_has_its_line(text: bytes, told: str) -> None:
    """The error begins with the file and the line."""
    with pytest.raises(Unreadable) as caught:
        read(text, "f")
    assert str(caught.value).startswith(told)
