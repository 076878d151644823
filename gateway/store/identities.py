"""What live workers tell of who answered, for the sentinel: one bounded stream.

Rule of the file: everything goes through the queue in front of the bulk line, which drops and counts what it cannot take. Who
reads the stream removes nothing from it: each reader keeps its own place.
"""

from __future__ import annotations

import msgspec

from gateway.core.contract.sentinel import Identity
from gateway.store.journal import Bulk
from gateway.store.keys import Keys
from gateway.store.resp import pack

KEPT = 5000
TTL_MS = 86_400_000

_encode = msgspec.json.Encoder().encode


class IdentityLine:
    """One per live worker process."""

    __slots__ = ("_bulk", "_key")

    def __init__(self, bulk: Bulk, keys: Keys) -> None:
        self._bulk = bulk
        self._key = keys.identities()

    def tell(self, said: Identity) -> None:
        """Tell who answered; never blocks, never raises."""
        add = pack("XADD", self._key, "MAXLEN", "~", KEPT, "*", "entry", _encode(said))
        self._bulk.put(add + pack("PEXPIRE", self._key, TTL_MS), 2)
