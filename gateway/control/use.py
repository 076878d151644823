"""Who still uses a release, and whether the code of its tools may be removed.

Rule of the file: yes only when nothing can call the old tools any more: no pointer, no rollout, no run that is bound.
"""

from __future__ import annotations

from gateway.control.desk import Desk
from gateway.control.moves import candidate_of
from gateway.control.releases import row_of, serves, warm_in
from gateway.core.contract.alias import AliasState
from gateway.core.contract.records import ReleaseUse
from gateway.core.contract.release import Release
from gateway.store import aliases, labels, releases, runs


async def used(desk: Desk, release: str, *, since_ms: int = 0, limit: int = 1000) -> ReleaseUse:
    """Runs bound to a release, newest first, and what keeps its tools in use. Raises Fault 404 for an unknown release."""
    found = await desk.release(release)
    states = await aliases.every(desk.store)
    rows = [row_of(stamp) for stamp in await runs.of_release(desk.store, release, since_ms=since_ms, limit=limit)]
    bound, left_ms = await runs.alive(desk.store, release)
    toolset = found.triple.tools.digest
    why = _held(states, release, bound, "it")
    for other in await releases.newest(desk.store) if toolset else ():
        if other.id != release and other.triple.tools.digest == toolset:
            count, longest = await runs.alive(desk.store, other.id)
            left_ms = max(left_ms, longest)
            why += _held(states, other.id, count, f"{other.id}, which has the same tools,")
    return ReleaseUse(
        release=release,
        runs=tuple(rows),
        bound=bound,
        ends_ms=desk.now_ms + left_ms if left_ms else 0,
        toolset=toolset,
        labels=labels.of(await labels.every(desk.store), toolset),
        removable=not why,
        why=tuple(why),
        warnings=_warnings(states, found),
    )


def _held(states: dict[str, AliasState], release: str, bound: int, what: str) -> list[str]:
    found = [f"{what} serves {place}" for place in serves(states, release)]
    found += [
        f"{what} is the candidate of alias {name}" for name, state in states.items() if candidate_of(state) == release
    ]
    if bound:
        found.append(f"{bound} run{' is' if bound == 1 else 's are'} bound to {what.removesuffix(',')}")
    return found


def _warnings(states: dict[str, AliasState], release: Release) -> tuple[str, ...]:
    warm = warm_in(states, release.id)
    return (f"rollback may return to it in {', '.join(warm)}: without its tools' code that would fail",) if warm else ()
