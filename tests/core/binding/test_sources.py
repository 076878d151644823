"""Run ids and where they may be read from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.binding.sources import bad_source, telling, valid_run_id
from gateway.settings.model import RunSettings


@pytest.mark.parametrize("text", ["a", "run-1", "A.b_c:d@e-f", "0" * 128, "550e8400-e29b-41d4-a716-446655440000"])
def test_run_ids(text: str) -> None:
    """1 to 128 ASCII letters, digits and `._:@-` name a run."""
    assert valid_run_id(text)


@pytest.mark.parametrize(
    "text", ["", "a" * 129, "a b", "a/b", "a\n", "\na", "é", "٣", "a*", "a%41", "a,b", "{a}", "a\x00", "a~b"]
)
def test_no_run_ids(text: str) -> None:
    """Anything else names none: no space, line end, slash, wildcard, brace or digit of another script."""
    assert not valid_run_id(text)


@given(st.text(max_size=140))
def test_a_run_id_is_safe_everywhere(text: str) -> None:
    """Whatever passes is printable ASCII and at most 128 long, so it may stand in a key, a header and a log line."""
    if valid_run_id(text):
        assert text.isascii()
        assert text.isprintable()
        assert not set(text) & set(" /{}%*?[],;\"'\\")
        assert 1 <= len(text) <= 128


@pytest.mark.parametrize(
    "text",
    [*RunSettings().sources, "X-Session-Id", "state", "metadata.run_id", "metadata.Run-Id.x", "x-litellm-session-id"],
)
def test_sources_that_may_stand(text: str) -> None:
    """Headers of one's own, provider state, tool calls and metadata keys may name a run; the defaults do."""
    assert bad_source(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Authorization", "credential"),
        ("x-api-key", "credential"),
        ("Cookie", "credential"),
        ("x-trivet-ticket", "another meaning"),
        ("metadata.", "after `metadata.`"),
        ("metadata.a b", "after `metadata.`"),
        ("metadata." + "k" * 65, "after `metadata.`"),
        ("", "no header name"),
        ("x session", "no header name"),
        ("x:y", "no header name"),
        ("h" * 65, "no header name"),
        ("x-ü", "no header name"),
    ],
)
def test_sources_that_may_not(text: str, words: str) -> None:
    """A credential header, a header with another meaning and what is no header at all are refused with the reason."""
    assert words in bad_source(text)
    assert repr(text) in bad_source(text)


@pytest.mark.parametrize(
    ("identifier", "says"),
    [
        ("call_9pw1qnYScqvGrCH58HWCvFH6", True),
        ("D681PevKs", True),
        ("toolu_01A09q90qw90lq917835lq9", True),
        ("chatcmpl-tool-1f0c7d2ab8f94a51", True),
        ("call_0", False),
        ("functions.get_weather:0", False),
        ("get_weather", False),
        ("", False),
    ],
)
def test_ids_that_count_are_no_links(identifier: str, says: bool) -> None:
    """Only an id that no other run will hand out ties a request to a run."""
    assert telling(identifier) is says
