"""What a live worker tells of the prompts and toolsets that it sees, for the learner in the background process.

Rule of the file: both streams are bounded and have a ttl, so that texts as sent never outlive an hour, whoever reads them
or not. Everything goes through the queue in front of the bulk line, which drops and counts what it cannot take.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.core.contract.journal import Sightings
from gateway.store.journal import Bulk
from gateway.store.keys import Keys
from gateway.store.line import Line
from gateway.store.resp import pack
from gateway.store.sinks import LineError

SIGHTINGS_KEPT = 10_000
TEXTS_KEPT = 400
"""Entries of the two streams; with TEXT_BYTES the second is bounded to 26 MB."""
TEXT_BYTES = 64 << 10
"""Bytes of a text that are offered; what follows is not looked at."""
TTL_MS = 3_600_000

_encode = msgspec.json.Encoder().encode


class SightingLine:
    """One per live worker process."""

    __slots__ = ("_bulk", "_keys", "_line")

    def __init__(self, bulk: Bulk, line: Line, keys: Keys) -> None:
        self._bulk = bulk
        self._line = line
        self._keys = keys

    def seen(self, sightings: Sightings) -> None:
        """Tell what was seen on one alias; never blocks, never raises."""
        key = self._keys.sightings()
        add = pack("XADD", key, "MAXLEN", "~", SIGHTINGS_KEPT, "*", "entry", _encode(sightings))
        self._bulk.put(add + pack("PEXPIRE", key, TTL_MS), 2)

    def text(self, alias: str, kind: str, digest: str, text: bytes) -> None:
        """Offer a text as sent (`kind` is `prompt` or `tools`); never blocks, never raises."""
        key = self._keys.texts()
        fields = ("alias", alias, "kind", kind, "digest", digest, "text", text[:TEXT_BYTES])
        add = pack("XADD", key, "MAXLEN", "~", TEXTS_KEPT, "*", *fields)
        self._bulk.put(add + pack("PEXPIRE", key, TTL_MS), 2)

    async def undeclared(self, aliases: Sequence[str]) -> dict[str, frozenset[str]]:
        """Digests that are undeclared, by alias; an alias is missing when the store did not answer for it."""
        try:
            answers = await self._line.ask_many([pack("SMEMBERS", self._keys.undeclared(alias)) for alias in aliases])
        except LineError:
            return {}
        return {
            alias: frozenset(digest.decode() for digest in answer)
            for alias, answer in zip(aliases, answers, strict=True)
            if not isinstance(answer, BaseException)
        }
