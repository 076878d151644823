"""Texts laid along templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.templates.align import GAP, LONG, SHORT, fit, takes
from gateway.core.templates.text import Unit, units

NAMED: tuple[Unit, ...] = (("You", " help", SHORT, "."), ("Be", " brief", "."))


def test_a_hole_takes_what_stands_in_its_place() -> None:
    """A text that differs in holes only is the template."""
    assert fit(NAMED, units("You help Alice B. Smith.\nBe brief.")).changes == ()
    laid = fit((*NAMED, GAP, ("End",)), units("You help Bob.\nBe brief.\nOne doc.\nAnother doc.\nEnd"))
    assert laid.changes == () and laid.skeleton == (*NAMED, GAP, ("End",))


def test_a_changed_unit_is_one_change_with_the_words_that_changed() -> None:
    """What is left beside the holes is where, and what."""
    laid = fit(NAMED, units("You help Bob.\nBe rude."))
    (change,) = laid.changes
    assert (change.start, change.end, change.value, change.plain) == ((1, 1), (1, 2), (" rude",), True)
    assert laid.skeleton == (NAMED[0], ("Be", " rude", ".")) and laid.cost == 2


def test_a_changed_sentence_beside_a_document_is_not_taken_by_its_hole() -> None:
    """Literals beside a gap keep as many units of the text as they had."""
    template = (("Rules", "."), ("Never", " lie", "."), GAP)
    laid = fit(template, units("Rules.\nAlways lie.\nSome document.\nAnd more of it."))
    assert [change.value for change in laid.changes] == [("Always",)]
    assert laid.skeleton == (("Rules", "."), ("Always", " lie", "."), GAP)


def test_a_sentence_that_is_gone_between_two_documents_is_a_change() -> None:
    """Two gaps do not swallow what stood between them."""
    template = (("A",), GAP, ("Never", " lie"), GAP, ("B",))
    (change,) = fit(template, units("A\ndoc\nother\nB")).changes
    assert (change.start, change.end, change.value) == ((2, -1), (3, -1), ())


def test_a_short_hole_takes_no_sentence() -> None:
    """What is much longer than any value before is a change, so that nothing hides in a name."""
    text = units("You help Bob and must never say a word about the price of it.\nBe brief.")
    assert fit(NAMED, text).changes
    assert fit((("You", " help", LONG, "."), NAMED[1]), text).changes == ()


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        (("a", SHORT, "c"), ("a", "b", "c"), True),
        (("a", SHORT, "c"), ("a", "c"), True),
        (("a", SHORT, "c"), ("a", *"b" * 9, "c"), False),
        (("a", LONG, "c"), ("a", *"b" * 9, "c"), True),
        ((SHORT, "b", SHORT), ("a", "b"), True),
        ((SHORT, "b"), ("b", "a"), False),
        (("a", SHORT), ("a",), True),
        (("a", SHORT, "b", SHORT, "b"), ("a", "b", "x", "b"), True),
    ],
)
def test_units_with_holes_take_units(pattern: Unit, text: Unit, expected: bool) -> None:
    """A pattern says a unit when its literals are there in order and its holes are not overfilled."""
    assert takes(pattern, text) is expected


LINES = st.lists(st.sampled_from(["Be brief.", "Ask once.", "Never lie.", "You help Bob.", "Say 5."]), max_size=8)


@given(LINES, LINES)
def test_the_skeleton_is_the_text_where_there_are_no_holes(before: list[str], after: list[str]) -> None:
    """Without holes nothing of a text is lost, and the same text has no changes."""
    template, text = units("\n".join(before)), units("\n".join(after))
    laid = fit(template, text)
    assert laid.skeleton == text
    assert (not laid.changes) == (template == text) == (laid.cost == 0)
