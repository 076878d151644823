"""Taking away what is stored of a tenant, or of one of its runs: which keys and entries are theirs, and the mark that keeps more
from being written meanwhile.

Rule of the file: whose a key is, is read from the key or from what it holds, never guessed. Reading every key's name needs the
right to SCAN, which nothing else of Trivet needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.run import Stamp
from gateway.store import pairs
from gateway.store.client import Store
from gateway.store.jobs import GROUP
from gateway.store.records import STAMP_FIELD

PAGE = 1000
JOBS_PAGE = 20
"""Jobs hold whole requests: few at a time."""
PLANS = 5
"""Entries of a journal that are looked at for whose it is: a plan comes first."""


@dataclass(frozen=True, slots=True)
class Whose:
    """A tenant, or one of its runs."""

    tenant: str
    run: str = ""

    def has(self, tenant: object, run: object) -> bool:
        """Whether something of this tenant and run is meant."""
        return tenant == self.tenant and self.run in ("", run)


async def mark(store: Store, whose: Whose, until_ms: int) -> None:
    """Refuse pairs of requests that were made up to then (`store.pairs`)."""
    await store.do("HSET", store.keys.shadow_state(), pairs.mark(whose.tenant, whose.run), until_ms)


async def scan(store: Store, cursor: str) -> tuple[str, list[str]]:
    """The next keys of this gateway; the cursor is "0" at the end. Raises Fault 409 `erase_rights` where it is not allowed."""
    try:
        after, found = await store.read("SCAN", cursor, "MATCH", f"{store.keys.prefix}:*", "COUNT", PAGE)
    except Fault as fault:
        if fault.code != "store_auth":
            raise
        message = "the store's user may not SCAN; give it the right for the time of the erasure: ACL SETUSER USER +scan"
        raise Fault(Kind.CONFLICT, "erase_rights", message) from fault
    return str(int(after)), [name.decode() for name in found]


async def drop(store: Store, names: Iterable[str], whose: Whose) -> dict[str, int]:
    """Take away those of these keys that are theirs; how many, by kind."""
    own = quote(whose.tenant, safe="")
    prefix = store.keys.prefix
    kinds: dict[str, list[str]] = {}
    for name in names:
        kind, _, tag = name.removeprefix(f"{prefix}:").partition(":")
        if (kind in ("pair", "link") and tag.startswith(f"{{{own}/")) or kind in ("run", "journal"):
            kinds.setdefault(kind, []).append(name)
        elif kind in ("limits", "limit-runs", "spend") and tag.startswith(f"{{tenant/{own}}}") and not whose.run:
            kinds.setdefault("limits", []).append(name)
    removed: dict[str, int] = {}
    for kind, held in kinds.items():
        theirs = await _theirs(store, kind, held, whose)
        if theirs:
            await store.read_many([("DEL", name) for name in theirs])
            removed[kind] = len(theirs)
    return removed


async def drop_entries(store: Store, alias: str, whose: Whose) -> dict[str, int]:
    """Take their lines and entries out of the streams of an alias; how many, by kind."""
    requests: set[str] = set()
    removed = {"line": await _drop(store, store.keys.diffs(alias), lambda told: _line_is(told, whose))}
    removed["step"] = await _drop(store, store.keys.steps(alias), lambda told: _step_is(told, whose, requests))
    removed["exposure"] = await _drop(store, store.keys.exposures(alias), lambda told: _entry_is(told, whose))
    removed["event"] = await _drop(store, store.keys.events(alias), lambda told: _entry_is(told, whose))
    return {kind: number for kind, number in removed.items() if number}


async def drop_jobs(store: Store, whose: Whose) -> dict[str, int]:
    """Take their jobs out of the queue, those in somebody's hands too, and out of the dead letters."""
    jobs = store.keys.shadow_jobs()
    queued = await _drop(store, jobs, lambda told: _job_is(told, whose), group=GROUP, page=JOBS_PAGE)
    dead = await _drop(store, store.keys.shadow_dead(), lambda told: _job_is(told, whose))
    return {"job": queued + dead} if queued + dead else {}


async def receipt(store: Store, record: bytes) -> str:
    """Keep a receipt for ever; its entry id."""
    identifier: bytes = await store.do("XADD", store.keys.erasures(), "*", "entry", record)
    return identifier.decode()


async def _theirs(store: Store, kind: str, names: list[str], whose: Whose) -> list[str]:
    """Of keys of one kind those that are theirs. A run is taken out of the index of its releases too."""
    if kind == "run":
        return await _runs(store, names, whose)
    if kind == "journal":
        answers = await store.read_many([("XRANGE", name, "-", "+", "COUNT", PLANS) for name in names])
        held = [any(_entry_is(_fields(given), whose) for _, given in entries) for entries in answers]
    elif whose.run and kind == "pair":
        answers = await store.read_many([("HGET", name, "line") for name in names])
        held = [_member(data, "run") == whose.run for data in answers]
    elif whose.run and kind == "link":
        answers = await store.read_many([("GET", name) for name in names])
        held = [_member(data, "run") == whose.run for data in answers]
    else:
        return names
    return [name for name, theirs in zip(names, held, strict=True) if theirs]


async def _runs(store: Store, names: list[str], whose: Whose) -> list[str]:
    found = []
    for name, fields in zip(names, await store.read_many([("HGETALL", name) for name in names]), strict=True):
        stamps = [_stamp(value) for field, value in fields.items() if field.startswith(STAMP_FIELD.encode())]
        theirs = [stamp for stamp in stamps if stamp is not None and whose.has(stamp.tenant, stamp.run)]
        if theirs:
            found.append(name)
            digest = name.rpartition("{")[2].rstrip("}")
            releases = {stamp.release for stamp in theirs if stamp.release}
            await store.read_many([("ZREM", store.keys.release_runs(release), digest) for release in releases])
    return found


async def _drop(store: Store, key: str, theirs: Any, *, group: str = "", page: int = PAGE) -> int:
    """Delete the entries of a stream that are theirs; how many."""
    start, count = "-", 0
    while entries := await store.read("XRANGE", key, start, "+", "COUNT", page):
        gone = [identifier for identifier, given in entries if theirs(_fields(given))]
        if gone:
            acknowledge = [("XACK", key, group, *gone)] if group else []
            await store.read_many([*acknowledge, ("XDEL", key, *gone)])
            count += len(gone)
        start = "(" + entries[-1][0].decode()
    return count


def _line_is(told: dict[bytes, bytes], whose: Whose) -> bool:
    return whose.has(told.get(b"tenant", b"").decode(), told.get(b"run", b"").decode())


def _job_is(told: dict[bytes, bytes], whose: Whose) -> bool:
    job = _object(told.get(b"job"))
    return whose.has(job.get("tenant"), job.get("run"))


def _entry_is(told: dict[bytes, bytes], whose: Whose) -> bool:
    """A plan, or a record that names tenant and run itself."""
    entry = _object(told.get(b"entry"))
    named = entry.get("stamp") if isinstance(entry.get("stamp"), dict) else entry
    return isinstance(named, dict) and whose.has(named.get("tenant"), named.get("run"))


def _step_is(told: dict[bytes, bytes], whose: Whose, requests: set[str]) -> bool:
    """A plan of a run of one request, or a step of one whose plan was theirs: its run is `r-` and the request's id."""
    entry = _object(told.get(b"entry"))
    if entry.get("type") == "plan":
        theirs = _entry_is(told, whose)
        if theirs:
            requests.add(str(entry["stamp"]["run"]))
        return theirs
    return f"r-{entry.get('request')}" in requests


def _stamp(data: bytes) -> Stamp | None:
    try:
        return msgspec.json.decode(data, type=Stamp)
    except msgspec.MsgspecError:
        return None


def _member(data: bytes | None, name: str) -> object:
    return _object(data).get(name)


def _object(data: bytes | None) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data or b"{}")
    except msgspec.MsgspecError:
        return {}
    return found if isinstance(found, dict) else {}


def _fields(given: Any) -> dict[bytes, bytes]:
    return given if isinstance(given, dict) else dict(zip(given[::2], given[1::2], strict=False))
