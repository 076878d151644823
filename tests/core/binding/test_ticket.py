"""Tickets: what they carry comes back, and nothing else does."""

from __future__ import annotations

import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.binding import ticket as tickets
from gateway.core.binding.ticket import EARLY_MS, LATE_MS, key_id, sign, verify
from gateway.core.contract.alias import Arm
from gateway.core.contract.fault import Fault
from gateway.core.contract.run import Pin, Ticket

KEY, OLD, FOREIGN = b"k" * 32, b"o" * 32, b"f" * 32
NOW = 1_795_000_000_000
AGE = 30 * 86_400.0
TICKET = Ticket("acme", "run-1", "support-agent", "rel_0123456789abcdef", "anthropic/claude-sonnet-4-5-20250929", NOW)

NAME = st.text(string.ascii_letters + string.digits + "._:/-", min_size=1, max_size=64)
RUN = st.text(string.ascii_letters + string.digits + "._:@-", min_size=1, max_size=128)
ODD = st.text(max_size=40)


def tickets_of(name: st.SearchStrategy[str], run: st.SearchStrategy[str]) -> st.SearchStrategy[Ticket]:
    """Tickets with names of a kind; lanes are those there are."""

    def build(values: dict[str, Any]) -> Ticket:
        kind, other = values.pop("kind"), values.pop("other")
        lane = {
            "*": "*",
            "own": f"tenant:{values['tenant']}",
            "tenant": f"tenant:{other}",
            "segment": f"segment:{other}",
        }[kind]
        return Ticket(lane=lane, **values)

    return st.fixed_dictionaries(
        {
            "tenant": name,
            "run": run,
            "alias": name,
            "release": st.one_of(st.just(""), st.from_regex(r"rel_[0-9a-f]{16}", fullmatch=True)),
            "model": st.builds("{}/{}".format, name, name),
            "at_ms": st.integers(0, 2**53),
            "arm": st.sampled_from(Arm),
            "pin": st.sampled_from(Pin),
            "kind": st.sampled_from(["*", "own", "tenant", "segment"]),
            "other": name,
        }
    ).map(build)


def refused(
    text: str, keys: list[bytes] | None = None, now_ms: int = NOW, tenant: str = "acme", age: float = AGE
) -> str:
    """The reason of the refusal, after checking that it is the one refusal there is."""
    with pytest.raises(Fault) as caught:
        verify(text, [KEY] if keys is None else keys, now_ms, age, tenant)
    fault = caught.value
    assert (fault.status, fault.code, fault.param, fault.retry) == (403, "stamp_invalid", "x-trivet-ticket", False)
    assert fault.message.startswith("The ticket in x-trivet-ticket is not valid for this request.")
    assert fault.__cause__ is None
    return fault.reason


@given(tickets_of(NAME, RUN))
def test_what_is_signed_comes_back(ticket: Ticket) -> None:
    """A ticket within the grammars comes back whole, in printable ASCII without a space."""
    text = sign(ticket, KEY)
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set(' ,;"\\%')
    assert verify(text, [KEY], ticket.at_ms, AGE, ticket.tenant) == ticket


@given(tickets_of(ODD, ODD))
def test_odd_names_come_back_too(ticket: Ticket) -> None:
    """Names outside the grammars, the separator, percent signs and lone surrogates among them, survive and stay header-safe."""
    text = sign(ticket, KEY)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert verify(text, [KEY], ticket.at_ms, AGE, ticket.tenant) == ticket


def test_a_lone_surrogate_comes_back() -> None:
    """Even text that is no Unicode passes both ways."""
    ticket = msgspec.structs.replace(TICKET, model="openai/\ud800~%7E")
    assert verify(sign(ticket, KEY), [KEY], NOW, AGE, "acme") == ticket


def test_the_longest_names_fit() -> None:
    """A ticket has at most 600 characters with every name at its longest and a model of 170."""
    ticket = Ticket(
        "t" * 64, "r" * 128, "a" * 64, "rel_0123456789abcdef", "m" * 170, 10**13 - 1, "segment:" + "s" * 64, Arm.CANARY
    )
    assert len(sign(ticket, KEY)) <= 600
    assert len(sign(TICKET, KEY)) < 200


def test_shape() -> None:
    """The text starts with its version and the key's id, ends with a 43 character MAC, and signing is deterministic."""
    text = sign(TICKET, KEY)
    assert text.startswith(f"v1.{key_id(KEY)}.")
    assert len(text.rpartition(".")[2]) == 43
    assert text == sign(TICKET, KEY)
    assert KEY.decode() not in text


@given(st.data())
def test_b8_any_changed_byte_is_refused(data: st.DataObject) -> None:
    """B8: a ticket in which one character was changed, added or left out is refused."""
    text = sign(TICKET, KEY)
    at = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.characters(min_codepoint=1, max_codepoint=0x2FF))
    changed = data.draw(
        st.sampled_from([text[:at] + char + text[at + 1 :], text[:at] + char + text[at:], text[:at] + text[at + 1 :]])
    )
    if changed != text:
        assert refused(changed) in {"malformed", "forged"}


def test_b8_every_bit_counts() -> None:
    """B8: flipping any single bit of any character is refused, the spare bits of the last base64 character included."""
    text = sign(TICKET, KEY)
    for at, char in enumerate(text):
        for bit in range(7):
            assert refused(text[:at] + chr(ord(char) ^ (1 << bit)) + text[at + 1 :]) in {"malformed", "forged"}


@given(st.text(max_size=200))
def test_b8_any_text_is_refused(text: str) -> None:
    """B8: text that this gateway did not sign is refused, whatever it is."""
    assert refused(text) == "malformed" or text.startswith("v1.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v1.",
        "v2" + sign(TICKET, KEY)[2:],
        sign(TICKET, KEY) + "é",
        "v1.AAAA." + "A" * 44,
        "v1." + "A" * 5000,
        "v1.AAAA.x." + "A" * 42,
    ],
)
def test_b8_malformed(text: str) -> None:
    """B8: what cannot be a ticket is refused before any key is used."""
    assert refused(text) == "malformed"


def test_a_ticket_too_long_is_refused() -> None:
    """A ticket longer than anything we look at is refused even if we signed it."""
    assert refused(sign(msgspec.structs.replace(TICKET, model="m" * 5000), KEY)) == "malformed"


def test_b8_forged() -> None:
    """B8: a ticket signed by a key that is not ours is refused, with its key id, with ours, and with no keys at all."""
    foreign = sign(TICKET, FOREIGN)
    assert refused(foreign) == "forged"
    assert refused(f"v1.{key_id(KEY)}{foreign[7:]}") == "forged"
    assert refused(sign(TICKET, KEY), keys=[]) == "forged"


def test_b8_other_tenant() -> None:
    """B8: another tenant's good ticket is refused in the same words as a forged one."""
    assert refused(sign(TICKET, KEY), tenant="zeta") == "tenant"
    assert refused(sign(TICKET, KEY), tenant="") == "tenant"
    assert refused(sign(TICKET, KEY), tenant="Acme") == "tenant"


def test_b8_expired() -> None:
    """B8: a ticket is good for its age and five minutes of clock difference, and not a millisecond longer."""
    text, last = sign(TICKET, KEY), NOW + int(AGE * 1000) + LATE_MS
    assert verify(text, [KEY], last, AGE, "acme") == TICKET
    assert refused(text, now_ms=last + 1) == "expired"
    assert refused(text, now_ms=NOW + 3_600_000 + LATE_MS + 1, age=3600.0) == "expired"


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_g8_a_clock_that_jumps_stops_no_run(hours: int) -> None:
    """G8: with the clock an hour or a day off, either way, a run's ticket still resumes it."""
    assert verify(sign(TICKET, KEY), [KEY], NOW + hours * 3_600_000, AGE, "acme") == TICKET


def test_g8_skew_is_bounded() -> None:
    """G8: a binding further in the future than a clock may be off is refused."""
    text = sign(TICKET, KEY)
    assert verify(text, [KEY], NOW - EARLY_MS, AGE, "acme") == TICKET
    assert refused(text, now_ms=NOW - EARLY_MS - 1) == "expired"


def test_rotation() -> None:
    """The first key signs and every key verifies, in whatever order they stand; a key that was taken out does not."""
    text = sign(TICKET, OLD)
    assert verify(text, [KEY, OLD], NOW, AGE, "acme") == TICKET
    assert verify(text, [OLD, KEY], NOW, AGE, "acme") == TICKET
    assert verify(text, (FOREIGN, KEY, OLD), NOW, AGE, "acme") == TICKET
    assert refused(text, keys=[KEY]) == "forged"


def test_keys_with_the_same_id_all_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should two keys share an id, tickets of both are good."""
    monkeypatch.setattr(tickets, "key_id", lambda key: "AAAA")
    for key in (KEY, OLD):
        assert verify(sign(TICKET, key), [KEY, OLD], NOW, AGE, "acme") == TICKET
    assert refused(sign(TICKET, FOREIGN), keys=[KEY, OLD]) == "forged"


def test_key_ids_tell_keys_apart() -> None:
    """A key's id is four header-safe characters that do not hold any of the key."""
    ids = {key_id(bytes([n]) * 32) for n in range(200)}
    assert len(ids) == 200
    assert all(len(i) == 4 and set(i) <= set(string.ascii_letters + string.digits + "-_") for i in ids)


@pytest.mark.parametrize("key", [b"", b"short", b"x" * 15])
def test_a_short_key_is_refused(key: bytes) -> None:
    """A key that could be guessed signs nothing and says how to make a good one."""
    with pytest.raises(ValueError, match="at least 16 bytes"):
        sign(TICKET, key)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "x",
        "1~sp~acme~r~a~rel~m",
        "1~sp~acme~r~a~rel~m~*~x",
        "x~sp~acme~r~a~rel~m~*",
        "1~~acme~r~a~rel~m~*",
        "1~zz~acme~r~a~rel~m~*",
        "1~s~acme~r~a~rel~m~*",
    ],
)
def test_a_good_mac_over_something_else_is_malformed(body: str) -> None:
    """If our key ever signed something that is no ticket, it is refused like any other bad ticket."""
    signed = f"v1.{key_id(KEY)}.{body}"
    assert refused(f"{signed}.{tickets._mac(KEY, signed)}") == "malformed"
