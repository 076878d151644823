"""Canonical bytes of prompts and toolsets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.artifact import canonical_prompt, digest


def test_prompt_ignores_what_an_editor_does() -> None:
    """Line ends, a byte order mark and the newline at the end do not make another prompt; inner white space does."""
    assert canonical_prompt("\ufeffBe kind.\r\n\r\nBe brief.\r\n") == b"Be kind.\n\nBe brief."
    assert canonical_prompt("a  b") != canonical_prompt("a b")
    assert canonical_prompt(" a") == b" a"


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: text.strip("\ufeff\r\n \t")))
def test_prompt_is_a_fixed_point(text: str) -> None:
    """The canonical text of a canonical text is itself, once a leading byte order mark is gone."""
    try:
        once = canonical_prompt(text)
    except ValueError:
        return
    if not once.decode().startswith("\ufeff"):
        assert canonical_prompt(once.decode()) == once.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("text", ["", "\n", " \t\n", "\ufeff"])
def test_empty_prompt(text: str) -> None:
    """A prompt of white space is refused."""
    with pytest.raises(ValueError, match="empty"):
        canonical_prompt(text)


def test_digest() -> None:
    """The address is the sha256."""
    assert digest(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
