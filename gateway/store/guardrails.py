"""Counting what a rollout did: from the streams of exposures and events into counts, each unit once per metric, exactly once.

Rule of the file: what is counted and how far the streams are read move together, in one script that compares first. So a
process that dies in the middle, or two that count at once, neither lose nor double anything: who comes too late reads again.
Counts of one rollout are never mixed with those of another, and what was gone before it was counted is said, not guessed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import msgspec

from gateway.core.contract.alias import Arm
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.journal import Event, Exposure
from gateway.core.contract.rollout import Action, Rollout, Tally
from gateway.core.rollout.guardrails import bad_of, key_of, seen_of
from gateway.store.client import Store
from gateway.store.journal import GUARDRAIL_KEPT
from gateway.store.scripts import sha

SCHEMA = 1
"""Value of `v`: the version of the fields of the counts."""
PAGE = 200
"""Entries of each stream in a batch: a script of about a millisecond, so that nobody's stamp waits for it."""
LIMIT = 20_000
"""Entries that one call reads at most; the next goes on."""
UNITS_MS = 45 * 86_400_000
"""How long the units of a rollout that nobody counts any more are kept."""
EARLY_MS = 60_000
"""Clocks of the store and of who began the rollout may differ by this; what is read too early belongs to no rollout, or another."""
START = b"0-0"
"""Read from the very beginning: nothing can be missing before it."""

T = TypeVar("T")

BEGIN = """
local id = redis.call('HGET', KEYS[1], 'rollout')
if id == ARGV[1] then return {'ok'} end
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version > tonumber(ARGV[2]) then return {'newer', version} end
redis.call('UNLINK', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'v', ARGV[6], 'rollout', ARGV[1], 'version', ARGV[2])
for place, name in ipairs({'exposures', 'events'}) do
  local key, from = KEYS[2 + place], '0-0'
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
  local oldest = first[1] and tonumber(string.match(first[1][1], '^%d+')) or 0
  if first[1] and oldest < tonumber(ARGV[4]) then
    from = redis.call('XREVRANGE', key, ARGV[4], '-', 'COUNT', 1)[1][1]
  elseif oldest > tonumber(ARGV[3]) and redis.call('XLEN', key) >= tonumber(ARGV[5]) then
    local now = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'lost_ms', string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000)))
  end
  redis.call('HSET', KEYS[1], name, from)
end
return {'ok'}
"""
"""Fresh counts for another rollout, with the streams read up to when it began; nothing when they are its own already.

KEYS: counts, units, exposures, events. ARGV: rollout id, its alias version, when it began (ms), from when on (ms) it is read, entries
kept, schema. Reply: `ok`, or `newer` and the version of a later rollout, and then nothing was changed.
"""

READ = """
if redis.call('HGET', KEYS[1], 'rollout') ~= ARGV[1] then return {'moved'} end
local reply = {'ok'}
for place, name in ipairs({'exposures', 'events'}) do
  local key, from = KEYS[1 + place], redis.call('HGET', KEYS[1], name)
  local page = redis.call('XRANGE', key, '(' .. from, '+', 'COUNT', ARGV[2])
  local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)
  local about = redis.pcall('XINFO', 'STREAM', key)
  if about.err then about = {} end
  reply[#reply + 1] = {from, first[1] and first[1][1] or '', redis.call('XLEN', key), about, page}
end
return reply
"""
"""What is not counted yet, seen at one moment. KEYS: counts, exposures, events. ARGV: rollout id, entries of each stream.

Reply: `moved`, or `ok` and for each stream: read up to, id of the first entry, number of entries, XINFO STREAM, entries.
"""

APPLY = """
for place, name in ipairs({'rollout', 'exposures', 'events'}) do
  if redis.call('HGET', KEYS[1], name) ~= ARGV[place] then return {'moved'} end
end
redis.call('HSET', KEYS[1], 'exposures', ARGV[4], 'events', ARGV[5])
if tonumber(ARGV[6]) > tonumber(redis.call('HGET', KEYS[1], 'newest_ms') or '0') then
  redis.call('HSET', KEYS[1], 'newest_ms', ARGV[6])
end
local first = tonumber(redis.call('HGET', KEYS[1], 'first_bad_ms') or '0')
if tonumber(ARGV[7]) > 0 and (first == 0 or tonumber(ARGV[7]) < first) then
  redis.call('HSET', KEYS[1], 'first_bad_ms', ARGV[7])
end
if ARGV[8] == '1' then
  local now = redis.call('TIME')
  redis.call('HSET', KEYS[1], 'lost_ms', string.format('%d', now[1] * 1000 + math.floor(now[2] / 1000)))
end
for place = 10, #ARGV, 3 do
  if redis.call('SADD', KEYS[2], ARGV[place]) == 1 then
    redis.call('HINCRBY', KEYS[1], ARGV[place + 2], 1)
    if ARGV[place + 1] ~= '' and redis.call('SISMEMBER', KEYS[2], ARGV[place + 1]) == 1 then
      redis.call('HINCRBY', KEYS[1], 'twice', 1)
    end
  end
end
redis.call('PEXPIRE', KEYS[2], ARGV[9])
return {'ok'}
"""
"""Count a batch, once. KEYS: counts, units. ARGV: rollout id, both streams' read up to before, and after, newest canary exposure ms,
first bad event ms or 0, `1` when something was lost, ms that units are kept; then for each observation a member, the member of the
same unit in the other arm or "", and the field that is counted up when the member is new. Reply: `ok`, or `moved` and nothing was done.
"""

_exposure = msgspec.json.Decoder(Exposure)
_event = msgspec.json.Decoder(Event)


async def advance(
    store: Store, alias: str, rollout: Rollout, *, limit: int = LIMIT, kept: int = GUARDRAIL_KEPT
) -> Tally:
    """Count what came since the last call, at most about `limit` entries, and give the counts so far.

    The first call of a rollout throws the counts of an earlier one away. `kept` is what the streams are bounded to. Raises Fault
    when the store does not answer (what was counted stays counted, and nothing is counted twice), and 409 `rollout_state` when
    a later rollout of the alias is counted already.
    """
    keys = store.keys
    counts, units = keys.rollout_counts(alias), keys.rollout_units(alias)
    streams = [keys.exposures(alias), keys.events(alias)]
    while limit > 0:
        page = min(PAGE, limit)
        word, *read = await store.script(READ, sha(READ), [counts, *streams], [rollout.id, page])
        if word == b"moved":
            await _begin(store, alias, rollout, kept)
            limit -= page
            continue
        exposures, events = Unread(*read[0]), Unread(*read[1])
        batch = Batch(rollout, lost=exposures.gap(kept) or events.gap(kept))
        batch.exposed(exposures)
        batch.happened(events)
        taken = len(exposures.page) + len(events.page)
        if taken:
            starts, ends = (exposures.start, events.start), (exposures.end, events.end)
            arguments = [rollout.id, *starts, *ends, *batch.arguments()]
            # A batch that came too late was counted by somebody else: the next page begins behind it.
            await store.script(APPLY, sha(APPLY), [counts, units], arguments)
        if max(len(exposures.page), len(events.page)) < page:
            break
        limit -= taken
    return await tally(store, alias)


async def tally(store: Store, alias: str) -> Tally:
    """The counts of the rollout in progress, or the last one, as they are; empty when there was none."""
    return _tally(await store.read("HGETALL", store.keys.rollout_counts(alias)))


async def _begin(store: Store, alias: str, rollout: Rollout, kept: int) -> None:
    """Fresh counts. Before its first stage nothing of a rollout can be in the streams, so they are read from there."""
    keys = store.keys
    names = [keys.rollout_counts(alias), keys.rollout_units(alias), keys.exposures(alias), keys.events(alias)]
    began = max(rollout.started_ms, rollout.since_ms) if rollout.at <= 0 else rollout.started_ms
    early = max(began - EARLY_MS, 0)
    word, *version = await store.script(
        BEGIN, sha(BEGIN), names, [rollout.id, rollout.version, began, early, kept, SCHEMA]
    )
    if word == b"newer":
        raise Fault(
            Kind.CONFLICT,
            "rollout_state",
            f"A later rollout of the alias, of version {int(version[0])}, is counted already.",
        )


@dataclass(frozen=True, slots=True)
class Unread:
    """A page of a stream, and where it stands in it: a part of the answer of READ."""

    start: bytes
    """Id up to which the stream was read before."""
    first: bytes
    """Id of its first entry; empty when it has none."""
    length: int
    about: Sequence[Any]
    page: Sequence[Any]

    @property
    def end(self) -> bytes:
        """Id up to which it is read with this page."""
        return bytes(self.page[-1][0]) if self.page else self.start

    def gap(self, kept: int) -> bool:
        """Whether entries behind `start` were trimmed before they were read.

        A stream is trimmed from its beginning only, so where the entry read last, or an older one, is still there, nothing is
        missing. Where it is not, a full stream was trimmed by its writers; one that is not full, by hand, if the server says
        so (from 7 on) and it was no erasure, which takes entries out one by one.
        """
        if self.start == START or not self.first or _order(self.first) <= _order(self.start):
            return False
        if self.length >= kept:
            return True
        told = dict(zip(self.about[::2], self.about[1::2], strict=False))
        added, erased = told.get(b"entries-added"), told.get(b"max-deleted-entry-id", START)
        return added is not None and added > self.length and _order(erased) < _order(self.start)


@dataclass(slots=True)
class Batch:
    """What a page of both streams says, as arguments of APPLY."""

    rollout: Rollout
    lost: bool = False
    newest_ms: int = 0
    first_bad_ms: int = 0
    observed: list[str | bytes | int] = field(default_factory=list)

    def exposed(self, unread: Unread) -> None:
        """Add exposures. A run has its arm for good; a tenant, a user or a nameless agent's opening may come again under another
        allocation, and counts once under each."""
        for entry in self._entries(unread, _exposure):
            if not self._has(entry) or entry.salt != self.rollout.id:
                continue
            unit, other = _unit(entry), Arm.STABLE if entry.arm == Arm.CANARY else Arm.CANARY
            scope = "" if entry.unit in ("", entry.run) else str(entry.allocation)
            key = key_of(entry.lane, entry.arm, entry.allocation)
            mine, theirs = (_member("unit", f"{entry.lane} {scope} {arm}", unit) for arm in (entry.arm, other))
            self.observed += (mine, theirs, f"units {key}")
            self.observed += (_member("first", entry.lane, unit), b"", f"first {key}")
            if entry.arm == Arm.CANARY:
                self.newest_ms = max(self.newest_ms, entry.at_ms)

    def happened(self, unread: Unread) -> None:
        """Add events: a unit is bad, seen and tripped once per metric, where and when it first was."""
        rollout = self.rollout
        back = {each.metric for each in rollout.plan.guardrails if each.action is Action.ROLLBACK}
        for entry in self._entries(unread, _event):
            canary = entry.arm == Arm.CANARY
            # A sample counts for the release it came from, and for no other.
            if not self._has(entry) or canary is not (entry.release == rollout.candidate):
                continue
            unit, key = _unit(entry), key_of(entry.lane, entry.arm, entry.allocation)
            bad = bad_of(rollout, entry)
            for kind, metrics in (("bad", bad), ("seen", seen_of(rollout, entry))):
                for metric in metrics:
                    self.observed += (_member(kind, metric, unit), b"", f"{kind} {quote(metric, safe='')} {key}")
            if canary:
                for name in entry.trips:
                    self.observed += (_member("trip", name, unit), b"", f"trip {name}")
                if not back.isdisjoint(bad):
                    self.first_bad_ms = min(self.first_bad_ms or entry.at_ms, entry.at_ms)

    def arguments(self) -> Sequence[str | bytes | int]:
        """Newest exposure, first bad event, whether something was lost, life of the units, and what was observed."""
        return (self.newest_ms, self.first_bad_ms, int(self.lost), UNITS_MS, *self.observed)

    def _entries(self, unread: Unread, decoder: msgspec.json.Decoder[T]) -> Iterator[T]:
        """The records of a page; one that cannot be read is lost."""
        for _, fields in unread.page:
            try:
                yield decoder.decode(dict(zip(fields[::2], fields[1::2], strict=False))[b"entry"])
            except (KeyError, msgspec.MsgspecError):
                self.lost = True

    def _has(self, entry: Exposure | Event) -> bool:
        """Whether it is part of the experiment: bound under this rollout, while its lane was split."""
        return entry.allocation > 0 and entry.version >= self.rollout.version


def _unit(entry: Exposure | Event) -> str:
    """What counts once: the tenant's unit, because two tenants may call their runs by one name."""
    return f"{entry.tenant}\0{entry.unit or entry.run}"


def _member(kind: str, what: str, unit: str) -> bytes:
    """What stands for a unit in the set: 8 bytes, so that a hundred thousand units take a few megabytes."""
    return hashlib.sha256(f"{kind}\0{what}\0{unit}".encode()).digest()[:8]


def _order(identifier: bytes | str) -> tuple[int, int]:
    ms, _, number = (identifier.decode() if isinstance(identifier, bytes) else identifier).partition("-")
    return int(ms), int(number or 0)


def _tally(stored: dict[bytes, bytes]) -> Tally:
    told = {name.decode(): value for name, value in stored.items()}
    flat: dict[str, dict[str, int]] = {"units": {}, "first": {}, "trip": {}}
    nested: dict[str, dict[str, dict[str, int]]] = {"bad": {}, "seen": {}}
    for name, value in told.items():
        word, _, rest = name.partition(" ")
        if word in nested:
            metric, _, key = rest.partition(" ")
            nested[word].setdefault(unquote(metric), {})[key] = int(value)
        elif word in flat:
            flat[word][rest] = int(value)
    plain = {name: int(told.get(name, 0)) for name in ("twice", "newest_ms", "first_bad_ms", "lost_ms")}
    return Tally(
        units=flat["units"],
        bad=nested["bad"],
        seen=nested["seen"],
        trips=flat["trip"],
        twice=plain["twice"],
        newest_ms=plain["newest_ms"],
        first_bad_ms=plain["first_bad_ms"],
        first=flat["first"],
        lost_ms=plain["lost_ms"],
    )
