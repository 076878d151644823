"""Comparing stored pairs again after the rules of comparison changed.

Rule of the file: a pair has one line. A new one stands in place of the old one, in the stream, in the pair and in the counts;
what cannot be compared again keeps the line it has, and is told by reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from gateway.control.desk import Desk
from gateway.control.shadow_reads import entry_id
from gateway.control.shadow_store import results
from gateway.core.contract.pair import Line
from gateway.core.contract.release import Mode, Release
from gateway.core.contract.shadowing import Rediffed
from gateway.store import pairs, releases
from gateway.store.pairs import Contents

Again = Callable[[Line, Contents, tuple[bytes, bytes]], Line | None]
"""How a pair is compared (`shadow.again`): rooms of one floor do not meet, so it is given."""


async def rediff(
    desk: Desk, alias: str, again: Again, since_ms: int = 0, *, before: str = "", limit: int = 500
) -> Rediffed:
    """Compare up to `limit` pairs of an alias again whose requests were made since then, newest first; `before` goes on where
    an earlier piece ended. Doing it twice changes nothing more.

    Raises Fault 404 `alias_unknown`, 400 `bad_cursor`.
    """
    await desk.alias(alias)
    entry_id(before)
    passed: Counter[str] = Counter()
    classes: Counter[str] = Counter()
    toolsets: dict[str, bytes | None] = {}
    looked = changed = 0
    async with results(desk) as store:
        found = await pairs.entries(store, alias, since_ms=since_ms, before=before, limit=limit)
        for entry, old in found:
            if old.at_ms < since_ms:
                continue
            looked += 1
            stored = await pairs.get(store, old.tenant, old.pair)
            if stored is None:
                passed["expired"] += 1
                continue
            tools = [await _tools(desk, name, toolsets) for name in (old.primary.release, old.candidate.release)]
            if tools[0] is None or tools[1] is None:
                passed["release_unknown"] += 1
                continue
            new = again(stored[0], stored[1], (tools[0], tools[1]))
            if new is None:
                passed["not kept whole"] += 1
            elif new != old and await pairs.replace(store, alias, entry, old, new):
                changed += 1
                if new.pair_class is not old.pair_class:
                    classes[f"{old.pair_class.value} to {new.pair_class.value}"] += 1
    return Rediffed(
        alias=alias,
        looked=looked,
        changed=changed,
        classes=dict(classes),
        passed_over=dict(passed),
        before=found[-1][0] if len(found) == limit else "",
    )


async def _tools(desk: Desk, release: str, known: dict[str, bytes | None]) -> bytes | None:
    """The toolset that a release puts in place of the sent one, empty for none; None when its record or toolset is gone."""
    if release not in known:
        known[release] = await _read(desk, await releases.get(desk.store, release))
    return known[release]


async def _read(desk: Desk, release: Release | None) -> bytes | None:
    if release is None:
        return None
    leg = release.triple.tools
    return await releases.artifact(desk.store, leg.digest) if leg.mode is Mode.SERVE else b""
