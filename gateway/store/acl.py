"""The Redis user that Trivet needs and no more, as one ACL line. A test runs a gateway under it and reads the server's ACL log.

Rule of the file: key and channel patterns are the prefix, commands are named one by one; nothing that looks at other
people's keys, changes the server, or empties it.
"""

from __future__ import annotations

COMMANDS = (
    "ping",
    "hello",
    "select",
    "time",
    "get",
    "set",
    "exists",
    "del",
    "unlink",
    "ttl",
    "pttl",
    "pexpire",
    "hget",
    "hmget",
    "hgetall",
    "hset",
    "hsetnx",
    "hdel",
    "hkeys",
    "hincrby",
    "sadd",
    "sismember",
    "smembers",
    "zadd",
    "zcard",
    "zscore",
    "zrem",
    "zrevrange",
    "zrevrangebyscore",
    "zremrangebyscore",
    "xadd",
    "xrange",
    "xrevrange",
    "xtrim",
    "xlen",
    "xinfo|stream",
    "xdel",
    "xack",
    "xgroup|create",
    "xreadgroup",
    "xpending",
    "xclaim",
    "publish",
    "subscribe",
    "eval",
    "evalsha",
    "script|load",
    "client|setname",
    "info",
    "dbsize",
    "config|get",
)
"""Both sides of the store use these. `info`, `dbsize` and `config|get` are for `trivet store`; without them it says that it cannot tell.
Only `trivet tenant erase` needs more: `scan`, which shows the names of other people's keys, is given for its time."""


def acl_line(user: str, prefix: str, password: str = "CHANGE-ME") -> str:  # noqa: S107 - a placeholder that says so
    """An `ACL SETUSER` command, for Redis 6.2 or newer and Valkey."""
    allowed = " ".join(f"+{command}" for command in COMMANDS)
    return f"ACL SETUSER {user} reset on >{password} ~{prefix}:* &{prefix}:* {allowed}"
