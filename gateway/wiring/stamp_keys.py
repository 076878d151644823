"""The keys that sign tickets: from the configuration, or made once for an embedded store and kept beside its data.

Rule of the file: the first key signs, all verify, so a key is changed by putting a new one in front and taking the old one
out when its tickets have run out (`runs.max_age`).
"""

from __future__ import annotations

import contextlib
import os
import secrets
from hashlib import sha256
from pathlib import Path

from gateway.settings.model import Settings

FILE = "stamp.key"


class NoStampKey(Exception):
    """There is no key to sign tickets with; the message says what to do."""


def stamp_keys(settings: Settings) -> tuple[bytes, ...]:
    """Every key, the signing one first. Makes the embedded store's key on first use. Raises NoStampKey."""
    if settings.stamp_keys:
        return tuple(sha256(text.encode()).digest() for text in settings.stamp_keys)
    if settings.store.redis != "embedded":
        raise NoStampKey(
            "stamp_keys: hosts that share a store must share the keys that sign tickets. Put one there, for example "
            'stamp_keys: ["${TRIVET_STAMP_KEY}"] with the output of `openssl rand -hex 32`.'
        )
    return (_own(Path(settings.store.data_dir) / FILE),)


def _own(path: Path) -> bytes:
    """The key in a file, made there whole or not at all: workers that start together make one key and never see half of it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)  # the first to come wins
        finally:
            draft.unlink()
    text = path.read_text(encoding="ascii").strip()
    if len(text) != 64:
        raise NoStampKey(
            f"{path} is not a key of this gateway. Restore it; or remove it, and tickets that are out stop working."
        )
    return bytes.fromhex(text)
