"""Runs of the gate in progress: what each is, who asks what now, and what came of it.

Rule of the file: an answer counts once. Who asks claims first; a claim whose holder is silent for a few seconds is open again,
and of two answers to one question the first stays. Only what has no score may be asked again. What a call cost is counted even
when its answer came too late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.gate_run import GateRun, Outcome
from gateway.store.client import Store
from gateway.store.scripts import sha

LIFE_MS = 86_400_000
"""A run that nobody works on for so long is gone."""
SILENT_MS = 3_000
"""A claim is open again when its holder was not heard of for so long, by the store's clock."""
CLAIM = """
if redis.call('HEXISTS', KEYS[1], 'about') == 0 then return {'gone'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], 'worker ' .. ARGV[1], now)
redis.call('PEXPIRE', KEYS[1], ARGV[3])
local reply = {'claimed'}
for i = 5, #ARGV do
  if #reply > tonumber(ARGV[4]) then break end
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  local open = not held
  if held and string.sub(held, 1, 1) == '~' then
    local heard = redis.call('HGET', KEYS[1], 'worker ' .. string.sub(held, 2))
    open = not heard or tonumber(heard) < now - tonumber(ARGV[2])
  end
  if open then
    redis.call('HSET', KEYS[1], ARGV[i], '~' .. ARGV[1])
    reply[#reply + 1] = ARGV[i]
  end
end
return reply
"""
"""Claim questions for a worker, and hear of it. KEYS: run. ARGV: worker, silent ms, life ms, how many, questions in order.
Reply: `claimed` and those that are its own now, or `gone`."""
PUT = """
if redis.call('HEXISTS', KEYS[1], 'about') == 0 then return {'gone', 0} end
for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.sub(held, 1, 1) ~= '~' then return {'put', 0} end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HDEL', KEYS[1], 'evidence')
return {'put', 1}
"""
"""Keep an answer unless there is one; evidence made without it is not the run's any more. KEYS: run. ARGV: question, outcome, then
counters and what they rise by."""
REOPEN = """
for i = 1, #ARGV do
  if string.sub(redis.call('HGET', KEYS[1], ARGV[i]) or '', 1, 5) == '[null' then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return {'reopened'}
"""
"""Forget what came of these questions where that is no score. KEYS: run. ARGV: questions."""

_run = msgspec.json.Decoder(GateRun).decode
_outcome = msgspec.json.Decoder(Outcome).decode
_COUNTERS = ("spent", "unpriced", "calls", "input", "output")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a question took: one call, or more with those of the judge and those sent again."""

    calls: int = 0
    micro: int = 0
    unpriced: int = 0
    input: int = 0
    output: int = 0

    def plus(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(
            self.calls + other.calls,
            self.micro + other.micro,
            self.unpriced + other.unpriced,
            self.input + other.input,
            self.output + other.output,
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """A run as it stands. `outcomes` is what came of each question; `held` are questions that somebody asks."""

    run: GateRun
    outcomes: Mapping[str, Outcome]
    held: frozenset[str]
    cost: Cost
    evidence: str
    """Digest, once finished."""


async def begin(store: Store, run: GateRun) -> None:
    """Store a run. Raises Fault."""
    key = store.keys.gate(run.id)
    await store.do("HSET", key, "about", msgspec.json.encode(run))
    await store.do("PEXPIRE", key, LIFE_MS)


async def get(store: Store, identifier: str) -> Stored:
    """A run as it stands. Raises Fault 404 `gate_unknown`."""
    flat = await store.read("HGETALL", store.keys.gate(identifier))
    found = dict(zip(flat[::2], flat[1::2], strict=True)) if isinstance(flat, list) else dict(flat)
    if b"about" not in found:
        raise unknown(identifier)
    run = _run(found.pop(b"about"))
    evidence = found.pop(b"evidence", b"").decode()
    spent, unpriced, calls, read, written = (int(found.pop(name.encode(), 0)) for name in _COUNTERS)
    outcomes: dict[str, Outcome] = {}
    held: set[str] = set()
    for name, value in found.items():
        field = name.decode()
        if field.startswith("worker "):
            continue
        if value[:1] == b"~":
            held.add(field)
        else:
            outcomes[field] = _outcome(value)
    return Stored(run, outcomes, frozenset(held), Cost(calls, spent, unpriced, read, written), evidence)


async def claim(store: Store, identifier: str, worker: str, questions: Sequence[str], count: int = 1) -> list[str]:
    """Claim the first `count` of these questions that are open; none is also how a worker is heard of. Raises Fault 404."""
    arguments: list[str | bytes | int] = [worker, SILENT_MS, LIFE_MS, count, *questions]
    reply = await store.script(CLAIM, sha(CLAIM), [store.keys.gate(identifier)], arguments)
    if reply[0] == b"gone":
        raise unknown(identifier)
    return [each.decode() for each in reply[1:]]


async def put(store: Store, identifier: str, question: str, outcome: Outcome, cost: Cost) -> bool:
    """Keep what came of a question; False when there was an answer already. The cost is counted in both cases. Raises Fault 404
    `gate_unknown` when the run is gone."""
    rises: list[str | bytes | int] = []
    counted = (cost.micro, cost.unpriced, cost.calls, cost.input, cost.output)
    for name, by in zip(_COUNTERS, counted, strict=True):
        rises += [name, by]
    arguments = [question, msgspec.json.encode(outcome), *rises]
    reply = await store.script(PUT, sha(PUT), [store.keys.gate(identifier)], arguments)
    if reply[0] == b"gone":
        raise unknown(identifier)
    return bool(reply[1])


async def reopen(store: Store, identifier: str, questions: Sequence[str]) -> None:
    """Have those of these questions that have no score asked again; what has one keeps it. Raises Fault."""
    if questions:
        await store.script(REOPEN, sha(REOPEN), [store.keys.gate(identifier)], list(questions))


async def finished(store: Store, identifier: str, digest: str) -> None:
    """Remember the evidence that a run came to. Raises Fault."""
    await store.do("HSET", store.keys.gate(identifier), "evidence", digest)


def unknown(identifier: str) -> Fault:
    """No such run."""
    message = f"there is no run {identifier[:64]} of a gate; one is kept for a day after its last call"
    return Fault(Kind.NOT_FOUND, "gate_unknown", message, param="id")
