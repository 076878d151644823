"""Webhooks in the configuration: what can be told offline about where messages go and what they are signed with."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from gateway.settings.load import Config
from gateway.settings.urls import AddressError, target

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as the Standard Webhooks specification has them."""


class SecretError(ValueError):
    """The secret cannot be used; the message does not quote it."""


def key(secret: str) -> bytes:
    """The bytes that messages are signed with. Raises SecretError."""
    try:
        found = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        found = b""
    if not secret.startswith(PREFIX) or not SHORTEST <= len(found) <= LONGEST:
        raise SecretError(
            f"must be {PREFIX} and base64 of {SHORTEST} to {LONGEST} random bytes; "
            f"`echo {PREFIX}$(openssl rand -base64 32)` makes one"
        )
    return found


def findings(config: Config) -> Iterator[tuple[str, str, str]]:
    """What `trivet check` says: level, key and message."""
    seen: set[str] = set()
    for index, webhook in enumerate(config.settings.webhooks):
        where = f"webhooks[{index}]"
        if webhook.name in seen:
            yield "error", f"{where}.name", "names another webhook already; what was told is kept by name"
        seen.add(webhook.name)
        try:
            target(webhook.url, private=webhook.allow_private)
        except AddressError as error:
            yield "error", f"{where}.url", str(error)
        try:
            key(webhook.secret)
        except SecretError as error:
            yield "error", f"{where}.secret", str(error)
