"""Runs for an operator: list, show with the journal, restart. A run is found by its id and tenant, or by RUN of its key."""

from __future__ import annotations

import re
import secrets

from gateway.control.desk import Desk
from gateway.control.releases import row_of
from gateway.core.binding.decide import choose, lane_of
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import RunDetail, RunRestart, RunRow
from gateway.core.contract.release import PinClass, Release
from gateway.core.contract.run import Pin, Source, Stamp, run_digest
from gateway.store import aliases, releases, runs
from gateway.store.records import encode_stamp
from gateway.store.scripts import BIND, sha

DEFAULT_TENANT = "default"
"""Tenant of every caller without a key."""
RUN_KEY = re.compile(r"[0-9a-f]{32}")
ID_CHARACTERS = 128


async def listed(desk: Desk, *, release: str = "", since_ms: int = 0, limit: int = 200) -> list[RunRow]:
    """Stored runs, newest first: of one release, or of all. Runs of one request have no key and are not listed.

    Raises Fault 404 for an unknown release.
    """
    wanted = [(await desk.release(release)).id] if release else [r.id for r in await releases.newest(desk.store)]
    found: list[Stamp] = []
    for name in wanted:
        found += await runs.of_release(desk.store, name, since_ms=since_ms, limit=limit)
    return [row_of(stamp) for stamp in sorted(found, key=lambda stamp: -stamp.at_ms)[:limit]]


async def show(desk: Desk, run: str, *, tenant: str = "") -> RunDetail:
    """One run with its stamps and its journal in order. Raises Fault 404 `run_unknown`, 400 when tenants share the id."""
    found = await _found(desk, run, tenant)
    journal = await runs.journal(desk.store, found.key)
    return RunDetail(
        run=found.stamps[0].run,
        tenant=found.stamps[0].tenant,
        stamps=found.stamps,
        steps=tuple(sorted(journal.steps, key=lambda step: (step.at_ms, step.step))),
        outcomes=journal.outcomes,
        ttl_s=found.ttl_s,
        unread=journal.unread,
    )


async def restart(desk: Desk, run: str, *, tenant: str = "") -> RunRestart:
    """A new run on the current releases of the old one's aliases; the old run stays as it is.

    Bindings of names that are no alias (floating pass-through) are not carried over: they bind anew when called.
    Raises Fault as `show`, 409 `release_blocked` when an alias has nothing to run on.
    """
    old = await _found(desk, run, tenant)
    first = old.stamps[0]
    new = f"{first.run[: ID_CHARACTERS - 10]}.r{secrets.token_hex(4)}"
    segment = _segment(desk, first.tenant)
    planned: list[Stamp] = []
    for before in old.stamps:
        state = await aliases.get(desk.store, before.alias)
        if state is None:
            continue
        choice = choose(state, before.tenant, segment, new, await _same_legs(desk, state, before.tenant, segment))
        release = await desk.release(choice.release)
        if release.blocked:
            message = (
                f"alias {before.alias} is on {release.id}, which is blocked ({release.blocked}); roll it back first"
            )
            raise Fault(Kind.CONFLICT, "release_blocked", message)
        planned.append(
            Stamp(
                tenant=before.tenant,
                run=new,
                alias=before.alias,
                release=release.id,
                model=release.triple.model,
                lane=choice.lane,
                arm=choice.arm,
                pin=_pin(release, learned=state.learned),
                source=Source.HEADER,
                version=state.version,
                at_ms=desk.now_ms,
                allocation=choice.allocation,
            )
        )
    for stamp in planned:
        await _bind(desk, stamp)
    return RunRestart(old=first.run, run=new, tenant=first.tenant, stamps=tuple(planned))


async def _same_legs(desk: Desk, state: AliasState, tenant: str, segment: str) -> bool:
    """Whether a candidate brings no prompt or tools of its own: there is no executor here to say that it can run others."""
    if state.split is None or state.split.weight <= 0:
        return True
    _, lane = lane_of(state, tenant, segment)
    one, other = (await desk.release(lane.release)).triple, (await desk.release(state.split.candidate)).triple
    return (one.prompt, one.tools) == (other.prompt, other.tools)


async def _bind(desk: Desk, stamp: Stamp) -> None:
    """Store a stamp as a live worker does, so the first call of the new run resumes it. It takes one step number."""
    key = run_digest(stamp.tenant, stamp.run)
    ttl = int(desk.settings.runs.ttl * 1000)
    journal_ttl = int(desk.settings.store.journal_ttl * 1000)
    arguments: list[str | bytes | int] = [stamp.alias, encode_stamp(stamp), ttl, journal_ttl, "new", "restart"]
    await desk.store.script(BIND, sha(BIND), [desk.store.keys.run_of(key), desk.store.keys.journal_of(key)], arguments)
    await desk.store.do("ZADD", desk.store.keys.release_runs(stamp.release), stamp.at_ms, key)


async def _found(desk: Desk, run: str, tenant: str) -> runs.Run:
    if RUN_KEY.fullmatch(run) and not tenant:
        by_key = await runs.get(desk.store, run)
        if by_key is not None:
            return by_key
    tenants = [tenant] if tenant else sorted({DEFAULT_TENANT, *(key.tenant for key in desk.settings.keys)})
    found = [r for r in [await runs.get(desk.store, run_digest(name, run)) for name in tenants] if r is not None]
    if len(found) > 1:
        listed = ", ".join(sorted(r.stamps[0].tenant for r in found))
        raise Fault(
            Kind.BAD_REQUEST, "tenant_needed", f"several tenants have a run {run}; say which with --tenant: {listed}"
        )
    if not found:
        message = f"no run {run} is stored for {', '.join(tenants)}: it was never bound, or its ttl is over"
        raise Fault(Kind.NOT_FOUND, "run_unknown", message, param="run")
    return found[0]


def _segment(desk: Desk, tenant: str) -> str:
    for key in desk.settings.keys:
        if key.tenant == tenant and key.segment:
            return key.segment
    return next((name for name, tenants in desk.settings.segments.items() if tenant in tenants), "")


def _pin(release: Release, *, learned: bool) -> Pin:
    if release.pin is PinClass.PINNED:
        return Pin.LEARNED if learned else Pin.PINNED
    return Pin.FLOATING if release.pin is PinClass.FLOATING else Pin.UNKNOWN
