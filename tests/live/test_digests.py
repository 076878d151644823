"""Digests that are remembered are those that would be computed."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from gateway.live.digests import KEPT, KEPT_BYTES, Digests


@given(st.lists(st.binary(max_size=3), max_size=200))
def test_every_digest_is_of_its_own_text(texts: list[bytes]) -> None:
    """Whatever was hashed before, of the same length or another."""
    digests = Digests()
    for text in texts:
        assert digests.of(text) == (sha256(text).hexdigest() if text else "")


def test_what_is_kept_is_bounded() -> None:
    """In number and in size: a client that sends ever new prompts costs no memory."""
    digests = Digests()
    for size in (*range(1, 3 * KEPT), KEPT_BYTES + 1):
        assert digests.of(b"x" * size) == sha256(b"x" * size).hexdigest()
        assert len(digests._known) <= KEPT
    assert KEPT_BYTES + 1 not in digests._known
