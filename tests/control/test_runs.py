"""Runs for an operator."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.releases import create
from gateway.control.runs import listed, restart, show
from gateway.control.use import used
from gateway.core.contract.alias import Split
from gateway.core.contract.fault import Fault
from gateway.core.contract.journal import Outcome, Report, Step
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.core.contract.run import Pin, Stamp, run_digest
from gateway.store import aliases, releases
from gateway.store.records import encode_entry, encode_stamp
from gateway.store.scripts import BIND, sha
from tests.control.conftest import MODELS, Make, Place

pytestmark = pytest.mark.anyio


async def bound(desk: Desk, run: str, release: str, *, at_ms: int, tenant: str = "default") -> Stamp:
    """Bind a run as a live worker does."""
    stamp = Stamp(tenant, run, "agent", release, MODELS["A"], at_ms=at_ms)
    key = run_digest(tenant, run)
    keys = [desk.store.keys.run_of(key), desk.store.keys.journal_of(key)]
    await desk.store.script(BIND, sha(BIND), keys, ["agent", encode_stamp(stamp), 60_000, 60_000, "new", ""])
    await desk.store.do("ZADD", desk.store.keys.release_runs(release), at_ms, key)
    return stamp


async def test_list_by_release_and_time(desk: Desk, made: Make) -> None:
    """Runs are listed newest first, by release and since a time; a run that is not stored any more is left out."""
    a, b = await made("A"), await made("B")
    for number in range(3):
        await bound(desk, f"run-{number}", a, at_ms=1000 + number)
    await bound(desk, "other", b, at_ms=5000)
    assert [row.run for row in await listed(desk)] == ["other", "run-2", "run-1", "run-0"]
    assert [row.run for row in await listed(desk, release=a, since_ms=1001)] == ["run-2", "run-1"]
    await desk.store.do("DEL", desk.store.keys.run("default", "run-2"))
    assert [row.run for row in (await used(desk, a)).runs] == ["run-1", "run-0"]
    assert [row.run for row in (await used(desk, a, limit=1)).runs] == ["run-1"]
    with pytest.raises(Fault, match="release_unknown"):
        await listed(desk, release="rel_0000000000000000")


async def test_show_with_journal(desk: Desk, made: Make) -> None:
    """A run shows its stamps, its steps in order and its outcomes; an entry of another version is counted, not hidden."""
    stamp = await bound(desk, "r", await made("A"), at_ms=1000)
    journal = desk.store.keys.journal("default", "r")
    for number, at_ms in ((2, 3000), (1, 2000)):
        step = Step("q", number, "agent", stamp.release, "agent", stamp.model, stamp.model, Outcome.OK, 200, at_ms, 5.0)
        await desk.store.do("XADD", journal, "*", "entry", encode_entry(step))
    await desk.store.do("XADD", journal, "*", "entry", encode_entry(Report(4000, {"resolved": True})))
    await desk.store.do("XADD", journal, "*", "entry", b'{"type":"from the future"}')
    detail = await show(desk, "r")
    assert detail.stamps == (stamp,)
    assert [step.step for step in detail.steps] == [1, 2]
    assert detail.outcomes[0].metrics == {"resolved": True}
    assert detail.unread == 1
    assert 50 < detail.ttl_s <= 60
    assert (await show(desk, run_digest("default", "r"))).run == "r"
    with pytest.raises(Fault, match="run_unknown"):
        await show(desk, "nobody")
    with pytest.raises(Fault, match="run_unknown"):
        await show(desk, "r", tenant="acme")


async def test_restart_binds_to_the_current_release(desk: Desk, made: Make, placed: Place) -> None:
    """A restart is a new run on what is stable now; the old run keeps its stamp, and the new one is stored at once."""
    await placed("agent", {"*": "A"})
    old = await bound(desk, "r", await made("A"), at_ms=1000)
    b = await made("B")
    await promote(desk, "agent", b, "better")
    result = await restart(desk, "r")
    assert result.old == "r"
    assert result.run != "r"
    (stamp,) = result.stamps
    assert (stamp.release, stamp.model, stamp.pin) == (b, MODELS["B"], Pin.PINNED)
    assert (await show(desk, result.run)).stamps == (stamp,)
    assert (await show(desk, "r")).stamps == (old,)
    assert [row.run for row in (await used(desk, b)).runs] == [result.run]
    await releases.block(desk.store, b, "leaks")
    with pytest.raises(Fault, match="release_blocked"):
        await restart(desk, "r")


async def test_restart_offers_no_tools_that_nobody_listed(desk: Desk, made: Make, placed: Place) -> None:
    """A run that an operator restarts goes to a rollout's candidate only if that brings no prompt or tools of its own."""
    await placed("agent", {"*": "A"})
    await bound(desk, "r", await made("A"), at_ms=1000)
    tools = LegAsk(content='[{"name": "refund"}]')
    armed = (await create(desk, ReleaseAsk(model=MODELS["B"], tools=tools))).id
    for candidate, wanted in ((armed, await made("A")), (await made("C"), await made("C"))):
        state = await desk.alias("agent")
        split = Split(candidate, "s", {"*": 10_000})
        await aliases.write(desk.store, state, msgspec.structs.replace(state, split=split), desk.entry("canary", "t"))
        assert (await restart(desk, "r")).stamps[0].release == wanted
