"""The shadow's rows of the table, on a real store: each does what it says, and contents take their right."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from gateway.admin import asks
from gateway.admin.operations import OPERATIONS
from gateway.admin.rights import Actor
from gateway.admin.visit import Visit
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.settings.model import ADMIN_RIGHTS, ProviderSettings
from tests.control.conftest import Make, Place, desk, made, package_redis, pins, placed
from tests.control.stored import keep

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


async def do(desk: Desk, name: str, ask: msgspec.Struct, *lacking: str) -> Any:
    """An operation by somebody who has every right but these, through its written form."""
    operation = OPERATIONS[name]
    actor = Actor("alice", frozenset(ADMIN_RIGHTS) - set(lacking))
    answer = await operation.run(Visit(actor, desk, cast(Any, None)), ask)
    again = msgspec.json.decode(msgspec.json.encode(answer), type=operation.answer)
    assert again == answer
    return answer


@pytest.fixture
async def there(desk: Desk, made: Make, placed: Place) -> tuple[Desk, str]:
    """An alias with one stored pair of its release and B; the configuration captures."""
    await placed("agent", {"*": "A"})
    key = ProviderSettings(base_url="https://api.openai.com", background_api_key="sk-b")
    settings = msgspec.structs.replace(desk.settings, capture="redacted", providers={"openai": key})
    candidate = await made("B")
    await keep(desk.store, 1, (await made("A"), candidate), alias="agent", at_ms=desk.now_ms)
    return replace(desk, settings=settings), candidate


async def test_every_operation_of_the_shadow(there: tuple[Desk, str], made: Make) -> None:
    """Plan, start, status, report, pairs, lines, show, rediff, replay, stop and erase, each once."""
    desk, b = there
    plan = await do(desk, "shadow.plan", asks.ShadowPlanAsk("agent", b, 0.5))
    started = await do(desk, "shadow.start", asks.ShadowStart("agent", b, "t", 0.5))
    assert started.plan.estimate == plan.estimate and started.after[0].rate == 5000
    assert [row.running for row in (await do(desk, "shadow.status", asks.ShadowList())).shadows] == [True]
    assert (await do(desk, "shadow.report", asks.ShadowOne("agent"))).pairs == 1
    (row,) = await do(desk, "shadow.pairs", asks.PairList("agent"))
    assert (await do(desk, "shadow.show", asks.PairOne(row.pair))).candidate.text == "It costs 41."
    assert (await do(desk, "shadow.rediff", asks.RediffAsk("agent"))).looked == 1
    assert (await do(desk, "shadow.replay", asks.ReplayAsk("agent", await made("C"), 0))).added == 1
    assert (await do(desk, "shadow.stop", asks.ShadowStop("agent", "all", "t"))).after == ()
    told = await do(desk, "tenant.erase", asks.TenantErase("t", "they left"))
    assert (told.done, told.removed) == (True, {"pair": 1, "line": 1, "job": 1})


async def test_contents_take_their_right(there: tuple[Desk, str]) -> None:
    """Without `content` a pair has no answers and its differences no values, and nobody is erased."""
    desk, _ = there
    bare = await do(desk, "shadow.show", asks.PairOne("req_1." + there[1]), "content")
    (line,) = (await do(desk, "shadow.lines", asks.LineList("agent"), "content")).lines
    for told in (bare.line, line):
        assert told.differences and all(d.primary == d.candidate == "" for d in told.differences)
    assert bare.request is bare.primary is None
    (full,) = (await do(desk, "shadow.lines", asks.LineList("agent"))).lines
    assert full.differences[0].candidate == "41"
    with pytest.raises(Fault, match="right_missing"):
        await do(desk, "tenant.erase", asks.TenantErase("t", "they left"), "content")
