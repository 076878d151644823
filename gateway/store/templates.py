"""Templates as the learner keeps them, and the streams that it learns from.

Rule of the file: an entry counts once, whoever learns. What is kept of an alias carries the last entries that went into it and
is written by compare-and-set together with the news for the history; streams are trimmed after that, never before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.contract.journal import Sightings
from gateway.core.contract.records import HistoryEntry
from gateway.store.client import Store
from gateway.store.history import history_values
from gateway.store.scripts import sha

READ = 10_000
"""Sightings of one look."""
READ_TEXTS = 400
"""Texts of one look: as many as the stream keeps."""
LEARNING_MS = 3_600_000
"""Life of texts that nothing has settled yet."""
MARKED = 512
"""Digests of undeclared texts that workers are told of."""

SAVE = """
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version ~= tonumber(ARGV[1]) then return {'moved', version} end
redis.call('HSET', KEYS[1], 'version', version + 1, 'seen', ARGV[2], 'text', ARGV[3], 'prompt', ARGV[4], 'tools', ARGV[5])
redis.call('HSET', KEYS[2], 'prompt', ARGV[6], 'tools', ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[8])
redis.call('DEL', KEYS[3])
local stop = 9 + tonumber(ARGV[9])
for at = 10, stop do redis.call('SADD', KEYS[3], ARGV[at]) end
local at = stop + 1
while at <= #ARGV do
  local entry = {}
  local last = at + tonumber(ARGV[at])
  for each = at + 1, last do entry[#entry + 1] = ARGV[each] end
  redis.call('XADD', KEYS[4], '*', unpack(entry))
  at = last + 1
end
return {'ok', version + 1}
"""
"""Write what is known of an alias if nobody wrote it meanwhile, with entries for its history.

KEYS: templates, learning, undeclared, history. ARGV: version read, last sighting, last text, lasting prompts and tools, passing
prompts and tools, ttl of these, number of digests, digests, then per history entry its number of values and the values.
Reply: `ok` or `moved`, and the version stored then.
"""


class Kept(msgspec.Struct, frozen=True):
    """What is kept of an alias: two models, each in a lasting and a passing part, and the entries that went into them."""

    version: int = 0
    seen: str = "0-0"
    text: str = "0-0"
    lasting: tuple[bytes, bytes] = (b"", b"")
    passing: tuple[bytes, bytes] = (b"", b"")


class Text(msgspec.Struct, frozen=True):
    """A prompt or toolset as sent."""

    id: str
    alias: str
    kind: str
    digest: str
    text: bytes


async def sightings(store: Store) -> list[tuple[str, Sightings]]:
    """The oldest entries with their ids; what this version cannot read names no alias."""
    found = []
    for identifier, fields in await store.read("XRANGE", store.keys.sightings(), "-", "+", "COUNT", READ):
        try:
            entry = msgspec.json.decode(_pairs(fields).get("entry", b""), type=Sightings)
        except msgspec.MsgspecError:
            entry = Sightings("", 0, ())
        found.append((identifier.decode(), entry))
    return found


async def texts(store: Store) -> list[Text]:
    """The oldest texts."""
    answer = await store.read("XRANGE", store.keys.texts(), "-", "+", "COUNT", READ_TEXTS)
    found = []
    for identifier, fields in answer:
        held = _pairs(fields)
        alias, kind, digest = (held.get(name, b"").decode(errors="replace") for name in ("alias", "kind", "digest"))
        found.append(Text(identifier.decode(), alias, kind, digest, held.get("text", b"")))
    return found


async def trim(store: Store, seen: str, text: str) -> None:
    """Drop entries up to these ids, which have been learnt; an empty id drops nothing."""
    for key, last in ((store.keys.sightings(), seen), (store.keys.texts(), text)):
        if last:
            stamp, _, number = last.partition("-")
            await store.do("XTRIM", key, "MINID", f"{stamp}-{int(number or 0) + 1}")


async def load(store: Store, alias: str) -> Kept:
    """What is kept of an alias; nothing for one that nothing was learnt of."""
    lasting, passing = await store.read_many(
        [("HGETALL", store.keys.templates(alias)), ("HGETALL", store.keys.learning(alias))]
    )
    if b"version" not in lasting:
        return Kept()
    return Kept(
        int(lasting[b"version"]),
        lasting[b"seen"].decode(),
        lasting[b"text"].decode(),
        (lasting[b"prompt"], lasting[b"tools"]),
        (passing.get(b"prompt", b""), passing.get(b"tools", b"")),
    )


async def save(
    store: Store, alias: str, kept: Kept, undeclared: Sequence[str], news: Sequence[HistoryEntry] = ()
) -> bool:
    """Write what is known of an alias over `kept.version`; False when somebody else did meanwhile, and nothing was written."""
    keys = [getattr(store.keys, name)(alias) for name in ("templates", "learning", "undeclared", "history")]
    marked = list(undeclared)[-MARKED:]
    arguments: list[str | bytes | int] = [kept.version, kept.seen, kept.text, *kept.lasting, *kept.passing]
    arguments += [LEARNING_MS, len(marked), *marked]
    for entry in news:
        values = ["version", str(entry.version), *history_values(entry)]
        arguments += [len(values), *values]
    word, _ = await store.script(SAVE, sha(SAVE), keys, arguments)
    return bool(word == b"ok")


def after(one: str, other: str) -> bool:
    """Whether stream id `one` is later than `other`."""
    return _number(one) > _number(other)


def _number(identifier: str) -> tuple[int, int]:
    stamp, _, number = identifier.partition("-")
    return int(stamp or 0), int(number or 0)


def _pairs(fields: Any) -> Mapping[str, bytes]:
    """Fields of a stream entry, as redis-py gives them in either protocol."""
    pairs = fields.items() if isinstance(fields, Mapping) else zip(fields[::2], fields[1::2], strict=True)
    return {name.decode(): value for name, value in pairs}
