"""What the journal keeps of a run: a plan per stamp, an entry per step, outcomes. Field names are a public interface (docs/redis.md)."""

from __future__ import annotations

import msgspec

from gateway.core.contract.exchange import Outcome, Usage
from gateway.core.contract.run import Source, Stamp

__all__ = ["Event", "Exposure", "Outcome", "Plan", "Report", "Source", "Stamp", "Step", "Usage"]


class Plan(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="plan"):
    """Written before the first call of a binding."""

    stamp: Stamp


class Step(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="step"):
    """One request of a run and how it ended. Times are milliseconds; `at_ms` is wall clock at admission."""

    request: str
    step: int
    alias: str
    release: str
    asked: str
    """The `model` the client sent."""
    model: str
    """The pinned `provider/model-id` that was called."""
    answered: str
    """The `model` the provider answered with; empty when it said none."""
    outcome: Outcome
    status: int
    at_ms: int
    total_ms: float
    first_byte_ms: float = 0.0
    """Request complete at the gateway to first byte of the provider's answer."""
    overhead_ms: float = 0.0
    fingerprint: str = ""
    endpoint: str = ""
    """`provider` or `provider#n` of the endpoint that answered."""
    prompt: str = ""
    """sha256 of the system prompt as sent, 64 hex digits; empty when there was none."""
    tools: str = ""
    """sha256 of the tools as sent, 64 hex digits; empty when there were none."""
    usage: Usage | None = None
    cost_micro: int | None = None
    """What `usage` costs by the price table, in millionths of a US dollar; None while usage or price is unknown."""
    finish: str = ""
    attempts: int = 1
    attempt_log: tuple[str, ...] = ()
    """One word per failed attempt: connect, maybe_sent, 429, 503, ..."""
    label: str = ""
    """`x-trivet-step` of the client."""
    stream: bool = False
    source: Source = Source.NONE
    path: str = ""
    code: str = ""
    """Fault or provider error code; empty on success."""
    excerpt: str = ""
    """First 2 KB of a provider body that was not the API's own shape."""
    flags: tuple[str, ...] = ()
    """`model_mismatch` and the like."""


class Report(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="type", tag="outcome"):
    """Quality that the application reported for a run."""

    at_ms: int
    metrics: dict[str, float | bool]


class Exposure(msgspec.Struct, frozen=True, omit_defaults=True):
    """A run was bound: which arm, under which allocation and salt."""

    run: str
    tenant: str
    alias: str
    release: str
    arm: str
    allocation: int
    salt: str
    at_ms: int
    lane: str = "*"
    unit: str = ""
    """What sticks to its arm, and what is counted once: the run, or a keyed hash of tenant, user or opening."""
    version: int = 0
    """Version of the alias state it was bound under."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one request of a run, or one report of its outcome, says to the guardrails."""

    run: str
    release: str
    arm: str
    at_ms: int
    allocation: int = 0
    lane: str = "*"
    unit: str = ""
    version: int = 0
    """Version of the alias state the run was bound under."""
    bad: tuple[str, ...] = ()
    """Metrics of yes and no that were bad: `core.rollout.metrics.METRICS`."""
    values: dict[str, float] = {}
    """Metrics with a value; whether it is bad is for the guardrail that reads it to say."""
    trips: tuple[str, ...] = ()
    """Tripwires that were hit."""
    tenant: str = ""
    """Whose run it is: what an erasure looks for."""


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """Requests of one worker that carried the same prompt and the same tools under the same release."""

    release: str
    prompt: str
    """sha256 of the system prompt as sent; empty when there was none."""
    tools: str
    n: int
    runs: int
    """Runs as far as the worker could tell them apart: a change of run from one request to the next."""


class Sightings(msgspec.Struct, frozen=True):
    """What a worker saw on one alias since it last told."""

    alias: str
    at_ms: int
    seen: tuple[Seen, ...]
    unread: int = 0
    """Requests whose prompt or tools were new, but over the bound of what is offered to be learnt."""
