"""Erasing a tenant on a real server, while the shadow goes on writing."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.control import erase as rooms
from gateway.control.desk import Desk
from gateway.control.erase import erase
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault
from gateway.core.contract.journal import Event, Exposure, Plan, Step
from gateway.core.contract.run import Stamp, run_digest
from gateway.core.contract.shadowing import Erased
from gateway.settings.model import KeySettings
from gateway.store import jobs, pairs
from gateway.store.links import Linked
from gateway.store.records import encode_entry, encode_stamp
from tests.control.conftest import Place
from tests.control.stored import keep, line
from tests.shadow.jobs import job

pytestmark = pytest.mark.anyio

AB = ("rel_a", "rel_b")


async def fill(desk: Desk, tenant: str) -> None:
    """Two runs of a tenant with everything that is stored of one, and a run of one request."""
    do, keys = desk.store.do, desk.store.keys
    for run in ("one", "two"):
        stamp = Stamp(tenant, run, "agent", "rel_a", "openai/m")
        digest = run_digest(tenant, run)
        await do("HSET", keys.run_of(digest), "stamp:agent", encode_stamp(stamp), "steps", 1)
        await do("ZADD", keys.release_runs("rel_a"), 1, digest)
        await do("XADD", keys.journal_of(digest), "*", "entry", encode_entry(Plan(stamp)))
        await do("SET", keys.link(tenant, f"call_{run}"), msgspec.json.encode(Linked(run, "agent")))
        exposed = Exposure(run, tenant, "agent", "rel_a", "stable", 0, "", 1)
        await do("XADD", keys.exposures("agent"), "*", "entry", msgspec.json.encode(exposed))
        event = Event(run, "rel_a", "stable", 1, 500, unit=f"{tenant}/{run}", tenant=tenant)
        await do("XADD", keys.events("agent"), "*", "entry", msgspec.json.encode(event))
        await keep(desk.store, hash((tenant, run)) % 10_000, AB, alias="agent", tenant=tenant, run=run)
        told = msgspec.json.encode(job(tenant=tenant, run=run))
        for stream in (keys.shadow_jobs(), keys.shadow_dead()):
            await do("XADD", stream, "*", "job", told, "body", "what was said")
    await do("HSET", keys.limits(f"tenant/{tenant}"), "w", "1")
    plan = Plan(Stamp(tenant, f"r-{tenant}q", "agent", "rel_a", "openai/m"))
    step = Step(
        f"{tenant}q", 1, "agent", "rel_a", "m", "openai/m", "m", Outcome.OK, 200, 1, 2.0, excerpt="what was said"
    )
    for entry in (plan, step):
        await do("XADD", keys.steps("agent"), "*", "entry", encode_entry(entry))


async def dump(desk: Desk) -> str:
    """Every key and everything in it, but for receipts and marks."""
    found = []
    for name in await desk.store.do("KEYS", "*"):
        kind = (await desk.store.do("TYPE", name)).decode()
        read = {"hash": ("HGETALL", name), "string": ("GET", name), "stream": ("XRANGE", name, "-", "+")}
        read |= {"set": ("SMEMBERS", name), "zset": ("ZRANGE", name, 0, -1)}
        if name not in (b"trivet:erasures", b"trivet:shadow:state"):
            found.append(f"{name} {await desk.store.do(*read[kind])}")
    return "\n".join(found)


async def whole(desk: Desk, tenant: str, run: str = "") -> Erased:
    """An erasure, piece by piece to its end."""
    told = await erase(desk, tenant, "they left", run=run)
    while not told.done:
        told = await erase(desk, tenant, "they left", run=run, cursor=told.cursor)
    return told


@pytest.mark.parametrize("seconds", [4.0, 0.0])
async def test_i9_nothing_of_a_tenant_is_left(
    desk: Desk, placed: Place, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """I9: no key and no entry names the tenant, in one piece or in many; another tenant's stay; the receipt says what went."""
    await placed("agent", {"*": "A"})
    await placed("usual", {"*": "A"})
    await jobs.prepare(desk.store)
    await fill(desk, "acme")
    await fill(desk, "other")
    before = await dump(desk)
    monkeypatch.setattr(rooms, "PIECE_SECONDS", max(seconds, 1e-9))
    told = await whole(desk, "acme")
    left = await dump(desk)
    assert "acme" in before and "acme" not in left
    assert before.count("other") == left.count("other")
    assert told.removed == {
        "pair": 2, "link": 2, "run": 2, "journal": 2, "limits": 1, "line": 2, "step": 2, "exposure": 2, "event": 2, "job": 4,
    }  # fmt: skip
    ((_, fields),) = await desk.store.do("XRANGE", "trivet:erasures", "-", "+")
    receipt = msgspec.json.decode(dict(fields)[b"entry"] if isinstance(fields, dict) else fields[1])
    assert (receipt["tenant"], receipt["actor"], receipt["reason"]) == ("acme", "alice", "they left")
    assert told.receipt and told.audited == "done"
    assert run_digest("acme", "one").encode() not in await desk.store.do("ZRANGE", "trivet:release-runs:{rel_a}", 0, -1)


async def test_i9_later_writes_of_what_was_said_before_are_refused(desk: Desk, placed: Place) -> None:
    """I9: a pair that a worker finishes after the erasure is not stored; one of a request made afterwards is."""
    await placed("agent", {"*": "A"})
    await whole(desk, "acme")
    for at_ms, stored in ((desk.now_ms, False), (desk.now_ms + 60_000, True)):
        late = line(job(at_ms=at_ms, tenant="acme", pair=f"p{at_ms}"))
        assert await pairs.keep(desk.store, late, pairs.Contents(b"said"), 60_000) is stored
        await pairs.finish(desk.store, "agent", "rel_2", late, at_ms)
    assert [each.at_ms for each in await pairs.lines(desk.store, "agent")] == [desk.now_ms + 60_000]


async def test_one_run_goes_and_the_others_stay(desk: Desk, placed: Place) -> None:
    """With a run only what names that run of that tenant goes."""
    await placed("agent", {"*": "A"})
    await fill(desk, "acme")
    told = await whole(desk, "acme", "one")
    assert told.removed == {
        "pair": 1,
        "link": 1,
        "run": 1,
        "journal": 1,
        "line": 1,
        "exposure": 1,
        "event": 1,
        "job": 2,
    }
    left = await dump(desk)
    assert "call_two" in left and "call_one" not in left
    assert await pairs.erased(desk.store, "acme", "one", 1) and not await pairs.erased(desk.store, "acme", "two", 1)


async def test_what_stays_is_said_and_odd_cursors_are_refused(desk: Desk, placed: Place) -> None:
    """Keys in the configuration and lanes of its own are named in the receipt; a cursor of nobody's is refused."""
    await placed("agent", {"*": "A", "tenant:acme": "A"})
    keys = (KeySettings(sha256="0" * 64, tenant="acme"),)
    here = replace(desk, settings=msgspec.structs.replace(desk.settings, keys=keys))
    told = await whole(here, "acme")
    assert told.removed == {} and len(told.kept) == 3 and "agent" in told.kept[2]
    for cursor in ("x", "ä", "eyJzdGFnZSI6ImVuZCJ9"):
        with pytest.raises(Fault, match="bad_cursor"):
            await erase(desk, "acme", "t", cursor=cursor)
