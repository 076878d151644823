"""What a shadow will cost, from the traffic of the last day on a real server."""

from __future__ import annotations

import pytest

from gateway.control import shadow_cost as rooms
from gateway.control.desk import Desk
from gateway.control.shadow_cost import DAY_MS, estimate
from gateway.core.contract.alias import AliasState
from gateway.core.contract.exchange import Outcome, Usage
from gateway.core.contract.journal import Step
from gateway.core.contract.release import Snapshot
from gateway.core.contract.run import Stamp, run_digest
from gateway.core.contract.shadowing import Estimate
from gateway.store.records import encode_entry, encode_stamp
from tests.control.conftest import MODELS, Place

pytestmark = pytest.mark.anyio

C, B = Snapshot.parse(MODELS["C"]), Snapshot.parse(MODELS["B"])
UNKNOWN = Snapshot("openai", "nobody-knows")


async def traffic(desk: Desk, state: AliasState, *, runs: int, alone: int, old: int = 0) -> None:
    """Runs of two steps each, runs of one request, and older ones that do not count."""
    lane = state.lanes["*"].release

    def step(number: int, at_ms: int) -> bytes:
        usage = Usage(1000, 100) if number % 2 else None
        told = Step("q", number, state.name, lane, "m", MODELS["A"], "m", Outcome.OK, 200, at_ms, 5.0, usage=usage)
        return encode_entry(told)

    keys = desk.store.keys
    for number in range(runs + old):
        at_ms = desk.now_ms - (DAY_MS + 1000 if number >= runs else 1000)
        stamp = Stamp("t", f"r{number}", state.name, lane, MODELS["A"], at_ms=at_ms)
        key = run_digest("t", f"r{number}")
        await desk.store.do("HSET", keys.run_of(key), f"stamp:{state.name}", encode_stamp(stamp))
        await desk.store.do("ZADD", keys.release_runs(lane), at_ms, key)
        for each in (1, 2):
            await desk.store.do("XADD", keys.journal_of(key), "*", "entry", step(each, at_ms))
    for number in range(alone):
        at_ms = desk.now_ms - 5000 + number
        await desk.store.do("XADD", keys.steps(state.name), f"{at_ms}-1", "entry", step(1, at_ms))


async def told(desk: Desk, state: AliasState, candidate: Snapshot = B) -> Estimate:
    """The estimate at 10 percent, a fifth of it twice."""
    return await estimate(desk, state, (0.1, 0.2), [(C, candidate)])


async def test_the_last_day_is_counted_and_priced(desk: Desk, placed: Place) -> None:
    """Requests of runs and of single requests count, older ones do not; the mean goes over those with known tokens."""
    state = await placed("agent", {"*": "A"})
    await traffic(desk, state, runs=30, alone=40, old=5)
    found = await told(desk, state)
    assert (found.requests, found.sampled, found.input, found.output) == (100, 70, 1000, 100)
    # both cost 2.5 and 10 USD per million tokens
    assert found.candidate_micro == round(100 * 0.1 * 3500)
    assert found.secondary_micro == round(100 * 0.1 * 0.2 * 3500)
    assert (found.cap_micro, found.why) == (120_000_000, "")


async def test_more_than_is_counted_is_reckoned_from_its_time(
    desk: Desk, placed: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where only the newest runs and steps are read, a day's number follows from the time that these took."""
    state = await placed("agent", {"*": "A"})
    await traffic(desk, state, runs=10, alone=0)
    monkeypatch.setattr(rooms, "LISTED", 5)
    assert (await told(desk, state)).requests == 2 * round(5 * DAY_MS / 1000)
    await desk.store.do("DEL", desk.store.keys.release_runs(state.lanes["*"].release))
    await traffic(desk, state, runs=0, alone=10)
    monkeypatch.setattr(rooms, "STEPS", 5)
    assert (await told(desk, state)).requests == round(5 * DAY_MS / 4995)


async def test_what_is_not_known_is_said(desk: Desk, placed: Place) -> None:
    """No traffic, and a model without a price, give no amount but a reason; the part that is known is told all the same."""
    state = await placed("agent", {"*": "A"})
    found = await told(desk, state)
    assert (found.requests, found.candidate_micro, found.secondary_micro) == (0, None, None)
    assert "no request" in found.why
    await traffic(desk, state, runs=1, alone=1)
    found = await told(desk, state, UNKNOWN)
    assert found.candidate_micro is None and found.secondary_micro == round(3 * 0.1 * 0.2 * 3500)
    assert "openai/nobody-knows" in found.why
