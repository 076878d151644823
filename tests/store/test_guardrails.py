"""Counting a rollout from its streams: once per unit and metric, exactly once over crashes, and never of another rollout."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.journal import Event, Exposure
from gateway.core.contract.rollout import Action, Guardrail, Phase, Plan, Rollout, Stage, Tally
from gateway.settings.model import StoreSettings
from gateway.store import guardrails
from gateway.store.acl import acl_line
from gateway.store.client import Store, unavailable
from gateway.store.guardrails import advance, tally
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio

ALIAS = "support/eu"
STAGE = Stage("*", 500, 60_000, 50)
WATCHED = (
    Guardrail("error"),
    Guardrail("latency_ms", Action.FREEZE, above="p95"),
    Guardrail("outcome.really ok", Action.FREEZE),
)
CANARY, STABLE = "* canary 500", "* stable 500"


def made(name: str = "a" * 16, version: int = 5, by: str = "run", **given: Any) -> Rollout:
    """A rollout in its first stage."""
    plan = Plan(stages=(STAGE,), promoting=STAGE, guardrails=WATCHED, by=by)
    limits = {"latency_ms": 1000.0}
    return Rollout(name, "rel_2", "rel_1", ("*",), plan, Phase.CANARY, at=0, version=version, limits=limits, **given)


ROLLOUT = made()


def exposure(run: str, arm: str = "canary", **given: Any) -> Exposure:
    """A run of the rollout was bound."""
    told: dict[str, Any] = {"allocation": 500, "salt": ROLLOUT.id, "at_ms": 7, "version": 5} | given
    return Exposure(run, "t", ALIAS, "rel_2" if arm == "canary" else "rel_1", arm, **told)


def event(run: str, arm: str = "canary", **given: Any) -> Event:
    """A request of such a run."""
    told: dict[str, Any] = {"allocation": 500, "version": 5, "at_ms": 9} | given
    return Event(run, told.pop("release", "rel_2" if arm == "canary" else "rel_1"), arm, **told)


async def add(store: Store, *entries: Exposure | Event | bytes) -> None:
    """Write entries as the journal does; bytes are an event that nobody can read."""
    for entry in entries:
        key = store.keys.exposures(ALIAS) if isinstance(entry, Exposure) else store.keys.events(ALIAS)
        await store.do("XADD", key, "*", "entry", entry if isinstance(entry, bytes) else msgspec.json.encode(entry))


async def test_a_unit_counts_once_per_metric(store: Store) -> None:
    """Units, bad ones, seen outcomes and tripwires are counted once per unit, however often and in however many calls they come."""
    await add(store, exposure("r1"), exposure("r1"), exposure("s1", "stable"), exposure("s2", "stable", at_ms=99))
    await add(store, event("r1", bad=("error", "refusal"), trips=("undeclared_tool",), at_ms=12))
    await add(store, event("r1", bad=("error",), values={"latency_ms": 1500.0}, trips=("undeclared_tool",), at_ms=11))
    await add(store, event("s1", "stable", values={"latency_ms": 1500.0}, trips=("undeclared_tool",)))
    await add(store, event("s2", "stable", values={"latency_ms": 1.0, "outcome.really ok": 1.0}))
    expected = Tally(
        units={CANARY: 1, STABLE: 2},
        first={CANARY: 1, STABLE: 2},
        bad={"error": {CANARY: 1}, "latency_ms": {CANARY: 1, STABLE: 1}},
        seen={"outcome.really ok": {STABLE: 1}},
        trips={"undeclared_tool": 1},
        newest_ms=7,
        first_bad_ms=11,
    )
    assert await advance(store, ALIAS, ROLLOUT) == expected
    assert await advance(store, ALIAS, ROLLOUT) == await tally(store, ALIAS) == expected
    await add(store, event("s2", "stable", values={"outcome.really ok": 0.0}), event("r1", bad=("error",), at_ms=3))
    after = await advance(store, ALIAS, ROLLOUT)
    assert after.bad["outcome.really ok"] == {STABLE: 1} and after.seen == expected.seen
    assert after.bad["error"] == {CANARY: 1} and after.first_bad_ms == 3
    assert 0 < await store.do("PTTL", store.keys.rollout_units(ALIAS)) <= guardrails.UNITS_MS


async def test_runs_of_two_tenants_under_one_name_are_two_units(store: Store) -> None:
    """Tenants name their runs as they like: what two of them call by one name counts twice, and is no unit in both arms."""
    for tenant, arm in (("t", "canary"), ("u", "stable"), ("v", "canary")):
        await add(store, msgspec.structs.replace(exposure("1", arm), tenant=tenant))
        await add(store, event("1", arm, tenant=tenant, bad=("error",), trips=("undeclared_tool",)))
    found = await advance(store, ALIAS, ROLLOUT)
    assert found.units == found.first == {CANARY: 2, STABLE: 1} and found.twice == 0
    assert found.bad == {"error": {CANARY: 2, STABLE: 1}} and found.trips == {"undeclared_tool": 2}


async def test_what_is_not_of_the_rollout_is_ignored(store: Store) -> None:
    """Runs bound before it, outside of the split, under another salt, and samples of another release say nothing about it."""
    await add(store, exposure("a", version=4), exposure("b", allocation=0), exposure("c", salt="b" * 16))
    await add(store, event("a", bad=("error",), version=4), event("b", bad=("error",), allocation=0))
    await add(store, event("d", bad=("error",), release="rel_1"), event("e", "stable", bad=("error",), release="rel_2"))
    assert await advance(store, ALIAS, ROLLOUT) == Tally()
    assert await tally(store, "never") == Tally()


async def test_tenants_come_again(store: Store) -> None:
    """A tenant counts in each stage it comes in and once for its first arm; both arms under one allocation is a fault, a ramp is none."""
    plan = made(by="tenant")
    wider: dict[str, Any] = {"unit": "t1", "allocation": 2500}
    await add(store, exposure("r1", "stable", unit="t1"), exposure("r2", "stable", unit="t1"), exposure("r3", **wider))
    found = await advance(store, ALIAS, plan)
    assert found.units == {STABLE: 1, "* canary 2500": 1} and found.first == {STABLE: 1} and found.twice == 0
    await add(store, exposure("r4", "stable", **wider), exposure("r5", "stable", **wider))
    assert (await advance(store, ALIAS, plan)).twice == 1
    await add(store, event("r1", "stable", unit="t1", bad=("error",)), event("r3", bad=("error",), **wider))
    assert (await advance(store, ALIAS, plan)).bad == {"error": {STABLE: 1}}


async def test_nameless_agents_come_again(store: Store) -> None:
    """A nameless agent sticks by its opening, which comes again: another arm at a wider weight is the ramp, and no fault."""
    opening: dict[str, Any] = {"unit": "o1"}
    await add(store, exposure("r1", "stable", **opening), exposure("r2", allocation=2500, **opening))
    found = await advance(store, ALIAS, ROLLOUT)
    assert found.twice == 0 and found.first == {STABLE: 1}
    assert found.units == {STABLE: 1, "* canary 2500": 1}


async def test_a_run_in_both_arms_is_a_fault(store: Store) -> None:
    """A run has its arm for good: in both, under whatever allocations, it is counted as such, once."""
    await add(store, exposure("r"), exposure("r", "stable", allocation=2500), exposure("r", "stable", allocation=2500))
    found = await advance(store, ALIAS, ROLLOUT)
    assert found.twice == 1 and found.units == {CANARY: 1, "* stable 2500": 1}


class Dying(Store):
    """A store whose process dies at some scripts: before it is sent, or after it was carried out."""

    dice = random.Random(17)

    async def script(self, text: str, digest: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """As the store does, or not at all, or without an answer."""
        fate = self.dice.random()
        if fate < 0.15:
            raise unavailable("died before")
        answer = await super().script(text, digest, keys, arguments)
        if fate > 0.85:
            raise unavailable("died after")
        return answer


async def test_crashes_and_takeovers_count_exactly_once(
    store: Store, redis_server: RealRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three processes that count at once and die at every point lose nothing and double nothing."""
    monkeypatch.setattr(guardrails, "PAGE", 7)
    dice = random.Random(3)
    expected: dict[str, set[str]] = {}
    async with Dying(StoreSettings(redis=redis_server.url, data_dir="unused")) as dying:
        for _ in range(6):
            for _ in range(25):
                run = f"r{dice.randrange(60)}"
                arm = "canary" if int(run[1:]) % 4 == 0 else "stable"
                bad = ("error",) if dice.random() < 0.3 else ()
                await add(store, exposure(run, arm), event(run, arm, bad=bad))
                expected.setdefault(f"units * {arm} 500", set()).add(run)
                if bad:
                    expected.setdefault(f"error * {arm} 500", set()).add(run)
            await asyncio.gather(*(advance(dying, ALIAS, ROLLOUT) for _ in range(3)), return_exceptions=True)
    found = await advance(store, ALIAS, ROLLOUT)
    counted = {f"units {key}": n for key, n in found.units.items()}
    counted |= {f"error {key}": n for key, n in found.bad["error"].items()}
    assert counted == {name: len(runs) for name, runs in expected.items()}
    assert not found.lost and found.twice == 0


class Late(Store):
    """A store whose process is held up between reading and counting, while a later rollout begins to be counted."""

    later: Rollout | None = None

    async def script(self, text: str, digest: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """As the store does, after somebody else went first."""
        later, self.later = self.later, self.later if text != guardrails.APPLY else None
        if later is not None and text == guardrails.APPLY:
            await advance(self, ALIAS, later)
        return await super().script(text, digest, keys, arguments)


async def test_a_late_batch_is_thrown_away(store: Store, redis_server: RealRedis) -> None:
    """What was read for one rollout is never counted for the next, however late it comes."""
    await add(store, exposure("r1"), event("r1", bad=("error",)))
    async with Late(StoreSettings(redis=redis_server.url, data_dir="unused")) as late:
        late.later = made("b" * 16, version=9)
        await advance(late, ALIAS, ROLLOUT)
    assert await tally(store, ALIAS) == Tally()


async def test_a_call_is_bounded(store: Store) -> None:
    """A call reads about as many entries as it may, and the next goes on from there."""
    await add(store, *(exposure(f"r{n}") for n in range(30)))
    assert (await advance(store, ALIAS, ROLLOUT, limit=10)).units == {}  # it only began
    assert (await advance(store, ALIAS, ROLLOUT, limit=10)).units == {CANARY: 10}
    assert (await advance(store, ALIAS, ROLLOUT)).units == {CANARY: 30}


async def test_another_rollout_counts_afresh(store: Store) -> None:
    """Counts of one rollout never become another's, and a process that still has the older one changes nothing."""
    await add(store, exposure("r1"), event("r1", bad=("error",)))
    assert (await advance(store, ALIAS, ROLLOUT)).units == {CANARY: 1}
    later = made("b" * 16, version=9)
    await add(store, exposure("r1", version=9, salt=later.id))
    assert await advance(store, ALIAS, later) == Tally(units={CANARY: 1}, first={CANARY: 1}, newest_ms=7)
    with pytest.raises(Fault) as refused:
        await advance(store, ALIAS, ROLLOUT)
    assert refused.value.code == "rollout_state"
    assert (await tally(store, ALIAS)).units == {CANARY: 1}


async def test_a_rollout_begins_where_it_began(store: Store) -> None:
    """Entries from long before it are not even read; what is a minute around it is."""
    seconds, _ = await store.do("TIME")
    await add(store, exposure("r1"))
    begun = made(since_ms=(int(seconds) + 3600) * 1000)
    assert await advance(store, ALIAS, begun) == Tally()
    soon = made("c" * 16, since_ms=int(seconds) * 1000)
    await add(store, exposure("r1", salt=soon.id))
    assert (await advance(store, ALIAS, soon)).units == {CANARY: 1}


async def test_what_was_trimmed_is_said(store: Store) -> None:
    """A stream that was trimmed past what was read says so, by its writers or by hand; what is left is counted."""
    await add(store, event("r1"), *(exposure(f"r{n}") for n in range(5)))
    assert not (await advance(store, ALIAS, ROLLOUT)).lost
    key = store.keys.exposures(ALIAS)
    await store.do("XTRIM", key, "MAXLEN", 1)
    assert not (await advance(store, ALIAS, ROLLOUT)).lost
    await add(store, *(exposure(f"r{n}") for n in range(5, 15)))
    await store.do("XTRIM", key, "MAXLEN", 4)
    found = await advance(store, ALIAS, ROLLOUT)
    assert found.lost and found.units == {CANARY: 9}
    assert (await advance(store, ALIAS, ROLLOUT)).lost_ms == found.lost_ms


async def test_a_full_stream_needs_no_word_of_the_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server does not tell what it trimmed (before 7), a full stream without the entry read last says it."""
    monkeypatch.setattr(guardrails, "READ", guardrails.READ.replace("'XINFO', 'STREAM'", "'XINFO', 'CONSUMERS'"))
    await add(store, *(exposure(f"r{n}") for n in range(5)))
    assert not (await advance(store, ALIAS, ROLLOUT)).lost
    await add(store, *(exposure(f"r{n}") for n in range(5, 15)))
    await store.do("XTRIM", store.keys.exposures(ALIAS), "MAXLEN", 5)
    assert (await advance(store, ALIAS, ROLLOUT, kept=5)).lost


async def test_an_old_full_stream_is_no_loss(store: Store) -> None:
    """A rollout that begins on a stream that is full of older entries lost nothing; one whose beginning is gone did."""
    await add(store, *(exposure(f"r{n}") for n in range(5)))
    seconds, _ = await store.do("TIME")
    assert not (await advance(store, ALIAS, made(since_ms=(int(seconds) + 1) * 1000), kept=5)).lost
    assert (await advance(store, ALIAS, made("c" * 16, since_ms=1), kept=5)).lost


async def test_an_erasure_is_no_loss(store: Store) -> None:
    """Entries that a tenant had erased are not missing; what was counted of them stays."""
    await add(store, *(exposure(f"r{n}") for n in range(5)))
    await advance(store, ALIAS, ROLLOUT)
    key = store.keys.exposures(ALIAS)
    await add(store, exposure("r9"))
    for identifier, _ in (await store.read("XRANGE", key, "-", "+"))[:5]:
        await store.do("XDEL", key, identifier)
    found = await advance(store, ALIAS, ROLLOUT)
    assert not found.lost and found.units == {CANARY: 6}


async def test_what_cannot_be_read_is_lost(store: Store) -> None:
    """An entry that is no record is passed over, and said."""
    await add(store, b"{", event("r1", bad=("error",)))
    found = await advance(store, ALIAS, ROLLOUT)
    assert found.lost and found.bad == {"error": {CANARY: 1}}


async def test_it_works_under_the_least_user(redis_server: RealRedis) -> None:
    """Counting needs nothing that the printed line of the ACL does not give."""
    assert b"OK" in redis_server.ask(acl_line("counting", "trivet", "pw"))
    redis_server.ask("ACL LOG RESET")
    url = redis_server.url.replace("//", "//counting:pw@")
    async with Store(StoreSettings(redis=url, data_dir="unused")) as limited:
        await add(limited, exposure("r1"), exposure("r1", "stable"), event("r1", bad=("error",)))
        assert (await advance(limited, ALIAS, ROLLOUT)).twice == 1
    assert redis_server.ask("ACL LOG").strip() == b"*0"
