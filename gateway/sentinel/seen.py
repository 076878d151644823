"""What calls that are made anyway say of releases: read from the journal, where each call's end is written, and from shadow's lines.

Rule of the file: it only reads, and only the newest entries. What a caller was refused with its own credential says nothing of a
release, nor does a request that was wrong; probes tell for themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.core.binding import internal
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Plan, Step
from gateway.core.contract.pair import Line, Side
from gateway.core.pinning.warm import Seen, Sign
from gateway.store import pairs
from gateway.store.client import Store
from gateway.store.records import ENTRY, decode_entry

ENTRIES = 40
"""Newest entries of an alias's stream of runs of one request; a request takes two."""
RUNS = 3
"""Runs of a release that are looked at,"""
STEPS = 4
"""and newest entries of each one's journal."""
LINES = 10
"""Newest pairs of an alias's shadow."""
AT_ONCE = 100
"""Commands of one round trip."""
GONE = "release_unavailable"
"""Flag of a step whose provider no longer has the model."""
LOST = frozenset({Outcome.PROVIDER_ERROR, Outcome.TIMEOUT, Outcome.REFUSED, Outcome.CUT, Outcome.INCOMPLETE})
PROBE = internal.TENANT + "probe"
GATE = internal.TENANT + "gate"

Calls = dict[str, list[Seen]]
"""By release, oldest first."""


async def traffic(store: Store, aliases: Iterable[str], releases: Iterable[str]) -> Calls:
    """What the newest calls of these aliases, and of these releases by name or in runs, came to. Raises Fault."""
    wanted = list(releases)
    streams = [store.keys.steps(name) for name in (*aliases, *wanted)]
    found: Calls = {}
    for page in await _many(store, [("XREVRANGE", key, "+", "-", "COUNT", ENTRIES) for key in streams]):
        _count(found, page)
    runs = await _many(store, [("ZREVRANGE", store.keys.release_runs(name), 0, RUNS - 1) for name in wanted])
    keys = [store.keys.journal_of(run.decode()) for page in runs for run in page]
    for page in await _many(store, [("XREVRANGE", key, "+", "-", "COUNT", STEPS) for key in dict.fromkeys(keys)]):
        _count(found, page)
    return {release: sorted(seen) for release, seen in found.items()}


async def shadowed(store: Store, aliases: Sequence[str]) -> Calls:
    """What the newest pairs of these aliases came to; `store` is the one that has them. Raises Fault."""
    found: Calls = {}
    for lines in (await pairs.newest(store, aliases, LINES)).values() if aliases else ():
        for line in lines:
            for side in (line.candidate, line.secondary):
                if side is not None:
                    _add(found, side.release, _of_side(line, side))
    return {release: sorted(seen) for release, seen in found.items()}


def sign_of(step: Step) -> tuple[Sign, str] | None:
    """What a step says of its release; None for nothing."""
    if GONE in step.flags:
        return Sign.GONE, f"the model is gone: status {step.status}"
    if step.outcome is Outcome.OK and 200 <= step.status < 300:
        return Sign.WORKED, ""
    if step.attempts and (step.status == 429 or step.status >= 500 or (step.outcome in LOST and step.status < 400)):
        return Sign.TROUBLE, step.code or f"status {step.status}"
    return None


def _of_side(line: Line, side: Side) -> Seen | None:
    if not side.failed and 200 <= side.status < 300:
        return Seen(line.at_ms, Sign.WORKED, "shadow")
    if side.status == 429 or side.status >= 500 or not side.status:
        return Seen(line.at_ms, Sign.TROUBLE, "shadow", side.failed or f"status {side.status}")
    return None


def _count(found: Calls, page: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> None:
    """Take in a page, newest first. A run of one request has its plan before its step: it says whose request it was."""
    tenants: dict[str, str] = {}
    steps: list[Step] = []
    for _, fields in page:
        entry = _read(fields)
        if isinstance(entry, Plan):
            tenants[entry.stamp.run] = entry.stamp.tenant
        elif isinstance(entry, Step):
            steps.append(entry)
    for step in steps:
        tenant = tenants.get("r-" + step.request, "")
        # Without its plan a call by the release's name might be a probe's, which would then count twice.
        told = None if tenant == PROBE or (not tenant and step.alias == step.release) else sign_of(step)
        if told is not None and step.release:
            _add(found, step.release, Seen(step.at_ms, told[0], "gate" if tenant == GATE else "live", told[1]))


def _add(found: Calls, release: str, seen: Seen | None) -> None:
    if seen is not None:
        found.setdefault(release, []).append(seen)


def _read(fields: Any) -> Any:
    told = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        return decode_entry(told[ENTRY.encode()])
    except (KeyError, msgspec.MsgspecError):
        return None


async def _many(store: Store, commands: Sequence[Sequence[str | bytes | float]]) -> list[Any]:
    found: list[Any] = []
    for at in range(0, len(commands), AT_ONCE):
        found += await store.read_many(commands[at : at + AT_ONCE])
    return found
