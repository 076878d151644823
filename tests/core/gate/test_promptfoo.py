"""promptfoo's results: passed or not, whichever number a test had."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.core.gate.brought import Unreadable
from gateway.core.gate.promptfoo import read

GOLDEN = Path(__file__).parents[2] / "golden" / "evals" / "promptfoo.json"
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> bytes:
    """The file with something done to it."""
    whole = json.loads(GOLDEN.read_bytes())
    change(whole)
    return json.dumps(whole).encode()


def rows(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Its results."""
    found: list[dict[str, Any]] = whole["results"]["results"]
    return found


def test_results_are_read() -> None:
    """The same test again is a repeat, a failed assertion is 0, an error has no score; the release is read from the provider."""
    found = read(GOLDEN.read_bytes(), "f")
    assert list(found.items.values()) == [(1.0, 0.0), (0.0, None)]
    assert [item.partition("-")[0] for item in found.items] == ["sum", "test"]
    assert (found.engine, found.release) == ("promptfoo 0.123.0", "rel_0123456789abcdef")
    assert found.ended == "2026-11-20T10:00:00.000Z"


def test_places_do_not_make_an_item() -> None:
    """Tests in another order and under other numbers are the same items."""

    def shuffle(whole: dict[str, Any]) -> None:
        rows(whole).reverse()
        for row in rows(whole):
            row["testIdx"] += 100

    assert read(changed(shuffle), "f").items == read(GOLDEN.read_bytes(), "f").items


def test_another_assertion_is_another_item() -> None:
    """A test of the same variables that asks for something else is not a repeat."""
    found = read(changed(lambda whole: rows(whole)[2]["testCase"].update({"assert": []})), "f")
    assert len(found.items) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda whole: whole.pop("results"), "has no results.results"),
        (lambda whole: whole["results"].update(version=4), "of version 4; this reads version 3"),
        (lambda whole: rows(whole).clear(), "has no results"),
        (lambda whole: rows(whole)[1].update(promptIdx=1), "has 2 columns"),
        (lambda whole: rows(whole)[1].update(provider={"id": "openai:chat:other"}), "has 2 columns"),
        (lambda whole: rows(whole)[0].update(vars=None), "result 0: has no vars"),
        (lambda whole: rows(whole)[0].update(success="yes"), "result 0: success is neither"),
    ],
)
def test_what_cannot_be_read(change: Change, told: str) -> None:
    """Each says what it has and what is read."""
    with pytest.raises(Unreadable, match=told):
        read(changed(change), "f")


@pytest.mark.parametrize("text", [b"{", b"[]", b"", b'"x"', b"[" * 100_000])
def test_what_is_no_file_of_it(text: bytes) -> None:
    """Cut, empty or another document."""
    with pytest.raises(Unreadable):
        read(text, "f")
