"""Results of the shadow: one per job, whatever happens to the worker between two writes.

Rule of the file: the pair's contents are written first and once, then one script marks the job as done, adds the line to the
alias's stream and counts it. A job that comes again finds the contents or the mark and adds nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from gateway.core.contract.job import Job
from gateway.core.contract.pair import Line
from gateway.store.client import Store
from gateway.store.scripts import sha

SCHEMA = "1"
"""Value of `v` in a line: the version of these fields."""
LINES_KEPT = 100_000
DEAD_KEPT = 1000
DONE_MS = 7_200_000
"""How long a mark stays: longer than a job can wait (`jobs.LIFE_MS`)."""
PAGE = 500

ERASED = """
for _, mark in ipairs({ARGV[2], ARGV[3]}) do
  if tonumber(redis.call('HGET', KEYS[1], mark) or '-1') >= tonumber(ARGV[1]) then erased = true end
end
"""
"""Beginning of both scripts: whether what was said at that time is erased. KEYS: state. ARGV: time ms, marks of tenant and run."""

KEEP = f"""
local erased = false
{ERASED}
if erased or redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
redis.call('HSET', KEYS[2], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1
"""
"""Write a pair's contents unless they are there, or erased. KEYS: state, pair. ARGV: as above, ttl ms, fields and values."""

FINISH = f"""
local erased = false
{ERASED}
if redis.call('ZADD', KEYS[2], 'NX', ARGV[5], ARGV[4]) == 0 then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', '(' .. ARGV[6])
redis.call('HINCRBY', KEYS[3], erased and ARGV[8] or ARGV[7], 1)
if #ARGV > 9 and not erased then redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[9], '*', unpack(ARGV, 10)) end
return 1
"""
"""Mark a job as done, count it, and add its line; 0 when it was marked before, and then nothing is changed. Of what is erased
no line is added, and it counts as such.

KEYS: state, done, counts, diffs. ARGV: as above, pair id, now ms, forget marks before ms, counter, counter if erased, lines kept,
fields and values of the line.
"""

REPLACE = """
if redis.call('XDEL', KEYS[1], ARGV[1]) == 0 then return 0 end
if ARGV[2] ~= ARGV[3] then
  redis.call('HINCRBY', KEYS[2], ARGV[2], -1)
  redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
end
redis.call('XADD', KEYS[1], '*', unpack(ARGV, 4))
return 1
"""
"""Put a line in place of an older one of the same pair; 0 when that is gone, and then nothing is changed.

KEYS: diffs, counts. ARGV: entry id, counter before, counter after, fields and values of the line.
"""

RENEW = """
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'line', ARGV[1])
return 1
"""
"""Change the line of a pair that is stored; its ttl stays. KEYS: pair. ARGV: line."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What is kept of a pair besides its line. Empty bytes where the capture mode keeps none."""

    request: bytes = b""
    """The client's body, before rewriting."""
    primary: bytes = b""
    candidate: bytes = b""
    secondary: bytes = b""
    about: Mapping[str, str] = field(default_factory=dict)
    """Short facts as text: dialect, operation, streams, capture mode."""


async def keep(store: Store, line: Line, contents: Contents, ttl_ms: int) -> bool:
    """Store a pair; False when it is stored already, and then the stored one stays, or when it is erased (`store.erasure`)."""
    values = dict(contents.about)
    flat: list[str | bytes | int] = [ttl_ms, "v", SCHEMA, "line", msgspec.json.encode(line)]
    for name, value in values.items():
        flat += (name, value)
    for name in ("request", "primary", "candidate", "secondary"):
        data: bytes = getattr(contents, name)
        if data:
            flat += (name, zlib.compress(data, 1))
    keys = [store.keys.shadow_state(), store.keys.pair(line.tenant, line.pair)]
    return bool(await store.script(KEEP, sha(KEEP), keys, [*_marks(line), *flat]))


async def finish(store: Store, alias: str, candidate: str, line: Line, now_ms: int) -> bool:
    """The job ends as a pair; False when it had ended before."""
    word = _word(candidate, line)
    return await _finished(
        store, alias, line.pair, (word, f"{candidate} skip:erased"), now_ms, _marks(line), fields(line)
    )


async def skip(store: Store, alias: str, candidate: str, pair: str, reason: str, now_ms: int) -> bool:
    """The job ends without a pair, for a reason of a few words; False when it had ended before."""
    return await _finished(store, alias, pair, (f"{candidate} skip:{reason}", ""), now_ms, _NO_MARKS, ())


async def dead(store: Store, job: Job, why: str, now_ms: int) -> bool:
    """The job ends as a dead letter, counted and written in one step; False when it had ended before.

    `why` is a word or two. The letter is the job without its body and answer; of what is erased there is none.
    """
    keys = [
        store.keys.shadow_state(),
        store.keys.shadow_done(job.alias),
        store.keys.shadow_counts(job.alias),
        store.keys.shadow_dead(),
    ]
    marks: list[str | bytes | int] = [job.at_ms, mark(job.tenant), mark(job.tenant, job.run)]
    words = (f"{job.candidate} dead", f"{job.candidate} skip:erased")
    letter = ("why", why, "job", msgspec.json.encode(job))
    arguments = [*marks, job.pair, now_ms, now_ms - DONE_MS, *words, DEAD_KEPT, *letter]
    return bool(await store.script(FINISH, sha(FINISH), keys, arguments))


async def ended(store: Store, alias: str, pair: str) -> bool:
    """Whether a job has its result already."""
    return await store.do("ZSCORE", store.keys.shadow_done(alias), pair) is not None


def mark(tenant: str, run: str = "") -> str:
    """Field of the shadow's state that holds up to when (ms) what a tenant, or one of its runs, said is erased."""
    return f"erased:{quote(tenant, safe='')}" + (f"/{quote(run, safe='')}" if run else "")


async def erased(store: Store, tenant: str, run: str, at_ms: int) -> bool:
    """Whether a request that was made then is erased: nothing of it is to be kept, or sent to anybody."""
    for name in (mark(tenant), mark(tenant, run)):
        if int(await store.do("HGET", store.keys.shadow_state(), name) or -1) >= at_ms:
            return True
    return False


async def replace(store: Store, alias: str, entry: str, before: Line, after: Line) -> bool:
    """Put a line that was compared again in place of the one under this entry id, here and in its pair, and move its count.

    False when the line is gone from the stream; counts then stay as they are. Doing it twice changes nothing.
    """
    pair = store.keys.pair(after.tenant, after.pair)
    await store.script(RENEW, sha(RENEW), [pair], [msgspec.json.encode(after)])
    keys = [store.keys.diffs(alias), store.keys.shadow_counts(alias)]
    words = [_word(each.candidate.release, each) for each in (before, after)]
    return bool(await store.script(REPLACE, sha(REPLACE), keys, [entry, *words, *fields(after)]))


async def get(store: Store, tenant: str, pair: str) -> tuple[Line, Contents] | None:
    """A stored pair; None when it is unknown or past its ttl."""
    found = await store.read("HGETALL", store.keys.pair(tenant, pair))
    if not found or b"line" not in found:
        return None
    parts = {name: zlib.decompress(found[name.encode()]) for name in _PARTS if name.encode() in found}
    about = {n.decode(): v.decode() for n, v in found.items() if n.decode() not in (*_PARTS, "line", "v")}
    return msgspec.json.decode(found[b"line"], type=Line), Contents(**parts, about=about)


async def lines(store: Store, alias: str, *, since_ms: int = 0, limit: int = LINES_KEPT) -> list[Line]:
    """Lines of an alias, newest first. Lines of another schema version are passed over."""
    return [line for _, line in await entries(store, alias, since_ms=since_ms, limit=limit)]


async def entries(
    store: Store, alias: str, *, since_ms: int = 0, before: str = "", limit: int = LINES_KEPT
) -> list[tuple[str, Line]]:
    """Lines of an alias with their entry ids, newest first: those written since then, and before an entry."""
    key, end = store.keys.diffs(alias), f"({before}" if before else "+"
    made: list[tuple[str, Line]] = []
    while len(made) < limit:
        page = await store.read("XREVRANGE", key, end, str(since_ms) if since_ms else "-", "COUNT", PAGE)
        for identifier, given in page:
            line = _line(given)
            if line is not None:
                made.append((identifier.decode(), line))
        if len(page) < PAGE:
            break
        end = "(" + page[-1][0].decode()
    return made[:limit]


async def newest(store: Store, names: Sequence[str], limit: int) -> dict[str, list[Line]]:
    """The newest lines of each alias, newest first, in one round trip."""
    answers = await store.read_many([("XREVRANGE", store.keys.diffs(name), "+", "-", "COUNT", limit) for name in names])
    return {
        name: [line for _, given in page if (line := _line(given)) is not None]
        for name, page in zip(names, answers, strict=True)
    }


async def find(store: Store, alias: str, pair: str) -> Line | None:
    """The line of a pair; None when the alias has none, or not any more."""
    key, end, wanted = store.keys.diffs(alias), "+", pair.encode()
    while page := await store.read("XREVRANGE", key, end, "-", "COUNT", PAGE):
        for _, given in page:
            told = given if isinstance(given, dict) else dict(zip(given[::2], given[1::2], strict=False))
            if told.get(b"pair") == wanted:
                return _line(told)
        end = "(" + page[-1][0].decode()
    return None


async def counts(store: Store, alias: str) -> dict[str, dict[str, int]]:
    """Results by candidate, then by word: `pair:identical`, `skip:tools`, `dead`."""
    found: dict[str, dict[str, int]] = {}
    for name, number in (await store.read("HGETALL", store.keys.shadow_counts(alias))).items():
        candidate, _, word = name.decode().partition(" ")
        found.setdefault(candidate, {})[word] = int(number)
    return found


def fields(line: Line) -> tuple[str | bytes, ...]:
    """A line as the fields of a stream entry: what people filter by as text of its own, the rest as JSON."""
    plain: Iterable[tuple[str, str | bytes]] = (
        ("v", SCHEMA),
        ("pair", line.pair),
        ("tenant", line.tenant),
        ("run", line.run),
        ("step", str(line.step)),
        ("turn", line.turn.value),
        ("primary", line.primary.release),
        ("candidate", line.candidate.release),
        ("class", line.pair_class.value),
        ("severity", f"{line.severity:g}"),
        ("similarity", f"{line.similarity:.4f}"),
        ("differences", msgspec.json.encode(line.differences)),
        ("latency", _both(line.primary.total_ms, line.candidate.total_ms)),
        ("tokens", _both(_output(line.primary.observed), _output(line.candidate.observed))),
        ("cost", _both(line.primary.cost, line.candidate.cost)),
        ("line", msgspec.json.encode(line)),
    )
    return tuple(part for pair in plain for part in pair)


_PARTS = ("request", "primary", "candidate", "secondary")


_NO_MARKS: Sequence[str | bytes | int] = (1, "", "")


def _marks(line: Line) -> list[str | bytes | int]:
    return [line.at_ms, mark(line.tenant), mark(line.tenant, line.run)]


async def _finished(
    store: Store,
    alias: str,
    pair: str,
    words: tuple[str, str],
    now_ms: int,
    marks: Sequence[str | bytes | int],
    line: Sequence[str | bytes],
) -> bool:
    keys = [
        store.keys.shadow_state(),
        store.keys.shadow_done(alias),
        store.keys.shadow_counts(alias),
        store.keys.diffs(alias),
    ]
    arguments: list[str | bytes | int] = [*marks, pair, now_ms, now_ms - DONE_MS, *words, LINES_KEPT, *line]
    return bool(await store.script(FINISH, sha(FINISH), keys, arguments))


def _word(candidate: str, line: Line) -> str:
    return f"{candidate} pair:{line.pair_class.value}"


def _both(primary: float | None, candidate: float | None) -> bytes:
    return msgspec.json.encode({"primary": primary, "candidate": candidate})


def _output(observed: Any) -> int | None:
    return observed.usage.output if observed is not None and observed.usage is not None else None


def _line(given: Any) -> Line | None:
    told = given if isinstance(given, dict) else dict(zip(given[::2], given[1::2], strict=False))
    if told.get(b"v") != SCHEMA.encode():
        return None
    try:
        return msgspec.json.decode(told[b"line"], type=Line)
    except (KeyError, msgspec.MsgspecError):
        return None
