"""Prompts and toolsets of any dialect read into units."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.templates.model import shown
from gateway.core.templates.text import UNITS, readable, readable_tools, units, value_like


def show(text: str) -> str:
    """A text as its template would be shown."""
    return shown(units(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Today is 2026-11-23.", "Today is {date}."),
        ("Now: 2026-11-23T04:51:17.123Z, go", "Now: {date}, go"),
        ("It is Monday, November 23, 2026, 3:45 PM.", "It is {date}, {time}"),
        ("Since 23rd of March 2024 at 10:22:01 UTC.", "Since {date} at {time}."),
        ("Due 11/23/2026 and 23.11.2026", "Due {date} and {date}"),
        ("Session 550e8400-e29b-41d4-a716-446655440000, user usr_8f3k22914", "Session {id}, user {id}"),
        ("Refund at most 50 USD, or 3.5 %.", "Refund at most 50 USD, or 3.5 %."),
        ("You may march in May.", "You may march in May."),
        ("Ask the model gpt-4o.", "Ask the model gpt-4o."),
    ],
)
def test_sure_values_are_taken_out_and_nothing_else(text: str, expected: str) -> None:
    """Dates, times and ids never reach a template; a number or a word has to prove that it changes."""
    assert show(text).replace("\n", " ") == expected


def test_spelling_does_not_matter() -> None:
    """White space, blank lines and line ends make no other text; a line of two sentences is two units."""
    assert units("Be brief.  Never\tlie.\r\n\r\n  Ask. ") == units("Be brief.\nNever lie.\nAsk.")
    assert len(units("Be brief. Never lie.")) == 2
    assert len(units("You help Alice B. Smith.")) == 1
    assert len(units("\u4f60\u597d\u3002\u8bf7\u7b80\u77ed\u3002")) == 2


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"role":"system","content":"Be brief."},{"role":"developer","content":[{"type":"text","text":"Ask."}]}]',
        b'[{"type":"text","text":"Be brief."},{"type":"text","text":"Ask."}]',
        b'{"parts":[{"text":"Be brief."},{"text":"Ask."}]}',
        b'"Be brief.\\nAsk."',
        b'["Be brief.\\nAs',
    ],
)
def test_every_dialect_says_the_same(raw: bytes) -> None:
    """The text of a system prompt is found in the words of each dialect; a cut one is read as it stands."""
    assert readable(raw).startswith(("Be brief.\nAsk.", '["Be brief.\nAs'))


def test_a_toolset_is_read_by_name_in_every_dialect() -> None:
    """Neither the order of tools nor white space makes another toolset; a description does."""
    one = {"type": "function", "function": {"name": "add", "description": "Adds."}}
    two = {"type": "function", "function": {"name": "look", "description": "Looks."}}
    assert readable_tools(json.dumps([one, two]).encode()) == readable_tools(json.dumps([two, one], indent=3).encode())
    gemini = readable_tools(b'[{"functionDeclarations":[{"name":"look"},{"name":"add"}]}]')
    assert gemini.index('"add"') < gemini.index('"look"')
    assert readable_tools(b"not json") == "not json"
    assert readable_tools(b"[1, null]") == "1\nnull"


def test_a_very_long_text_is_kept_by_digest_behind_the_first_units() -> None:
    """However long a prompt is, its units are bounded, and a change far behind still makes another text."""
    lines = [f"Line {n} says something." for n in range(5000)]
    long = units("\n".join(lines))
    assert len(long) < UNITS + 300
    lines[4000] = "Line changed."
    assert units("\n".join(lines)) != long


@pytest.mark.parametrize("piece", ["1-", "a.", "a@b-", "January ", "11:11 ", "https://", "'", "-1a", "\ue000"])
def test_no_text_is_expensive(piece: str) -> None:
    """64 KB of the worst for the tokeniser take a fraction of a second."""
    begun = time.process_time()
    units(piece * (65536 // len(piece)))
    assert time.process_time() - begun < 2


@given(st.text(), st.binary())
def test_nothing_raises(text: str, raw: bytes) -> None:
    """Any text is units, any bytes are a text, and no unit holds the marks that templates use for holes."""
    assert all(token and not token.startswith("\ue000") for unit in units(text) for token in unit)
    units(readable(raw))
    units(readable_tools(raw))


def test_values_look_like_names_numbers_or_addresses() -> None:
    """Which short spans need fewer proofs to be a hole."""
    assert all(map(value_like, [("Alice", " Smith"), ("50",), (" a@b.c",), ("x1",)]))
    assert not any(map(value_like, [(), ("never",), ("Alice", " never"), tuple("ABCDEFG")]))
