"""Who acts on the admin port, and what that name may do.

Rule of the file: a token is compared as a sha256 in constant time against every configured one, so neither the answer nor
its time says how close a guess was. Without tokens the port listens on loopback only and the actor is `local`, who may do
everything; a browser page of another origin may not borrow that.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.core.contract.fault import Fault, Kind
from gateway.settings.model import ADMIN_RIGHTS, AdminSettings

LOCAL = "local"
"""Actor of a loopback port without tokens, and of the command line working directly on the store."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Actor:
    """A name for the audit line, and its rights."""

    name: str
    rights: frozenset[str]

    def need(self, right: str) -> None:
        """Raise Fault 403 unless the actor has the right."""
        if right not in self.rights:
            raise Fault(
                Kind.FORBIDDEN,
                "right_missing",
                f"The token {self.name} does not have the right {right!r}; add it under admin.tokens.",
                reason="right",
            )


EVERYTHING = Actor(LOCAL, frozenset(ADMIN_RIGHTS))
"""The local operator."""


def identify(settings: AdminSettings, headers: Mapping[str, str]) -> Actor:
    """The actor of a request. Raises Fault 401 for a missing or unknown token, 403 for a foreign browser page."""
    if not settings.tokens:
        _refuse_foreign(settings, headers)
        return EVERYTHING
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    digest = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).hexdigest()
    found: Actor | None = None
    for known in settings.tokens:  # every one of them: the time says nothing about which
        if hmac.compare_digest(known.sha256, digest):
            found = Actor(known.name, frozenset(known.rights))
    if found is None or scheme.lower() != "bearer":
        raise Fault(
            Kind.AUTH,
            "invalid_admin_token",
            "This port needs `Authorization: Bearer TOKEN` with a token whose sha256 is under admin.tokens.",
            reason="token",
        )
    return found


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0] if name.count(":") <= 1 else name


def _refuse_foreign(settings: AdminSettings, headers: Mapping[str, str]) -> None:
    """No token protects this port, so its Host and Origin must be ours: DNS rebinding and cross-site posts end here."""
    own = LOCAL_NAMES | {host_name(settings.listen)}
    if host_name(headers.get("Host", "")) not in own:
        raise Fault(
            Kind.MISDIRECTED,
            "foreign_host",
            "This port answers only under localhost, 127.0.0.1 or its own address. Configure admin.tokens to use another name.",
            reason="host",
        )
    origin = headers.get("Origin", "")
    if origin and origin.lower() != f"http://{headers.get('Host', '').lower()}":
        raise Fault(
            Kind.FORBIDDEN, "foreign_origin", "A page of another origin may not use this port.", reason="origin"
        )
    if headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise Fault(Kind.FORBIDDEN, "foreign_origin", "A page of another site may not use this port.", reason="origin")
