"""A candidate over stored pairs, on a real server."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway.control import replay as rooms
from gateway.control.desk import Desk
from gateway.control.replay import Order, replay
from gateway.core.contract.fault import Fault
from gateway.settings.model import ProviderSettings
from gateway.store import jobs, pairs
from tests.control.conftest import Make, Place
from tests.control.stored import keep, line
from tests.shadow.jobs import BODY

pytestmark = pytest.mark.anyio


@pytest.fixture
async def past(desk: Desk, made: Make, placed: Place) -> tuple[Desk, str]:
    """Five stored requests of release A against B, one of them redacted; the desk an hour later, and candidate C."""
    await placed("agent", {"*": "A"})
    two = (await made("A"), await made("B"))
    for number in range(5):
        capture = "redacted" if number == 4 else "full"
        await keep(desk.store, number, two, alias="agent", capture=capture, at_ms=desk.now_ms - 1000 + number)
    key = ProviderSettings(base_url="https://api.openai.com", background_api_key="sk-b")
    settings = msgspec.structs.replace(desk.settings, providers={"openai": key})
    return replace(desk, settings=settings, now_ms=desk.now_ms + 3_600_000), await made("C")


async def test_stored_requests_become_jobs_once(past: tuple[Desk, str]) -> None:
    """Each request kept whole is handed over as the client sent it, for the new candidate; asked again nothing is doubled."""
    desk, candidate = past
    order = Order("agent", candidate, 0, secondary=1.0)
    found = await replay(desk, order)
    assert (found.pairs, found.added, found.queued, found.left, found.done) == (4, 4, 4, 0, 0)
    assert found.passed_over == {"not kept whole": 1}
    assert (await replay(desk, order)).added == 0
    await jobs.prepare(desk.store)
    got = await jobs.take(desk.store, "w", 10, 100)
    assert sorted(each.job.pair for each in got if each.job) == [f"req_{n}.{candidate}" for n in range(4)]
    first = got[0]
    assert first.job is not None and first.body == BODY and b"40" in first.reply
    assert first.job.replay_ms == desk.now_ms and first.job.secondary and first.job.candidate == candidate
    assert first.job.at_ms < desk.now_ms - 3_600_000


async def test_an_interrupted_replay_goes_on(past: tuple[Desk, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Results, skips and what waits are not handed over again; what died in the queue is, an hour later."""
    desk, candidate = past
    monkeypatch.setattr(rooms, "BATCH", 2)
    order = Order("agent", candidate, 0)
    assert (await replay(desk, replace(order, look=True))).added == 0
    assert (await replay(desk, order)).left == 2
    await jobs.prepare(desk.store)
    got = [each.job for each in await jobs.take(desk.store, "w", 10, 100) if each.job]
    await pairs.finish(desk.store, "agent", candidate, line(got[0], replay_ms=1), desk.now_ms)
    await pairs.skip(desk.store, "agent", candidate, got[1].pair, "tools", desk.now_ms)
    found = await replay(desk, order)
    assert (found.done, found.added, found.queued, found.left, found.spent_micro) == (2, 2, 2, 0, 10)
    later = replace(desk, now_ms=desk.now_ms + jobs.LIFE_MS + 1)
    assert (await replay(later, order)).added == 2


async def test_budget_queue_and_configuration_stop_it(past: tuple[Desk, str], desk: Desk, made: Make) -> None:
    """Nothing is handed over once its budget is spent or the queue is full; what the configuration refuses is refused."""
    there, candidate = past
    order = Order("agent", candidate, 0, budget=10)
    one = await keep(there.store, 1, (await made("A"), candidate), alias="agent", at_ms=there.now_ms)
    assert one.candidate.cost == 10
    assert (await replay(there, order)).stopped == "budget"
    full = msgspec.structs.replace(there.settings.shadow, queue=1)
    tight = replace(there, settings=msgspec.structs.replace(there.settings, shadow=full))
    found = await replay(tight, replace(order, budget=0))
    assert (found.stopped, found.added) == ("queue", 1)
    with pytest.raises(Fault, match="shadow_key"):
        await replay(desk, order)
