"""What an answer says about how much more its provider will take: the shadow gives way before live traffic feels it.

Rule of the file: pure. A quota that a provider does not tell is no reason to wait; one that is nearly spent is, until it is back.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from gateway.upstream.answer import quota_spent, retry_after

LIMITED = frozenset((429, 503, 529))
"""Statuses with which a provider refuses for its rate or its load."""
LOW = 0.05
"""Share of a quota under which the rest is left to live traffic."""
DEFAULT_SECONDS = 10.0
"""Pause where the provider does not say how long."""
QUOTA_SECONDS = 300.0
"""Pause after a refusal that no waiting of seconds will mend."""
SHORTEST, LONGEST = 1.0, 300.0

_QUOTAS = (
    *(f"x-ratelimit-{{}}-{unit}".encode() for unit in ("requests", "tokens")),
    *(f"anthropic-ratelimit-{unit}-{{}}".encode() for unit in ("requests", "tokens", "input-tokens", "output-tokens")),
)
"""Header names of quotas (OpenAI and Azure; Anthropic), with `{}` for limit, remaining and reset."""
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class Pace:
    """`limited`: the provider refused, which says nothing about the release. `seconds`: how long to leave it alone; 0 for not."""

    limited: bool
    seconds: float


def pace(status: int, fields: dict[bytes, bytes], body: bytes, wall: Callable[[], float]) -> Pace:
    """Judge an answer. `fields` are its headers by lower-case name, `wall` is the wall clock in seconds."""
    if status in LIMITED:
        wait = retry_after(fields, wall)
        if wait is None:
            wait = QUOTA_SECONDS if status == 429 and quota_spent(body) else DEFAULT_SECONDS
        return Pace(limited=True, seconds=min(max(wait, SHORTEST), LONGEST))
    return Pace(limited=False, seconds=max(_low(fields, name, wall) for name in _QUOTAS))


def _low(fields: Mapping[bytes, bytes], name: bytes, wall: Callable[[], float]) -> float:
    """Seconds to wait for one quota; 0 while enough of it is left, or nothing is told."""
    limit, left = _number(fields, name, b"limit"), _number(fields, name, b"remaining")
    if left is None or limit is None or limit <= 0 or left >= limit * LOW:
        return 0.0
    reset = fields.get(name.replace(b"{}", b"reset"), b"").decode("latin-1")
    seconds = _until(reset, wall)
    return min(max(DEFAULT_SECONDS if seconds is None else seconds, SHORTEST), LONGEST)


def _number(fields: Mapping[bytes, bytes], name: bytes, part: bytes) -> float | None:
    value = fields.get(name.replace(b"{}", part), b"")
    return int(value) if value.isdigit() and len(value) < 16 else None


def _until(reset: str, wall: Callable[[], float]) -> float | None:
    """Seconds to a reset, written as a span (`6m0s`, `120ms`), as seconds, or as a moment (RFC 3339)."""
    spans = _SPAN.findall(reset)
    if spans and "".join(number + unit for number, unit in spans) == reset:
        return sum(float(number) * _SECONDS[unit] for number, unit in spans)
    try:
        return float(reset) if reset.isdigit() else datetime.fromisoformat(reset).timestamp() - wall()
    except (ValueError, OverflowError):
        return None
