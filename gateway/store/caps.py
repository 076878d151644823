"""What all shadow workers of a store share: slots, the hour's spending, and pauses of a provider. One hash, one script per step.

Rule of the file: a cap holds over every worker on every machine. A worker that dies keeps its slot no longer than its lease, and
money is counted when it was spent: an hour may be overdrawn by the calls that were in flight when its budget ran out.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store.client import Store
from gateway.store.scripts import PAUSE, sha

HOUR_MS = 3_600_000

ADMIT = """
local now, hour, slots, spent = tonumber(ARGV[2]), ARGV[3], 0, 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local name, value = all[at], all[at + 1]
  if string.sub(name, 1, 5) == 'slot:' then
    if tonumber(value) <= now then redis.call('HDEL', KEYS[1], name) else slots = slots + 1 end
  elseif name == 'spent:' .. hour then spent = tonumber(value)
  elseif string.sub(name, 1, 6) == 'spent:' and tonumber(string.sub(name, 7)) < tonumber(hour) - 1 then
    redis.call('HDEL', KEYS[1], name)
  elseif name == 'pause:' .. ARGV[1] and tonumber(value) > now then return {'paused', tonumber(value)}
  end
end
if tonumber(ARGV[4]) > 0 and spent >= tonumber(ARGV[4]) then return {'budget', (tonumber(hour) + 1) * 3600000} end
if slots >= tonumber(ARGV[5]) then return {'slots', now + 100} end
redis.call('HSET', KEYS[1], 'slot:' .. ARGV[6], now + tonumber(ARGV[7]))
return {'ok', 0}
"""
"""Take a slot. KEYS: state. ARGV: provider, now ms, hour, budget of an hour in micro-USD (0: none), slots, lease id, lease ms.
Reply: `ok`, or why not and until when (ms)."""


@dataclass(frozen=True, slots=True)
class Caps:
    """What is allowed. `budget` is micro-USD in an hour, 0 for none; `slots` are calls at the same time."""

    slots: int
    budget: int
    lease_ms: int
    """Longer than a call may take."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """`why` is empty when the call may be made; else `paused`, `budget` or `slots`, and it may be tried again at `until_ms`."""

    why: str
    until_ms: int


async def admit(store: Store, caps: Caps, provider: str, lease: str, now_ms: int) -> Admitted:
    """Ask for a slot at a provider under a lease id of the caller's."""
    arguments: list[str | bytes | int] = [
        provider,
        now_ms,
        now_ms // HOUR_MS,
        caps.budget,
        caps.slots,
        lease,
        caps.lease_ms,
    ]
    word, until = await store.script(ADMIT, sha(ADMIT), [store.keys.shadow_state()], arguments)
    return Admitted("" if word == b"ok" else word.decode(), int(until))


async def release(store: Store, lease: str, spent: int, now_ms: int) -> None:
    """Give the slot back, and count what the call cost in micro-USD."""
    key = store.keys.shadow_state()
    commands: list[tuple[str | bytes | int, ...]] = [("HDEL", key, f"slot:{lease}")]
    if spent:
        commands.append(("HINCRBY", key, f"spent:{now_ms // HOUR_MS}", spent))
    await store.read_many(commands)


async def forget(store: Store, worker: str) -> None:
    """Give back the slots of leases that begin with a worker's name and a dot: its earlier process is dead."""
    key = store.keys.shadow_state()
    mine = f"slot:{worker}.".encode()
    held = [name for name in await store.read("HKEYS", key) if name.startswith(mine)]
    if held:
        await store.do("HDEL", key, *held)


async def pause(store: Store, provider: str, until_ms: int) -> None:
    """No shadow call to this provider until then: it is near its limit, and live traffic comes first."""
    await store.script(PAUSE, sha(PAUSE), [store.keys.shadow_state()], [provider, until_ms])


async def pauses(store: Store, now_ms: int) -> dict[str, int]:
    """Providers that are paused now, and until when (ms)."""
    state = await store.do("HGETALL", store.keys.shadow_state())
    found = {name.decode()[6:]: int(value) for name, value in state.items() if name.startswith(b"pause:")}
    return {name: until for name, until in found.items() if until > now_ms}


async def spent(store: Store, now_ms: int) -> int:
    """Micro-USD spent in the hour of `now_ms`."""
    return int(await store.do("HGET", store.keys.shadow_state(), f"spent:{now_ms // HOUR_MS}") or 0)
