"""What a rollout would take."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control import plans
from gateway.control.desk import Desk
from gateway.control.plans import DAY_MS, HOUR_MS, base_rate, planned, rates, refuse
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.journal import Step
from gateway.core.contract.rollout import Action, Guardrail
from gateway.core.contract.run import Source, Stamp, run_digest
from gateway.core.rollout.planning import BASE_RATE
from gateway.store.records import encode_entry, encode_stamp
from gateway.store.scripts import BIND, sha
from tests.control.conftest import Make, Place
from tests.control.rolling import PLAN

pytestmark = pytest.mark.anyio

NOW = 10 * DAY_MS


def stamp(number: int, lane: str = "*", tenant: str = "t", ago_ms: int = 0) -> Stamp:
    """A run of the last day."""
    return Stamp(tenant, f"r{number}", "agent", "rel_a", "m", lane, source=Source.HEADER, at_ms=NOW - ago_ms)


def step(number: int, outcome: Outcome = Outcome.OK, at_ms: int = NOW) -> Step:
    """A request without a run."""
    return Step(f"q{number}", 1, "agent", "rel_a", "agent", "m", "m", outcome, 200, at_ms, 5.0)


async def test_units_a_day_by_lane() -> None:
    """Runs count in their lane, requests without a run in `*`; tenants count once; an hour at least is taken as the time seen."""
    stamps = [stamp(n, ago_ms=12 * HOUR_MS) for n in range(10)] + [stamp(20, "segment:gold")]
    found = rates(("*", "segment:gold"), stamps, [step(1), step(2)], "run", NOW)
    assert found == {"*": 24.0, "segment:gold": 24.0}
    assert rates(("*",), stamps, [step(1)], "tenant", NOW) == {"*": 2.0}
    assert rates(("tenant:x",), stamps, [], "run", NOW) == {"tenant:x": 0.0}
    assert rates(("*",), [stamp(1), stamp(1, tenant="u")], [], "run", NOW) == {"*": 48.0}, "two tenants, one name"


async def test_base_rate_is_measured_where_enough_is_known() -> None:
    """With enough requests the share that failed; too few, or no failure, take the customary one; clients that left do not count."""
    assert base_rate([step(n, Outcome.TIMEOUT if n < 10 else Outcome.OK) for n in range(200)]) == 0.05
    assert base_rate([step(n, Outcome.TIMEOUT) for n in range(50)]) == BASE_RATE
    assert base_rate([step(n, Outcome.CLIENT_GONE) for n in range(500)]) == BASE_RATE


async def test_base_rate_is_of_runs() -> None:
    """A run with a name is bad once, however many of its requests failed; those that were read stand for all there are."""
    good, bad = [step(1), step(2)], [step(3, Outcome.TIMEOUT), step(4), step(5, Outcome.TIMEOUT)]
    left = [step(6, Outcome.CLIENT_GONE)]
    assert base_rate([], [good] * 90 + [bad] * 10 + [left] * 50, of=150) == 0.1
    assert base_rate([], [good] * 80 + [bad] * 10, of=90) == BASE_RATE
    assert base_rate([step(1)] * 100, [good] * 50 + [bad] * 50, of=300) == pytest.approx(150 / 400)
    assert base_rate([step(1, Outcome.TIMEOUT)] * 100, [], of=7) == 0.5


async def test_the_runs_of_the_incumbent_are_read(desk: Desk, made: Make, placed: Place) -> None:
    """Agents that name their runs have a base rate of their own, from the journals of the last day and of this alias."""
    await placed("agent", {"*": "A"})
    a, b = await made("A"), await made("B")
    for number in range(120):
        told = msgspec.structs.replace(stamp(number), release=a, at_ms=desk.now_ms - number)
        digest = run_digest(told.tenant, told.run)
        keys = [desk.store.keys.run_of(digest), desk.store.keys.journal_of(digest)]
        await desk.store.script(BIND, sha(BIND), keys, ["agent", encode_stamp(told), 60_000, 60_000, "new", ""])
        await desk.store.do("ZADD", desk.store.keys.release_runs(a), told.at_ms, digest)
        outcomes = (Outcome.TIMEOUT if number < 30 else Outcome.OK, Outcome.OK)
        entries = [msgspec.structs.replace(step(number, each, told.at_ms), release=a) for each in outcomes]
        entries.append(msgspec.structs.replace(step(number, Outcome.TIMEOUT, told.at_ms), alias="other"))
        entries.append(step(number, Outcome.TIMEOUT, desk.now_ms - 2 * DAY_MS))
        for entry in entries:
            await desk.store.do("XADD", keys[1], "*", "entry", encode_entry(entry))
    assert (await planned(desk, "agent", b, PLAN)).base_rate == 0.25


async def test_lanes_that_are_left_out_are_named(desk: Desk, made: Make, placed: Place) -> None:
    """A lane with a pointer of its own does not follow `*`: who forgot it reads so before it stays behind."""
    a = await made("A")
    await placed("agent", {"*": "A", "segment:internal": "A"})
    told = (await planned(desk, "agent", await made("B"), PLAN)).warnings
    assert any(f"no part in this and stay where they are: segment:internal on {a}" in each for each in told)
    await placed("usual", {"*": "A"})
    assert not any("no part" in each for each in (await planned(desk, "usual", await made("B"), PLAN)).warnings)


async def test_a_plan_longer_than_its_deadline_is_refused(desk: Desk, made: Make, placed: Place) -> None:
    """Where the measured traffic cannot bring the runs of a stage before its deadline it is refused by name; without traffic nothing is
    refused, and that is said."""
    await placed("agent", {"*": "A"})
    b = await made("B")
    none = await planned(desk, "agent", b, PLAN)
    assert none.refused == ()
    assert "no runs in the last day" in none.warnings[-1]
    for number in range(5):
        entry = encode_entry(step(number, at_ms=desk.now_ms))
        await desk.store.do("XADD", desk.store.keys.steps("agent"), f"{desk.now_ms}-{number}", "entry", entry)
    found = await planned(desk, "agent", b, PLAN)
    assert found.runs_a_day == {"*": 120.0}
    assert found.refused == ()
    tight = msgspec.structs.replace(PLAN, deadline_ms=HOUR_MS)
    with pytest.raises(Fault, match="plan_refused") as caught:
        refuse(await planned(desk, "agent", b, tight))
    assert "5 % of *: needs 1.7 days" in caught.value.message
    with pytest.raises(Fault, match="release_unknown"):
        await planned(desk, "agent", "rel_0000000000000000", PLAN)


async def test_thresholds_that_cannot_be_fixed_are_told_beforehand(
    desk: Desk, made: Make, placed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A metric that acts and has no hundred observations of the incumbent will freeze its stage: the plan says so, with the way round;
    one that is only observed, or has a number, is not mentioned. What cannot be read refuses no plan."""
    await placed("agent", {"*": "A"})
    a, b = await made("A"), await made("B")
    values = (
        Guardrail("latency_ms", Action.FREEZE, above="p95"),
        Guardrail("steps", Action.FREEZE, above=40.0),
        Guardrail("cost_micro", Action.OBSERVE, above="p95"),
    )
    plan = msgspec.structs.replace(PLAN, guardrails=(*PLAN.guardrails, *values))

    async def told() -> list[str]:
        found = await planned(desk, "agent", b, plan)
        return [warning for warning in found.warnings if "was observed" in warning]

    (warning,) = await told()
    assert warning.startswith("latency_ms: the incumbent was observed 0 times of the 100")
    assert "no_data:latency_ms" in warning
    for number in range(100):
        entry = encode_entry(msgspec.structs.replace(step(number, at_ms=desk.now_ms), release=a))
        await desk.store.do("XADD", desk.store.keys.steps("agent"), "*", "entry", entry)
    assert await told() == []

    async def unreadable(*_args: object) -> object:
        raise Fault(Kind.INTERNAL, "journal_unreadable", "damaged")

    monkeypatch.setattr(plans, "baseline", unreadable)
    assert (await planned(desk, "agent", b, plan)).warnings[-1].endswith("nothing is said of thresholds: damaged")
