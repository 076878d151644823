"""Phase 1, admit: who is this, and with which rights. Keys are compared by sha256 from the view; nothing here fails open."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from gateway.core.binding import internal
from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.routes import Operation, RouteKind
from gateway.live.limits import enter

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.view import Caller

CREDENTIAL_FIELDS = (b"x-trivet-key", b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key")
"""Where a key may stand, in the order they are read."""


CREDENTIALS = frozenset(CREDENTIAL_FIELDS)
OWN = internal.PREFIX.encode()


def secret_of(name: bytes, value: bytes) -> bytes:
    """The bare secret of a credential header; the scheme of `Authorization` is not part of it."""
    if name == b"authorization":
        if value.startswith(b"Bearer "):
            return value[7:].strip()
        scheme, _, rest = value.partition(b" ")
        if rest and scheme.lower() == b"bearer":
            return rest.strip()
    return value


def admit(life: Life) -> None:
    """Set `caller` and the credential that a provider with `api_key: client` may be called with.

    Raises Fault: 401 `invalid_api_key`, 400 `ambiguous_header` for keys of two tenants, 429 `rate_limited` and
    `spend_limit_reached` for a caller that has used up its limits.
    """
    view = life.view
    fields = life.incoming.fields
    keyed = view.auth == "keys"
    found: Caller | None = None
    if life.incoming.query:
        take_key(life)
    sent = CREDENTIALS & fields.keys()
    for name in CREDENTIAL_FIELDS if len(sent) > 1 else sent:
        secret = secret_of(name, fields[name]) if name in fields else None
        if secret is None:
            continue
        caller = view.callers.get(sha256(secret).digest()) if keyed else None
        if caller is None:
            if not secret.startswith(OWN):
                # A key of ours is never a provider's credential, and `x-trivet-key` is never meant for one.
                if life.credential is None and name != b"x-trivet-key":
                    life.credential = secret
                continue
            caller = _own(life, secret)
        if found is None:
            found = caller
        elif found.tenant != caller.tenant:
            raise Fault(
                Kind.BAD_REQUEST,
                "ambiguous_header",
                "The request carries keys of two different tenants. Send one key.",
                reason="header_dup",
            )
    if not keyed and found is None:
        if life.caller.accounts:
            enter(life)
        return
    if found is None:
        raise Fault(
            Kind.AUTH,
            "invalid_api_key",
            "No valid Trivet key. Send one as Authorization: Bearer, x-api-key, x-goog-api-key, api-key or x-trivet-key; "
            "`trivet key new` makes one.",
        )
    life.caller = found
    if found.accounts:
        enter(life)


def _own(life: Life, secret: bytes) -> Caller:
    """The gateway itself, which calls a release by its name and nothing else.

    Raises Fault 401 `invalid_api_key`, also where no keys are asked for: such a credential is never passed on to a provider.
    """
    role = internal.verify(life.view.stamp_keys, secret.decode("latin-1"), life.at_ms)
    route = life.route
    assert route is not None
    if route.kind is not RouteKind.DIALECT or route.operation is Operation.MODELS:
        raise Fault(
            Kind.FORBIDDEN,
            "missing_right",
            "A credential of the gateway's own calls opens no other route than the model calls of a dialect.",
        )
    return life.view.own_callers[role]


def take_key(life: Life) -> None:
    """Google's clients may send their key as `?key=`. It is taken out of the query and counts as if it had come in
    `x-goog-api-key`: a query is logged in many places, and would carry a key of ours to the provider. Only below the name of
    another vendor's provider it stays, unless it is a key of ours.

    Raises Fault 400 `ambiguous_header` for two keys.
    """
    incoming, route = life.incoming, life.route
    assert route is not None
    theirs = bool(route.provider) and life.view.vendors.get(route.provider) != "google"
    kept: list[str] = []
    for part in incoming.query.split("&"):
        name, _, value = part.partition("=")
        key = unquote_plus(value).encode() if unquote_plus(name) == "key" else b""
        if not key or (theirs and sha256(key).digest() not in life.view.callers):
            kept.append(part)
            continue
        if incoming.fields.setdefault(b"x-goog-api-key", key) != key:
            raise Fault(
                Kind.BAD_REQUEST,
                "ambiguous_header",
                "The request carries two keys, one of them in its query. Send one key.",
                reason="header_dup",
            )
    incoming.query = "&".join(kept)


def require(life: Life, right: str, doing: str) -> None:
    """Raise 403 `missing_right` unless the caller holds the right."""
    if right not in life.caller.rights:
        raise Fault(
            Kind.FORBIDDEN,
            "missing_right",
            f"This key may not {doing}: it lacks the right `{right}`. Add it to the key's `rights` in the configuration.",
        )
