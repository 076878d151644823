"""Finish reasons in shared words."""

from __future__ import annotations

import pytest

from gateway.core.diff.finish import Ending, ending


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("stop", Ending.NATURAL),
        ("STOP", Ending.NATURAL),
        ("MAX_TOKENS", Ending.TRUNCATED),
        ("", Ending.OTHER),
        ("new_word", Ending.OTHER),
    ],
)
def test_words(word: str, expected: Ending) -> None:
    """Case does not matter; a word nobody wrote down is OTHER."""
    assert ending(word) is expected
