"""Credentials by which the gateway calls its own data port: signed with a stamp key, short-lived, and good for one role.

`trivet-own.ROLE.UNTIL.KEY.MAC`: UNTIL in milliseconds since the epoch, KEY as in a ticket, MAC the HMAC-SHA256 over
everything before it under a prefix of its own, so that neither can pass for a ticket. Rule of the file: nothing of it is
believed before its MAC, and a refusal says the same whatever was wrong.
"""

from __future__ import annotations

import hmac
import re
from binascii import b2a_base64
from collections.abc import Sequence

from gateway.core.binding.ticket import URL_SAFE, key_id
from gateway.core.contract.fault import Fault, Kind

PREFIX = "trivet-own."
"""What every such credential begins with, and no key of a tenant or a provider."""
ROLES = ("gate", "probe")
"""Who calls: the eval gate, or a probe for drift."""
TENANT = "trivet/"
"""What the tenant of such a caller begins with; its role follows."""
LONGEST_MS = 24 * 3_600_000
"""How far in the future one may run out: a longer one is refused, whoever signed it."""
LONGEST = 128
"""Characters of a credential that are looked at; ours have under 90."""
_DOMAIN = b"trivet own call\0"
_FORM = re.compile(r"trivet-own\.([a-z]{1,16})\.([0-9]{1,15})\.([A-Za-z0-9_-]{4})\.([A-Za-z0-9_-]{43})")


def mint(key: bytes, role: str, until_ms: int) -> str:
    """A credential for calls of this role until a moment by the wall clock, at most a day ahead: printable ASCII, to be sent as
    `x-trivet-key`, or as the Bearer of `Authorization`.

    Raises ValueError for a role that there is not, a moment before the epoch and a key shorter than 16 bytes.
    """
    if role not in ROLES:
        raise ValueError(f"{role!r} is no role of a call of the gateway itself: {', '.join(ROLES)}")
    if not 0 <= until_ms < 10**15:
        raise ValueError("until_ms is milliseconds since the epoch")
    text = f"{PREFIX}{role}.{until_ms}.{key_id(key)}"
    return f"{text}.{_mac(key, text)}"


def verify(keys: Sequence[bytes], token: str, now_ms: int) -> str:
    """The role of a credential that one of `keys` signed and that has not run out.

    Raises Fault 401 `invalid_api_key`, always the same but for `reason`: malformed, forged, expired.
    """
    found = _FORM.fullmatch(token) if len(token) <= LONGEST else None
    if found is None:
        raise _refusal("malformed")
    role, until, named, mac = found.groups()
    signed = token[:-44]
    tried = [key for key in keys if key_id(key) == named]
    # An unknown key id costs one MAC as well, so the time tells nobody which keys there are.
    good = [hmac.compare_digest(_mac(key, signed), mac) for key in tried or keys[:1]]
    if not any(good) or role not in ROLES:
        raise _refusal("forged")
    if not now_ms < int(until) <= now_ms + LONGEST_MS:
        raise _refusal("expired")
    return role


def _mac(key: bytes, text: str) -> str:
    digest = hmac.digest(key, _DOMAIN + text.encode("ascii"), "sha256")
    return b2a_base64(digest, newline=False).rstrip(b"=").translate(URL_SAFE).decode("ascii")


def _refusal(reason: str) -> Fault:
    return Fault(
        Kind.AUTH,
        "invalid_api_key",
        "This credential of the gateway's own calls is not valid here: it has run out, or another stamp key signed it. The "
        "process that calls must have the `stamp_keys` of the one that serves, and a clock that agrees.",
        reason=reason,
    )
