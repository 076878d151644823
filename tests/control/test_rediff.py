"""Comparing stored pairs again, on a real server with the real rules."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.rediff import rediff
from gateway.core.contract.pair import PairClass
from gateway.shadow.again import again
from gateway.store import pairs
from tests.control.conftest import Make, Place
from tests.control.stored import keep

pytestmark = pytest.mark.anyio


async def test_new_rules_give_new_lines_in_place_of_the_old_ones(desk: Desk, made: Make, placed: Place) -> None:
    """A line that says identical of 40 and 41 becomes divergent; counts move with it; a second time changes nothing."""
    await placed("agent", {"*": "A"})
    two = (await made("A"), await made("B"))
    for number in (1, 2):
        await keep(desk.store, number, two, alias="agent", found=PairClass.IDENTICAL)
    await keep(desk.store, 3, two, alias="agent", capture="redacted")
    await keep(desk.store, 4, ("rel_gone", two[1]), alias="agent")
    gone = await keep(desk.store, 5, two, alias="agent")
    await keep(desk.store, 6, two, alias="agent", at_ms=1)
    await desk.store.do("DEL", desk.store.keys.pair("t", gone.pair))
    found = await rediff(desk, "agent", again, since_ms=500)
    assert (found.looked, found.changed) == (5, 2)
    assert found.classes == {"identical to divergent": 2}
    assert found.passed_over == {"not kept whole": 1, "release_unknown": 1, "expired": 1}
    assert (await pairs.counts(desk.store, "agent"))[two[1]] == {"pair:identical": 0, "pair:divergent": 6}
    lines = await pairs.lines(desk.store, "agent")
    assert sorted(line.pair for line in lines) == sorted({line.pair for line in lines}) and len(lines) == 6
    first = await rediff(desk, "agent", again, limit=4)
    assert first.looked == 4 and first.before
    assert (await rediff(desk, "agent", again, before=first.before)).looked == 2
