"""The Lua texts of the store, shared by the live side and the control side. Each is one atomic step; none touches two hash tags.

Replies are arrays whose first element says what the reply is about, so a reply that belongs to another command is noticed.
Written for the Redis 6.2 command level.
"""

from __future__ import annotations

import hashlib

BIND = """
local field = 'stamp:' .. ARGV[1]
local tag = string.match(KEYS[1], '{(.*)}')
local stored = redis.call('HGET', KEYS[1], field)
local fate = 0
if not stored then
  if ARGV[5] == 'resume' then return {tag, -1, 0} end
  fate = ARGV[5] == 'known' and 2 or 1
elseif ARGV[5] == 'known' and stored ~= ARGV[2] then
  local there, here = cjson.decode(stored), cjson.decode(ARGV[2])
  if (there.release ~= here.release or there.model ~= here.model) and (here.at_ms or 0) < (there.at_ms or 0) then fate = 3 end
end
if fate > 0 then
  redis.call('HSET', KEYS[1], field, ARGV[2])
  redis.call('XADD', KEYS[2], '*', 'entry', '{"type":"plan","stamp":' .. ARGV[2] .. '}')
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
local step
if ARGV[6] == '' then
  step = redis.call('HINCRBY', KEYS[1], 'steps', 1)
else
  step = redis.call('HGET', KEYS[1], 'label:' .. ARGV[6])
  if not step then
    step = redis.call('HINCRBY', KEYS[1], 'steps', 1)
    redis.call('HSET', KEYS[1], 'label:' .. ARGV[6], step)
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if fate > 0 or stored == ARGV[2] then return {tag, fate, tonumber(step)} end
return {tag, 0, tonumber(step), stored}
"""
"""Bind (tenant, run, alias) to a stamp, number the step, keep the run alive, write PLAN when the stamp is new.

KEYS: run hash, journal. ARGV: alias, stamp JSON, run ttl ms, journal ttl ms, mode, step label or "".
Mode `new` binds when there is no stamp; `resume` does not; `known` brings a stamp that was bound before (ticket, host log)
and, where it differs from the stored one, lets the earlier binding win.
Reply: RUN, fate, step, and the stored stamp where it is not the given one. Fate: -1 no stamp, 0 resumed, 1 new, 2 known stamp put back,
3 known stamp replaced a later one.
"""

REPLAY = """
local field = 'stamp:' .. ARGV[1]
local tag = string.match(KEYS[1], '{(.*)}')
local stored = redis.call('HGET', KEYS[1], field)
local fate = 1
if stored then
  local there, here = cjson.decode(stored), cjson.decode(ARGV[2])
  if there.release == here.release and there.model == here.model then fate = 0
  elseif (here.at_ms or 0) < (there.at_ms or 0) then fate = 3
  else fate = 2 end
end
if fate == 1 or fate == 3 then
  redis.call('HSET', KEYS[1], field, ARGV[2])
  redis.call('XADD', KEYS[2], '*', 'entry', '{"type":"plan","stamp":' .. ARGV[2] .. '}')
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
local steps = tonumber(redis.call('HGET', KEYS[1], 'steps') or '0')
if steps < tonumber(ARGV[5]) then redis.call('HSET', KEYS[1], 'steps', ARGV[5]) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
return {tag, fate}
"""
"""Put a stamp of the host log, or of a run of one request that became a run, into the store.

KEYS: run hash, journal. ARGV: alias, stamp JSON, run ttl ms, journal ttl ms, steps known so far.
Reply: RUN, fate: 0 the same binding is there, 1 written, 2 another binding is there and was made earlier (kept),
3 another binding was there and was made later (replaced).
"""

WRITE_POINTER = """
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version == 0 then return {'missing', 0} end
if version ~= tonumber(ARGV[1]) then return {'version', version} end
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if ARGV[2] ~= '' then
  if tonumber(ARGV[2]) < epoch then return {'epoch', epoch} end
  epoch = tonumber(ARGV[2])
end
local stop = 5 + tonumber(ARGV[5])
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if name == 'split' or name == 'shadows' or name == 'rollout' or name == 'barred' or string.sub(name, 1, 5) == 'lane:' then
    redis.call('HDEL', KEYS[1], name)
  end
end
for at = stop + 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
redis.call('HSET', KEYS[1], 'version', version + 1, 'epoch', epoch)
local entry = {'version', version + 1}
for at = 6, stop do entry[#entry + 1] = ARGV[at] end
local id = redis.call('XADD', KEYS[2], '*', unpack(entry))
redis.call('PUBLISH', ARGV[3], ARGV[4] .. ' ' .. (version + 1))
return {'ok', version + 1, id}
"""
"""Compare and set the whole state of an alias, append to its history, tell the workers.

KEYS: alias hash, history. ARGV: version that must be stored, fencing epoch or "" (no lease needed), channel, alias name,
number n of history values, n history fields and values, then fields and values of the hash (`records.alias_fields`).
Lanes, split, shadows, rollout and bars that are not given are removed; fields of other kinds stay. `version` and `epoch` are the script's own.
Reply: `ok`, new version, history id; or `version`, `epoch` or `missing` with what is stored, and nothing was written.
"""

CREATE_ALIAS = """
local version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version > 0 then return {'exists', version} end
local stop = 3 + tonumber(ARGV[3])
for at = stop + 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1]) end
version = tonumber(redis.call('HGET', KEYS[1], 'version') or '0')
if version < 1 then
  version = 1
  redis.call('HSET', KEYS[1], 'version', 1)
end
local entry = {'version', version}
for at = 4, stop do entry[#entry + 1] = ARGV[at] end
local id = redis.call('XADD', KEYS[2], '*', unpack(entry))
redis.call('PUBLISH', ARGV[1], ARGV[2] .. ' ' .. version)
return {'ok', version, id}
"""
"""Create an alias nobody knows yet; the version in the given fields is kept (restore), at least 1.

KEYS: alias hash, history. ARGV: channel, alias name, number n of history values, n history fields and values, hash fields
and values. Before it, SADD the name to `aliases` and SET NX the releases: a name without a hash is ignored by readers.
Reply: `ok`, version, history id; or `exists`, version.
"""

HEARTBEAT = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], '{"at_ms":' .. string.format('%d', ms) .. ',' .. ARGV[2])
return {'beat', ms}
"""
"""A worker's sign of life, dated by the store's own clock so that no two clocks are compared.

KEYS: workers hash. ARGV: worker id, the rest of `records.Beat` as JSON without its first brace and `at_ms`.
Reply: `beat`, milliseconds of the store's clock.
"""

SHARE = """
local tag = string.match(KEYS[1], '{(.*)}')
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', ms) .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
local requests, tokens, loose, workers, spent = 0, 0, 0, 0, 0
local words = redis.call('HGETALL', KEYS[1])
for at = 1, #words, 2 do
  if words[at] ~= ARGV[1] then
    local said, r, t, l = string.match(words[at + 1], '^(%d+) (%d+) (%d+) (%d+)$')
    if said and ms - tonumber(said) < tonumber(ARGV[6]) then
      requests, tokens, loose, workers = requests + r, tokens + t, loose + l, workers + 1
    else
      redis.call('HDEL', KEYS[1], words[at])
    end
  end
end
if ARGV[5] ~= '' then
  if ARGV[5] ~= '0' then
    redis.call('HSET', KEYS[3], ARGV[1], ARGV[5])
    redis.call('PEXPIRE', KEYS[3], ARGV[8])
  end
  local bills = redis.call('HGETALL', KEYS[3])
  for at = 1, #bills, 2 do
    if bills[at] ~= ARGV[1] then spent = spent + tonumber(bills[at + 1]) end
  end
end
local reply = {tag, requests, tokens, loose, workers, string.format('%.0f', spent)}
local kept = tonumber(ARGV[9])
if kept > 0 then
  for at = 10, #ARGV do redis.call('ZADD', KEYS[2], ms, ARGV[at]) end
  if #ARGV > 9 then redis.call('PEXPIRE', KEYS[2], ARGV[7]) end
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ms - tonumber(ARGV[7]))
  for _, run in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, kept - 1)) do reply[#reply + 1] = run end
end
return reply
"""
"""A worker's word about an account, and what the other workers said.

KEYS: limits hash, limit-runs sorted set, spend hash of the day. ARGV: worker, requests and tokens of its last minute, runs of
one request that it serves now, its spend of the day in millionths of a US dollar or "" (no such limit), ms that a word about
a minute counts, ms that a run goes on, ms that a day's spend is kept, how many runs to tell, digests of runs that had a request.
Reply: account, then of the others requests, tokens, runs of one request, workers, spend; then digests of the runs that go on.
"""

PAUSE = """
local until_ms = tonumber(redis.call('HGET', KEYS[1], 'pause:' .. ARGV[1]) or '0')
if tonumber(ARGV[2]) > until_ms then redis.call('HSET', KEYS[1], 'pause:' .. ARGV[1], ARGV[2]) end
return 1
"""
"""Pause a provider; a pause never becomes shorter. KEYS: state. ARGV: provider, until ms."""

LIVE = (BIND, REPLAY, HEARTBEAT, CREATE_ALIAS, SHARE)
"""What a live worker loads when it connects."""


def sha(text: str) -> str:
    """The name EVALSHA knows a script by."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
