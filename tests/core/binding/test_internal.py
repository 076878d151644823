"""Credentials of the gateway's own calls: what is minted is believed while it lasts, and nothing else is."""

from __future__ import annotations

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.binding import internal, ticket
from gateway.core.binding.internal import LONGEST_MS, PREFIX, ROLES, mint, verify
from gateway.core.contract.fault import Fault
from gateway.core.contract.run import Ticket

KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32
NOW = 1_795_000_000_000


def refused(token: str, now_ms: int = NOW, keys: tuple[bytes, ...] = (KEY, OLD)) -> str:
    """The reason of the refusal, after checking that it is the one refusal there is."""
    with pytest.raises(Fault) as caught:
        verify(keys, token, now_ms)
    assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
    assert len(token) < 40 or token not in caught.value.message
    return caught.value.reason


@given(st.sampled_from(ROLES), st.integers(1, LONGEST_MS), st.sampled_from((KEY, OLD)))
@settings(max_examples=50)
def test_what_is_minted_is_believed_by_every_key_in_force(role: str, life: int, key: bytes) -> None:
    """The role comes back for the key that signs and for one that is being replaced, in printable ASCII without a space."""
    token = mint(key, role, NOW + life)
    assert token.startswith(PREFIX)
    assert len(token) < internal.LONGEST
    assert token.isascii()
    assert token.isprintable()
    assert " " not in token
    assert verify((KEY, OLD), token, NOW) == role


@given(st.integers(0, 200), st.sampled_from(string.ascii_letters + string.digits + "._-~"))
@settings(max_examples=100)
def test_a_changed_character_is_refused(at: int, other: str) -> None:
    """Whichever character changes, one is dropped or one added, nothing is believed."""
    token = mint(KEY, "gate", NOW + 1000)
    at %= len(token)
    if token[at] != other:
        changed = token[:at] + other + token[at + 1 :]
        # The last character of 32 bytes in base64 has two bits that mean nothing; the text is compared, so they count too.
        assert refused(changed) in ("malformed", "forged")
    assert refused(token[:at] + token[at + 1 :]) in ("malformed", "forged")
    assert refused(token[:at] + other + token[at:]) in ("malformed", "forged")


@given(st.text(max_size=200))
@settings(max_examples=100)
def test_any_text_is_refused_the_same_way(text: str) -> None:
    """No text makes it fail otherwise."""
    assert refused(text) == "malformed"
    assert refused(PREFIX + text) == "malformed"


def test_it_runs_out_and_may_not_last_longer_than_a_day() -> None:
    """At its end it is refused, and one that lasts too long is, though it is signed."""
    token = mint(KEY, "gate", NOW + 1000)
    assert verify((KEY,), token, NOW + 999) == "gate"
    assert refused(token, NOW + 1000) == "expired"
    assert refused(mint(KEY, "gate", NOW + LONGEST_MS + 1)) == "expired"


def test_another_key_or_a_ticket_is_none() -> None:
    """A foreign key's credential is forged; a ticket is no credential, and a credential no ticket, under the same key."""
    assert refused(mint(FOREIGN, "gate", NOW + 1000)) == "forged"
    signed = ticket.sign(Ticket("acme", "run-1", "a", "rel_0123456789abcdef", "openai/m", NOW), KEY)
    assert refused(signed) == "malformed"
    token = mint(KEY, "gate", NOW + 1000)
    with pytest.raises(Fault):
        ticket.verify(token, (KEY,), NOW, 1000.0, "acme")
    # The MAC of a text is another one here than in a ticket.
    body, mac = token[:-44], token[-43:]
    assert ticket._mac(KEY, body) != mac


def test_only_the_roles_there_are_can_be_minted() -> None:
    """A misspelt role is an error at once, not a refusal later."""
    with pytest.raises(ValueError, match="no role"):
        mint(KEY, "live", NOW)
    with pytest.raises(ValueError, match="epoch"):
        mint(KEY, "gate", -1)
    with pytest.raises(ValueError, match="16 bytes"):
        mint(b"short", "gate", NOW)
