"""Runs, stamps, tickets: what keeps an agent run on its triple for life."""

from __future__ import annotations

import hashlib
from enum import StrEnum

import msgspec

from gateway.core.contract.alias import Arm


class Source(StrEnum):
    """Where the run id of a request came from."""

    HEADER = "header"
    """`x-trivet-run`, or a configured header of the same kind."""
    TICKET = "ticket"
    STATE = "state"
    """`previous_response_id` or `conversation`, by ownership record."""
    TOOL_CALL = "tool_call"
    """The request brings results of tool calls that an answer of the run handed out."""
    NONE = "none"
    """Nothing named a run: the request is a run of its own, and leaves no key of its own."""


class Pin(StrEnum):
    """Value of `x-trivet-pin`."""

    PINNED = "pinned"
    LEARNED = "learned"
    FLOATING = "floating"
    UNKNOWN = "unknown"


class Stamp(msgspec.Struct, frozen=True, omit_defaults=True):
    """The durable record that binds (tenant, run, alias) to one release."""

    tenant: str
    run: str
    alias: str
    release: str
    """Release id; empty for a floating pass-through, whose `model` is then the name that was asked for."""
    model: str
    """`provider/model-id` as sent to the provider."""
    lane: str = "*"
    arm: Arm = Arm.STABLE
    pin: Pin = Pin.PINNED
    source: Source = Source.NONE
    version: int = 0
    """Version of the alias state it was bound under."""
    at_ms: int = 0
    """Wall clock of the binding, milliseconds since the epoch."""
    allocation: int = 0
    """Weight of 10,000 that the canary had when the run was bound."""
    unit: str = ""
    """What stuck to its arm and counts once, as a keyed hash of tenant, user or opening; empty where that is the run."""


class Ticket(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `x-trivet-ticket` carries, signed: a stamp in a header, good for `runs.max_age` from `at_ms`."""

    tenant: str
    run: str
    alias: str
    release: str
    model: str
    at_ms: int
    lane: str = "*"
    arm: Arm = Arm.STABLE
    pin: Pin = Pin.PINNED


def run_digest(tenant: str, run: str) -> str:
    """RUN in key names: 32 hex digits of sha256(tenant, NUL, run)."""
    return hashlib.sha256(f"{tenant}\0{run}".encode()).hexdigest()[:32]
