"""The series of probes of each snapshot, a field each, in one hash per snapshot.

Rule of the file: a series is changed from what was read or not at all, so two who probe at once lose nothing and count nothing twice.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.probing import Passive, Series
from gateway.store.client import Store
from gateway.store.scripts import sha

KEPT_MS = 180 * 86_400_000
"""How long a snapshot's probes are kept after the last change of any."""
ATTEMPTS = 10

SWAP = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
"""Replace a field if it is still what was read. KEYS: hash. ARGV: field, before (empty for none), after, ttl ms."""


async def get(store: Store, snapshot: str, name: str) -> Series:
    """A series; an empty one where there is none, or one that this version cannot read."""
    return _read(await store.do("HGET", store.keys.probe(snapshot), name))


async def change(store: Store, snapshot: str, name: str, make: Callable[[Series], Series]) -> Series:
    """Read, make anew and write until nobody was in between; what is stored then. Raises Fault 409 `probe_busy`."""
    for _ in range(ATTEMPTS):
        data = await store.do("HGET", store.keys.probe(snapshot), name)
        before = _read(data)
        after = make(before)
        if after == before:
            return before
        packed = zlib.compress(msgspec.json.encode(after), 1)
        if await store.script(SWAP, sha(SWAP), [store.keys.probe(snapshot)], [name, data or b"", packed, KEPT_MS]):
            return after
    raise Fault(Kind.CONFLICT, "probe_busy", f"the probes of {snapshot} are being changed all the time", retry=True)


def _read(data: bytes | None) -> Series:
    try:
        return msgspec.json.decode(zlib.decompress(data), type=Series) if data else Series()
    except (zlib.error, msgspec.DecodeError):
        return Series()


async def passive(store: Store, snapshot: str, name: str) -> Passive:
    """What the traffic of a release shows; nothing where there is none, or what this version cannot read."""
    data = await store.do("HGET", store.keys.probe(snapshot), name)
    found = _either(b"passive:", data) if data else Passive()
    return found if isinstance(found, Passive) else Passive()


async def every(store: Store, snapshots: Iterable[str]) -> dict[str, dict[str, Series | Passive]]:
    """Everything that is kept of each snapshot, by field; what this version cannot read is left out."""
    names = list(snapshots)
    answers = await store.read_many([("HGETALL", store.keys.probe(name)) for name in names]) if names else []
    found: dict[str, dict[str, Series | Passive]] = {}
    for name, answer in zip(names, answers, strict=True):
        fields = answer if isinstance(answer, Mapping) else dict(zip(answer[::2], answer[1::2], strict=True))
        kept = {field.decode(): _either(field, data) for field, data in fields.items()}
        found[name] = {field: each for field, each in kept.items() if each not in (Series(), Passive())}
    return found


def _either(field: bytes, data: bytes) -> Series | Passive:
    if not field.startswith(b"passive:"):
        return _read(data)
    try:
        return msgspec.json.decode(data, type=Passive)
    except msgspec.DecodeError:
        return Passive()


async def put_passive(store: Store, snapshot: str, name: str, found: Passive) -> None:
    """Keep it; one process looks at a time, the one that leads."""
    await store.do("HSET", store.keys.probe(snapshot), name, msgspec.json.encode(found))
    await store.do("PEXPIRE", store.keys.probe(snapshot), KEPT_MS)
