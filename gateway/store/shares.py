"""How workers share the limits of keys and tenants: each says what it used, and hears what the others did.

Rule of the file: a report is a state, not a step. A worker's word replaces its last one, so a report that is sent twice, or
whose answer is lost, changes no sum; what a worker used stays known after it is gone, for the minute or day that it counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.store.keys import Keys
from gateway.store.line import Line
from gateway.store.resp import pack
from gateway.store.scripts import SHARE, sha
from gateway.store.sinks import LineError

WINDOW_MS = 61_000
"""A worker's word about its last minute counts so long after it was said."""
RUN_MS = 300_000
"""A run is going until so long after its last request."""
DAY_KEPT_MS = 2 * 86_400_000


@dataclass(frozen=True, slots=True)
class Use:
    """What one worker has to say about an account."""

    account: str
    requests: int
    tokens: int
    loose: int
    spent: int
    day: int
    """UTC day, counted from the epoch; 0 when there is no limit per day."""
    runs: tuple[str, ...]
    runs_kept: int
    """How many runs to hear of; 0 when their number has no limit."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the others said about it; `runs` are all runs that go on, this worker's own among them."""

    requests: int
    tokens: int
    loose: int
    workers: int
    spent: int
    runs: tuple[str, ...]


def command(keys: Keys, worker: str, use: Use) -> bytes:
    """A report as one packed command."""
    account = use.account
    names = (keys.limits(account), keys.limit_runs(account), keys.spend(account, str(use.day)))
    word = (worker, use.requests, use.tokens, use.loose, use.spent if use.day else "")
    times = (WINDOW_MS, RUN_MS, DAY_KEPT_MS)
    return pack("EVALSHA", sha(SHARE), 3, *names, *word, *times, use.runs_kept, *use.runs)


def read(reply: Any) -> Told | None:
    """What a reply says; None for an error, or what is no such reply."""
    if isinstance(reply, BaseException) or not isinstance(reply, list) or len(reply) < 6:
        return None
    _, requests, tokens, loose, workers, spent, *runs = reply
    return Told(int(requests), int(tokens), int(loose), int(workers), int(spent), tuple(r.decode() for r in runs))


async def share(line: Line, keys: Keys, worker: str, uses: Sequence[Use]) -> list[Told | None]:
    """Send reports and hear the others; None for a report that may not have come through. Never raises."""
    try:
        replies = await line.ask_many([command(keys, worker, use) for use in uses])
    except LineError:
        return [None] * len(uses)
    return [read(reply) for reply in replies]
