"""A release: an immutable triple of model, prompt and tools, addressed by the sha256 of its canonical bytes.

Rule of the file: whatever can change the bytes a provider receives is inside the digest, nothing else is.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Any

import msgspec


class PinClass(StrEnum):
    """How much a model id promises; decided by `core.pinning` from a per-vendor table."""

    PINNED = "pinned"
    FLOATING = "floating"
    UNPINNABLE = "unpinnable"
    UNKNOWN = "unknown"


class Mode(StrEnum):
    """What the gateway does with a prompt or toolset leg."""

    AS_SENT = "as-sent"
    VERIFY = "verify"
    SERVE = "serve"


class Snapshot(msgspec.Struct, frozen=True):
    """A model id at a provider, written `provider/model-id`; the id may itself hold slashes."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """Read `provider/model-id`. Raises ValueError that says what is missing."""
        provider, slash, model = text.partition("/")
        if not slash or not provider or not model:
            raise ValueError(f"model {text!r} must be written provider/model-id, for example openai/gpt-4o-2024-08-06")
        return cls(provider, model)


class Leg(msgspec.Struct, frozen=True, omit_defaults=True):
    """The prompt or the tools of a triple: a mode and, unless as-sent, the artifact's digest (64 hex digits)."""

    mode: Mode = Mode.AS_SENT
    digest: str = ""


class Params(msgspec.Struct, frozen=True, omit_defaults=True):
    """Top-level members of the request to set, drop or rename before it goes to the provider."""

    set: dict[str, Any] = {}
    drop: tuple[str, ...] = ()
    rename: dict[str, str] = {}


class Triple(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a release's digest covers."""

    model: str
    prompt: Leg = Leg()
    tools: Leg = Leg()
    params: Params = Params()

    @property
    def snapshot(self) -> Snapshot:
        """The model as provider and id."""
        return Snapshot.parse(self.model)


class Release(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored triple. Everything outside `triple` is about it, not part of it, and never changes its id."""

    id: str
    triple: Triple
    pin: PinClass = PinClass.UNKNOWN
    created_ms: int = 0
    actor: str = ""
    note: str = ""
    blocked: str = ""
    """Why runs in flight are stopped with 409 `release_blocked`; empty while the release may be called."""
    drifted: str = ""
    """`SNAPSHOT@EPOCH`: another model answers for its snapshot, and nobody has acknowledged that. Strict aliases take no new run on
    it then."""

    @property
    def snapshot(self) -> Snapshot:
        """The model as provider and id."""
        return self.triple.snapshot


def canonical(triple: Triple) -> bytes:
    """The bytes a release is addressed by: JSON, keys sorted at every depth, defaults left out, no white space."""
    return msgspec.json.encode(triple, order="sorted")


def release_id(triple: Triple) -> str:
    """`rel_` and the first 16 hex digits of the sha256 of the canonical bytes."""
    return "rel_" + hashlib.sha256(canonical(triple)).hexdigest()[:16]
