"""Tickets: a stamp that the client carries, signed, so that a run finds its release again where no store remembers it.

`v1.KEY.BODY.MAC`: KEY is 4 characters that tell which key signed, BODY the fields joined by `~`, MAC the HMAC-SHA256 over
everything before it. Rule of the file: nothing of a ticket is believed before its MAC, and a refusal says the same whatever was
wrong; only its `reason`, which goes to a counter, differs.
"""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import quote, unquote

from gateway.core.contract.alias import Arm
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.run import Pin, Ticket

VERSION = "v1."
LONGEST = 4096
"""Characters of a ticket that are looked at. Ours have at most 600 for names within their grammar and a `provider/model-id` of up to 170."""
KEY_BYTES = 16
"""A shorter key is refused."""
LATE_MS = 5 * 60_000
"""How long after its age a ticket still passes: the clocks of two hosts differ."""
EARLY_MS = 25 * 3_600_000
"""How far in the future its binding may lie. We signed it, so this is a clock that was set back, and no reason to stop a run."""

PLAIN = re.compile(r"[A-Za-z0-9._:/@+=,*~-]*")
ESCAPED_SAFE = "/:@+=,*"
ARMS = {Arm.STABLE: "s", Arm.CANARY: "c"}
ARM_OF = {code: arm for arm, code in ARMS.items()}
PINS = {Pin.PINNED: "p", Pin.LEARNED: "l", Pin.FLOATING: "f", Pin.UNKNOWN: "u"}
PIN_OF = {code: pin for pin, code in PINS.items()}
URL_SAFE = bytes.maketrans(b"+/", b"-_")
OWN_LANE = "-"
"""Stands for the lane of the ticket's own tenant, whose name is already there."""


def sign(ticket: Ticket, key: bytes) -> str:
    """The ticket as a header value: printable ASCII without spaces, at most 600 characters (see LONGEST).

    Raises ValueError for a key shorter than 16 bytes.
    """
    text = f"{VERSION}{key_id(key)}.{_body(ticket)}"
    return f"{text}.{_mac(key, text)}"


def verify(text: str, keys: Sequence[bytes], now_ms: int, max_age_s: float, tenant: str) -> Ticket:
    """The ticket that `text` carries, if one of `keys` signed it for this tenant and it is not older than `max_age_s`.

    Raises Fault 403 `stamp_invalid`, always the same but for `reason`: malformed, forged, tenant, expired.
    """
    # v1. KKKK . BODY . MAC, where the MAC is the 43 characters of 32 bytes in base64 without padding.
    if not (53 <= len(text) <= LONGEST and text.isascii() and text.startswith(VERSION) and text[7] == text[-44] == "."):
        raise _refusal("malformed")
    signed, mac = text[:-44], text[-43:]
    named = [key for key in keys if key_id(key) == text[3:7]]
    # An unknown key id costs one MAC as well, so the time tells nobody which keys there are.
    good = [hmac.compare_digest(_mac(key, signed), mac) for key in named or keys[:1]]
    if not any(good):
        raise _refusal("forged")
    ticket = _read(signed[8:])
    if ticket.tenant != tenant:
        raise _refusal("tenant")
    age_ms = now_ms - ticket.at_ms
    if age_ms > max_age_s * 1000 + LATE_MS or age_ms < -EARLY_MS:
        raise _refusal("expired")
    return ticket


def key_id(key: bytes) -> str:
    """4 characters that tell keys apart and nothing about them. Raises ValueError for a key shorter than 16 bytes."""
    if len(key) < KEY_BYTES:
        raise ValueError(f"a stamp key must have at least {KEY_BYTES} bytes: make one with `openssl rand -base64 32`")
    return _text(sha256(b"trivet stamp key\0" + key).digest()[:3])


def _mac(key: bytes, text: str) -> str:
    return _text(hmac.digest(key, text.encode("ascii"), "sha256"))


def _text(data: bytes) -> str:
    return b2a_base64(data, newline=False).rstrip(b"=").translate(URL_SAFE).decode("ascii")


def _body(ticket: Ticket) -> str:
    tenant, lane = ticket.tenant, ticket.lane
    if lane == f"tenant:{tenant}":
        lane = OWN_LANE
    marks = ARMS[ticket.arm] + PINS[ticket.pin]
    fields = (str(ticket.at_ms), marks, tenant, ticket.run, ticket.alias, ticket.release, ticket.model, lane)
    body = "~".join(fields)
    if PLAIN.fullmatch(body) and body.count("~") == 7:
        return body
    return "~".join(_escaped(field) for field in fields)


def _escaped(field: str) -> str:
    return quote(field, safe=ESCAPED_SAFE, errors="surrogatepass").replace("~", "%7E")


def _read(body: str) -> Ticket:
    """The fields of a body whose MAC is good; anything odd in it means that the key signed something else."""
    fields = body.split("~")
    if "%" in body:
        fields = [unquote(field, errors="surrogatepass") for field in fields]
    try:
        at, marks, tenant, run, alias, release, model, lane = fields
        arm, pin = ARM_OF[marks[:1]], PIN_OF[marks[1:]]
        at_ms = int(at)
    except (ValueError, KeyError):
        raise _refusal("malformed") from None
    if lane == OWN_LANE:
        lane = f"tenant:{tenant}"
    return Ticket(tenant, run, alias, release, model, at_ms, lane, arm, pin)


def _refusal(reason: str) -> Fault:
    return Fault(
        Kind.FORBIDDEN,
        "stamp_invalid",
        "The ticket in x-trivet-ticket is not valid for this request. Send it exactly as this gateway returned it to this tenant, "
        "or leave it out to start a new run.",
        param="x-trivet-ticket",
        reason=reason,
    )
