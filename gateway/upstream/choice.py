"""In which order the endpoints of a provider are called for a request, and which of them takes no calls now.

The rule: the same run has the same order in every process and after every restart, because a provider's prompt cache lives
at one endpoint; and when an endpoint joins or leaves, only the runs that it gets or had move (weighted rendezvous hashing).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import inf, log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.upstream.providers import Endpoint

LONGEST_REST = 60.0
"""Seconds that an endpoint is passed over at most for what it said of itself."""
SHORTEST_REST = 1.0
RESTS = 1000
"""Models of an endpoint whose rest is remembered."""
_SPAN = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Spread:
    """What the choice among several endpoints needs to know of a request; with one endpoint nobody makes one."""

    dialect: str = ""
    """Only endpoints that speak it are called; empty where the gateway does not know the route."""
    unit: str = ""
    """What keeps its endpoint: the run."""
    spell: Callable[[str], tuple[str, bytes]] | None = None
    """Path and body for an endpoint's own name of the model."""
    at: str = ""
    """The endpoint that keeps the provider state which the request brings, by name."""
    stays: bool = False
    """It brings provider state of which only that is known: the run's own endpoint has it or nobody."""


ALONE = Spread()
"""Of a request that nobody spreads."""


def ordered(endpoints: Sequence[Endpoint], unit: str, turn: int) -> tuple[Endpoint, ...]:
    """The endpoints by preference of a run: shares as the weights say, standbys (weight 0) last, in the order of the file.

    `turn` is how often the client's SDK has repeated the request: each time it begins one endpoint further, so that the
    SDK's own attempts are the failover and the gateway adds none.
    """
    if len(endpoints) == 1:
        return (endpoints[0],)
    data = unit.encode("utf-8", "surrogatepass")
    found = sorted(endpoints, key=lambda at: _distance(at, data))
    turn %= len(found)
    return (*found[turn:], *found[:turn])


def _distance(at: Endpoint, unit: bytes) -> float:
    """The smallest of exponential variates with the weights as rates is an endpoint's with the odds of its weight."""
    if at.weight == 0:
        return inf
    drawn = int.from_bytes(blake2b(unit, digest_size=8, key=at.salt).digest(), "big")
    return -log((drawn + 1) / _SPAN) / at.weight


def rest(at: Endpoint, model: str, seconds: float | None, now: float) -> None:
    """Pass an endpoint over for a model as long as it said, within bounds.

    Not where the caller's own key was refused: that is the caller's limit and nobody else's.
    """
    if at.forwards:
        return
    if len(at.rests) >= RESTS:
        at.rests.clear()
    at.rests[model] = now + min(max(seconds or SHORTEST_REST, SHORTEST_REST), LONGEST_REST)


def resting(at: Endpoint, model: str, now: float) -> bool:
    """Whether an endpoint asked not to be called for a model now."""
    until = at.rests.get(model)
    if until is None:
        return False
    if until > now:
        return True
    del at.rests[model]
    return False
