"""Request targets and Host values: what may be asked for, decided on the raw bytes.

A path is accepted only when every parser would read it alike: no dot segment, empty segment, encoded delimiter or control
byte, in any spelling. Accepted paths are never decoded or normalised here.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from gateway.wire.errors import BadMessage

_PATH = re.compile(rb"/(?:[!\"$-.0->@-\[\]-~]++(?:/[!\"$-.0->@-\[\]-~]++)*+/?)?").fullmatch
# Visible ASCII but '#', '?' and the backslash, and no empty segment.
_QUERY = re.compile(rb"[!\"$-~]*").fullmatch
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")
_NESTED = re.compile(rb"%25[0-9A-Fa-f]{2}")
_ABSOLUTE = re.compile(rb"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL).fullmatch
_HOST = re.compile(
    rb"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
).fullmatch
# Escapes that would become a delimiter, a dot or a control byte.
_HIDDEN = frozenset((*range(0x20), 0x23, 0x2E, 0x2F, 0x3F, 0x5C, 0x7F))


def bad_path() -> BadMessage:
    """The refusal of a path that parsers could read differently (A9)."""
    return BadMessage(400, "bad_path", "path", "The path holds bytes or segments that are not accepted.")


def check_host(value: bytes) -> None:
    """Accept a Host of name or address with an optional port; else BadMessage `bad_host` (A7)."""
    if _HOST(value) is None:
        raise BadMessage(400, "bad_host", "host", "The Host header is missing, repeated or not a host name.")


def check_path(path: bytes) -> None:
    """Accept a path that has one reading only; else BadMessage `bad_path` (A9)."""
    if _PATH(path) is None:
        raise bad_path()
    if b"%" in path:
        for escape in _ESCAPE.findall(path):
            if not escape or int(escape, 16) in _HIDDEN:
                raise bad_path()
        if _NESTED.search(path) is not None:
            raise bad_path()
    if b"/." in path:
        for segment in path.split(b"/"):
            if segment.split(b";", 1)[0] in {b".", b".."}:
                raise bad_path()


def split_target(target: bytes, own_hosts: Collection[str], *, secure: bool) -> tuple[str, str]:
    """Path and query of a request target in origin or absolute form.

    Absolute form is taken only for our own authority and the listener's own scheme, else 421 `misdirected` (A8).
    `own_hosts` holds lower-case names, with a port or for any port.
    """
    if not target.startswith(b"/"):
        match = _ABSOLUTE(target)
        if match is None:
            raise BadMessage(400, "bad_path", "target", "The request target is neither a path nor a URL.")
        scheme, authority, target = match.groups()
        if _HOST(authority) is None:
            raise BadMessage(400, "bad_host", "target", "The request target names no valid host.")
        if (scheme.lower() == b"https") is not secure or not is_own(authority, own_hosts):
            raise BadMessage(421, "misdirected", "target", "This server does not answer for that host.")
        if not target.startswith(b"/"):
            target = b"/" + target
    path, _, query = target.partition(b"?")
    check_path(path)
    if query and _QUERY(query) is None:
        raise bad_path()
    return path.decode("ascii"), query.decode("ascii")


def is_own(authority: bytes, own_hosts: Collection[str]) -> bool:
    """Whether an authority, with or without its port, is one of ours."""
    name = authority.decode("ascii").lower()
    if name in own_hosts:
        return True
    host, colon, port = name.rpartition(":")
    return bool(colon) and port.isdigit() and host in own_hosts
