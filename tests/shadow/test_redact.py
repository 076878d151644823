"""What capture modes keep."""

from __future__ import annotations

from time import process_time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.pair import Difference, Dimension, Line, PairClass, Side, Turn
from gateway.shadow.redact import Redactor, body, line

REDACTOR = Redactor([r"ticket-\d+"])
SECRET = "Mail ann@b.example or call +49 170 1234567, card 4111 1111 1111 1111, ticket-77"


def made(value: str) -> Line:
    """A line with one difference of these values."""
    found = Difference(Dimension.ARGUMENTS, "$.calls[0].refund.Jane Doe", value, value, 0.65)
    return Line("p", "t", "r", 1, Turn.FIRST, 1, Side("a"), Side("b"), PairClass.DIVERGENT, differences=(found,))


def test_personal_patterns_are_taken_out() -> None:
    """Addresses, numbers and the operator's own patterns leave their names."""
    told = REDACTOR.text(SECRET)
    assert told == "Mail [email] or call [phone], card [card], ticket-77".replace("ticket-77", "[redacted]")
    assert REDACTOR.text("IBAN DE89 3704 0044 0532 0130 00, key sk-abcdefghijklmnop, host 10.1.2.3") == (
        "IBAN [iban], key [key], host [ip]"
    )


@pytest.mark.parametrize(
    ("mode", "value", "path", "kept"),
    [
        ("metrics", "", "$.calls[0]", b""),
        ("hashes", "sha256:", "$.calls[0]", b""),
        ("redacted", "Mail [email]", "$.calls[0].refund.Jane Doe", b"Mail [email]"),
        ("full", "Mail ann@b.example", "$.calls[0].refund.Jane Doe", b"Mail ann@b.example"),
    ],
)
def test_modes(mode: str, value: str, path: str, kept: bytes) -> None:
    """Each mode keeps what its name says, of values, paths and bodies."""
    (found,) = line(made(SECRET), mode, REDACTOR).differences
    assert found.primary.startswith(value) and bool(found.primary) == bool(value)
    assert found.path == path
    assert kept in body(b'{"a":"%b"}' % SECRET.encode(), mode, REDACTOR)
    assert bool(body(b"x", mode, REDACTOR)) == bool(kept)


def test_hashes_tell_equal_values() -> None:
    """Under `hashes` equal values stay equal and others differ."""
    one, other = (line(made(value), "hashes", REDACTOR).differences[0] for value in ("a", "b"))
    assert one.primary == one.candidate != other.primary


@given(st.dictionaries(st.text(max_size=10), st.text(max_size=60) | st.integers(), max_size=5))
def test_json_stays_json(value: dict[str, object]) -> None:
    """A redacted body still decodes, and numbers too long to be anything but an account's are gone."""
    told = Redactor().body(msgspec.json.encode({**value, "card": 4111111111111111, "list": [4111111111111111, 12]}))
    assert isinstance(msgspec.json.decode(told), dict)
    assert b"4111111111111111" not in told


def test_a_pattern_that_is_none_is_named() -> None:
    """A broken pattern of the configuration is refused with its text."""
    with pytest.raises(ValueError, match=r"'\('"):
        Redactor(["("])


def test_a_megabyte_costs_little() -> None:
    """Redaction of hostile text stays linear: less than three seconds of CPU for a megabyte."""
    began = process_time()
    for hostile in ("1" * 200_000, "a.b-" * 50_000, "+1 2 3 " * 30_000, "AB12 " * 40_000, "eyJ" * 60_000):
        REDACTOR.text(hostile)
    assert process_time() - began < 3
