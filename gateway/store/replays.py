"""Jobs made from stored pairs: which were handed to the shadow's workers, and which of them have their result.

Rule of the file: a replay stands behind what is live in the same bounded queue. Who was handed over is remembered for as long as
a job may live, so that an interrupted replay goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from gateway.core.contract.job import Job
from gateway.store.client import Store
from gateway.store.jobs import LIFE_MS
from gateway.store.offers import OFFER
from gateway.store.scripts import sha


class Standing(StrEnum):
    """Where a pair to be is."""

    OPEN = "open"
    QUEUED = "queued"
    ENDED = "ended"
    """It has a result: a pair, a skip or a dead letter."""


async def standing(store: Store, alias: str, ids: Sequence[str], now_ms: int) -> list[Standing]:
    """Where each of these pair ids is, in order. A result is remembered here for two hours; a pair's line tells for longer."""
    done, queued = store.keys.shadow_done(alias), store.keys.shadow_replays(alias)
    answers = await store.read_many([("ZSCORE", key, each) for each in ids for key in (done, queued)])
    found = []
    for ended, since in zip(answers[::2], answers[1::2], strict=True):
        waits = since is not None and float(since) > now_ms - LIFE_MS
        found.append(Standing.ENDED if ended is not None else Standing.QUEUED if waits else Standing.OPEN)
    return found


async def put(store: Store, job: Job, parts: tuple[bytes, bytes], limits: tuple[int, int], now_ms: int) -> bool:
    """Hand a job over; `parts` are the client's body and the primary's answer, `limits` the jobs and bytes that may wait. False
    when so many wait already, or the server's memory is nearly full."""
    arguments: list[str | bytes | int] = [*limits, msgspec.json.encode(job), *parts]
    if await store.script(OFFER, sha(OFFER), [store.keys.shadow_jobs()], arguments) != 1:
        return False
    key = store.keys.shadow_replays(job.alias)
    await store.read_many(
        [
            ("ZADD", key, now_ms, job.pair),
            ("ZREMRANGEBYSCORE", key, "-inf", now_ms - LIFE_MS),
            ("PEXPIRE", key, LIFE_MS),
        ]
    )
    return True
