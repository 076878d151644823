"""Whether the store keeps what it acknowledges: eviction policy, persistence, and what the server will not tell.

Stamps and pointers need `noeviction` (measured: allkeys-lru evicted both) and an append-only file (measured: without one
a killed server keeps nothing). Rule of the file: silence is not safety; only `store.assume: durable` vouches for it.
"""

from __future__ import annotations

from typing import Any

from gateway.core.contract.fault import Fault
from gateway.core.contract.records import Safety
from gateway.store.client import Store

_REFUSALS = frozenset({"store_error", "store_auth"})
"""Codes of an answer that means `I will not tell`, as managed servers and ACLs give."""


async def check(store: Store) -> Safety:
    """Ask the server. Raises Fault only when the store cannot be reached; a refusal to tell is part of the answer."""
    instance = await store.read("HGETALL", store.keys.store())
    told: dict[str, Any] = {}
    for section in ("server", "memory", "persistence", "replication", "cluster"):
        told.update(await _ask(store, "INFO", section))
    configured: dict[str, Any] = {}
    for name in ("maxmemory-policy", "appendonly", "appendfsync"):
        configured.update(await _ask(store, "CONFIG", "GET", name))
    policy = _text(configured.get("maxmemory-policy") or told.get("maxmemory_policy"))
    appendonly = _switch(configured.get("appendonly"), told.get("aof_enabled"))
    appendfsync = _text(configured.get("appendfsync"))
    warnings = [
        *_policy_warnings(policy),
        *_persistence_warnings(appendonly, appendfsync, told),
        *_shape_warnings(told),
    ]
    untold = [
        name for name, known in (("maxmemory-policy", policy), ("appendonly", appendonly is not None)) if not known
    ]
    assumed = store.settings.assume == "durable"
    server = "valkey" if "valkey_version" in told else "redis"
    version = _text(told.get("valkey_version") or told.get("redis_version"))
    return Safety(
        where=store.where,
        server=f"{server} {version}" if version else "",
        instance=_text(instance.get(b"instance")),
        schema=int(_text(instance.get(b"schema")) or 0),
        safe=not warnings and (assumed or not untold),
        policy=policy,
        appendonly=appendonly,
        appendfsync=appendfsync,
        warnings=tuple(warnings),
        untold=tuple(untold),
        assumed=assumed and bool(untold),
        used_bytes=int(told.get("used_memory", 0)),
        max_bytes=int(told.get("maxmemory", 0)),
        keys=int(await store.read("DBSIZE")),
    )


def _policy_warnings(policy: str) -> list[str]:
    if policy in ("", "noeviction"):
        return []
    loss = "pointers and stamps" if policy.startswith("allkeys") else "stamps, which have a ttl,"
    fix = "Set it to noeviction, on a server of its own if a cache needs eviction."
    return [f"maxmemory-policy is {policy}: at its memory limit the server throws {loss} away. {fix}"]


def _persistence_warnings(appendonly: bool | None, appendfsync: str, told: dict[str, Any]) -> list[str]:
    found = []
    if appendonly is False:
        found.append("appendonly is off: a killed server forgets what it acknowledged. Set appendonly yes.")
    elif appendonly and appendfsync == "no":
        found.append("appendfsync is no: a crash of the machine may lose half a minute. Set appendfsync everysec.")
    if _text(told.get("aof_last_write_status", "ok")) != "ok":
        found.append("the last write of the append-only file failed: free space on the server's disk.")
    return found


def _shape_warnings(told: dict[str, Any]) -> list[str]:
    found = []
    if int(told.get("cluster_enabled", 0)):
        found.append("the server runs in cluster mode, which is not supported yet: use a single node or Sentinel.")
    if _text(told.get("role", "master")) != "master":
        found.append("the server is a replica and refuses writes: point store.redis at the primary or its Sentinels.")
    version = _text(told.get("redis_version"))
    if version and tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
        found.append(f"the server speaks {version}; 6.2 or newer is needed.")
    return found


async def _ask(store: Store, *command: str) -> dict[str, Any]:
    try:
        answer = await store.read(*command)
    except Fault as fault:
        if fault.code in _REFUSALS:
            return {}
        raise
    return {_text(key): value for key, value in answer.items()} if isinstance(answer, dict) else {}


def _switch(configured: Any, told: Any) -> bool | None:
    if configured is not None:
        return _text(configured) == "yes"
    return None if told is None else bool(int(told))


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)
