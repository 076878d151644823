"""Runs as an operator reads them: by release and time, one with its stamps and journal. Nothing here changes a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.core.contract.journal import Plan, Report, Step
from gateway.core.contract.run import Stamp
from gateway.store.client import Store
from gateway.store.records import ENTRY, STAMP_FIELD, decode_entry, decode_stamp

SCAN = 500
"""Runs looked at in one round trip."""

GONE = -2
"""What PTTL says of a key that does not exist."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stored run: RUN of its key, its stamps by time of binding, seconds until it is forgotten."""

    key: str
    stamps: tuple[Stamp, ...]
    ttl_s: int


@dataclass(frozen=True, slots=True)
class Journal:
    """A run's journal, in order. `unread` counts entries of a form this version does not know."""

    plans: tuple[Plan, ...]
    steps: tuple[Step, ...]
    outcomes: tuple[Report, ...]
    unread: int


async def of_release(store: Store, release: str, *, since_ms: int = 0, limit: int = 1000) -> list[Stamp]:
    """Stamps bound to a release since then whose runs are still stored, newest first."""
    found: list[Stamp] = []
    offset = 0
    while len(found) < limit:
        page = await store.read(
            "ZREVRANGEBYSCORE", store.keys.release_runs(release), "+inf", since_ms, "LIMIT", offset, SCAN
        )
        if not page:
            break
        offset += len(page)
        for fields in await store.read_many([("HGETALL", store.keys.run_of(key.decode())) for key in page]):
            found += [stamp for stamp in _stamps(fields) if stamp.release == release and stamp.at_ms >= since_ms]
    return sorted(found, key=lambda stamp: -stamp.at_ms)[:limit]


async def alive(store: Store, release: str) -> tuple[int, int]:
    """How many runs that are bound to a release are still stored, and milliseconds until the last of them is forgotten if it
    takes no other step."""
    count = longest = offset = 0
    while True:
        page = await store.read("ZREVRANGEBYSCORE", store.keys.release_runs(release), "+inf", 0, "LIMIT", offset, SCAN)
        if not page:
            return count, longest
        offset += len(page)
        left = await store.read_many([("PTTL", store.keys.run_of(key.decode())) for key in page])
        stored = [int(each) for each in left if int(each) != GONE]
        count += len(stored)
        longest = max(longest, *stored, 0)


async def counted(store: Store, release: str) -> int:
    """How many runs were bound to a release and may still be stored."""
    return int(await store.read("ZCARD", store.keys.release_runs(release)))


async def get(store: Store, key: str) -> Run | None:
    """One run by RUN (`run_digest(tenant, run)`); None when it is not stored, or not any more."""
    fields, ttl = await store.read_many([("HGETALL", store.keys.run_of(key)), ("TTL", store.keys.run_of(key))])
    stamps = _stamps(fields)
    return Run(key, tuple(stamps), max(int(ttl), 0)) if stamps else None


async def of_one_request(store: Store, alias: str, *, since_ms: int = 0, limit: int = 1000) -> tuple[list[Step], bool]:
    """Steps of runs of one request since then, newest first, from the newest `limit` entries; and whether these were all."""
    oldest = str(since_ms) if since_ms else "-"
    answer = await store.read("XREVRANGE", store.keys.steps(alias), "+", oldest, "COUNT", limit)
    found = []
    for _, fields in answer:
        try:
            entry = decode_entry(fields[ENTRY.encode()])
        except (KeyError, ValueError):
            continue
        if isinstance(entry, Step):
            found.append(entry)
    return found, len(answer) < limit


async def journal(store: Store, key: str, *, limit: int = 10_000) -> Journal:
    """The first `limit` entries of a run's journal."""
    answer = await store.read("XRANGE", store.keys.journal_of(key), "-", "+", "COUNT", limit)
    plans: list[Plan] = []
    steps: list[Step] = []
    outcomes: list[Report] = []
    unread = 0
    for _, fields in answer:
        try:
            entry = decode_entry(fields[ENTRY.encode()])
        except (KeyError, ValueError):
            unread += 1
            continue
        match entry:
            case Plan():
                plans.append(entry)
            case Step():
                steps.append(entry)
            case Report():
                outcomes.append(entry)
    return Journal(tuple(plans), tuple(steps), tuple(outcomes), unread)


def _stamps(fields: dict[Any, Any]) -> list[Stamp]:
    found = []
    for name, value in fields.items():
        if name.startswith(STAMP_FIELD.encode()):
            try:
                found.append(decode_stamp(value))
            except ValueError:
                continue
    return sorted(found, key=lambda stamp: stamp.at_ms)
