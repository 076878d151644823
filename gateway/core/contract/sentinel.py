"""What the sentinel knows of a snapshot: who answered for it, since when it behaves as it does, when it retires, and which
release can be called right now.

Rule of the file: everything has the time and the source it was learnt from; what was not looked at is unknown, never fine.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.core.contract.records import Record


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer's own words on who gave it, told once per worker and then when they change."""

    snapshot: str
    """`provider/model-id` that was called."""
    endpoint: str
    model: str
    """As the answer names it; empty when it names none."""
    fingerprint: str
    release: str
    alias: str
    at_ms: int
    mismatch: bool = False
    """The answer names another model than the pinned one."""


class Alarm(StrEnum):
    """Why a new drift epoch began."""

    MODEL = "model"
    """Another model answers."""
    PROBE = "probe"
    """Probes answer otherwise than the reference, twice in a row."""
    LOGPROB = "logprob"
    ACKNOWLEDGED = "acknowledged"
    """A person took what is there now for the reference."""


class Epoch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A period in which a snapshot's observed identity and behaviour were constant. Numbers begin at 1."""

    number: int = 1
    since_ms: int = 0
    alarm: Alarm | None = None
    before: str = ""
    after: str = ""
    test: str = ""
    """Which test said so, its statistic and its threshold, in words."""


class Proof(StrEnum):
    """Whether a release can be called, by its last call."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    """Never called, or longer ago than the interval."""
    DEAD = "dead"
    """Its provider says that the model is gone or the credential is refused."""


class Callable(Record, frozen=True):
    """A release's last proof."""

    release: str
    proof: Proof
    at_ms: int
    source: str
    """live, probe, gate or shadow."""
    why: str = ""


class Retirement(Record, frozen=True):
    """When a snapshot retires, and who says so."""

    snapshot: str
    retires: str
    """YYYY-MM-DD; empty when nobody says."""
    deprecated: str
    replacement: str
    source: str
    """A public page, or `provider` for the provider's own model endpoint."""
    read_ms: int
    earliest: str = ""
    """YYYY-MM-DD: the vendor says that it will not retire before; no date to plan by."""


class WarmRow(Record, frozen=True):
    """One release that a lane can roll back to: `trivet warm`."""

    alias: str
    lane: str
    place: int
    """0 is stable, 1 the newest previous one, and so on; -1 a candidate."""
    release: str
    model: str
    proof: Proof
    at_ms: int
    source: str
    why: str
    days_left: int | None
    """Days until its model retires; None when nobody says."""
