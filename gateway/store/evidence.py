"""Gate evidence: records addressed by what they hold, and an index of each alias's by the time they ended.

Rule of the file: evidence is never changed and never removed; the history of an alias names it for ever. What is read back is
what its digest says, or it is not believed.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.artifact import digest as digest_of
from gateway.core.contract.evidence import Evidence, canonical
from gateway.core.contract.fault import Fault, Kind
from gateway.store.client import Store

LARGEST = 4 << 20
"""Bytes of one record: a hundred thousand scores."""
INDEXED = 5000
"""Newest index entries of an alias that are looked through."""

_decode = msgspec.json.Decoder(Evidence).decode


class Entry(msgspec.Struct, frozen=True):
    """A line of the index."""

    digest: str
    candidate: str
    incumbent: str
    ended_ms: int


async def put(store: Store, evidence: Evidence) -> tuple[str, bool]:
    """Store evidence and index it; its digest, and False when it was stored before. Raises Fault 413 `evidence_too_large`."""
    data = canonical(evidence)
    if len(data) > LARGEST:
        message = f"the evidence has {len(data)} bytes, and at most {LARGEST} are stored; split it by suite"
        raise Fault(Kind.TOO_LARGE, "evidence_too_large", message)
    digest = digest_of(data)
    made = await store.do("SET", store.keys.evidence(digest), data, "NX")
    member = f"{digest} {evidence.candidate} {evidence.incumbent}"
    await store.do("ZADD", store.keys.evidences(evidence.alias), "NX", evidence.ended_ms, member)
    return digest, bool(made)


async def get(store: Store, digest: str) -> Evidence | None:
    """One record; None when the store does not have it. Raises Fault 500 `evidence_unreadable` for a damaged one."""
    return _read(digest, await store.read("GET", store.keys.evidence(digest)))


async def index(store: Store, alias: str) -> list[Entry]:
    """The newest evidence of an alias, newest first."""
    found = await store.read("ZREVRANGE", store.keys.evidences(alias), 0, INDEXED - 1, "WITHSCORES")
    pairs = list(zip(found[::2], found[1::2], strict=True))
    entries: list[Entry] = []
    for member, score in pairs:
        digest, candidate, incumbent = member.decode().split(" ", 2)
        entries.append(Entry(digest, candidate, incumbent, int(float(score))))
    return entries


async def many(store: Store, digests: Sequence[str]) -> dict[str, Evidence]:
    """Records by digest, those that the store has."""
    answers = await store.read_many([("GET", store.keys.evidence(digest)) for digest in digests])
    found = {digest: _read(digest, answer) for digest, answer in zip(digests, answers, strict=True)}
    return {digest: value for digest, value in found.items() if value is not None}


def _read(digest: str, data: bytes | None) -> Evidence | None:
    if data is None:
        return None
    try:
        if digest_of(data) == digest:
            return _decode(data)
    except msgspec.DecodeError:
        pass
    message = f"evidence {digest[:12]}…: its record in the store is damaged, or of another version; run the gate again"
    raise Fault(Kind.INTERNAL, "evidence_unreadable", message)
