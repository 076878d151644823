"""What a shadow found, read from a real server."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.shadow_reads import PageOrder, listed, page, report, show, without_values
from gateway.core.contract.fault import Fault
from gateway.core.contract.pair import PairClass
from gateway.store import pairs
from tests.control.conftest import Place
from tests.control.stored import keep

pytestmark = pytest.mark.anyio

AB = ("rel_a", "rel_b")


async def test_the_report_is_of_one_candidate_and_a_time(desk: Desk, placed: Place) -> None:
    """Lines of other candidates and older requests are left out; the only candidate need not be named, one of two must."""
    await placed("agent", {"*": "A"})
    with pytest.raises(Fault, match="candidate_needed"):
        await report(desk, "agent")
    for number in range(3):
        await keep(desk.store, number, AB, alias="agent", at_ms=1000 + number)
    await pairs.skip(desk.store, "agent", "rel_b", "p", "tools", 5)
    found = await report(desk, "agent")
    assert (found.candidate, found.pairs, found.results) == ("rel_b", 3, {"pair:divergent": 3, "skip:tools": 1})
    assert (await report(desk, "agent", since_ms=1002)).pairs == 1
    await keep(desk.store, 9, ("rel_a", "rel_c"), alias="agent")
    with pytest.raises(Fault) as caught:
        await report(desk, "agent")
    assert "rel_b, rel_c" in caught.value.message
    assert (await report(desk, "agent", "rel_c")).pairs == 1


async def test_lines_come_in_pages(desk: Desk, placed: Place) -> None:
    """Page after page gives every line once, those of one candidate and time; a cursor of nobody's is refused."""
    await placed("agent", {"*": "A"})
    for number in range(5):
        await keep(
            desk.store, number, ("rel_a", "rel_c" if number == 2 else "rel_b"), alias="agent", at_ms=1000 + number
        )
    steps, order = [], PageOrder("agent", "rel_b", 1001, limit=2)
    while True:
        found = await page(desk, order)
        steps += [line.at_ms for line in found.lines]
        if not found.before:
            break
        order = msgspec.structs.replace(order, before=found.before)
    assert steps == [1004, 1003, 1001]
    with pytest.raises(Fault, match="bad_cursor"):
        await page(desk, PageOrder("agent", before="+"))


async def test_pairs_come_gravest_or_newest_first(desk: Desk, placed: Place) -> None:
    """By severity, or by time; each says in what it differs and where."""
    await placed("agent", {"*": "A"})
    for number, severity in enumerate((0.1, 0.9, 0.5)):
        await keep(desk.store, number, AB, alias="agent", severity=severity, at_ms=1000 + number)
    assert [row.severity for row in await listed(desk, "agent", limit=2)] == [0.9, 0.5]
    assert [row.severity for row in await listed(desk, "agent", "rel_b", sort="time")] == [0.5, 0.9, 0.1]
    assert (await listed(desk, "agent"))[0].differs == ("numbers $.text",)
    assert await listed(desk, "agent", "rel_nobody") == []


async def test_a_pair_shows_both_answers_to_who_may_see_them(desk: Desk, placed: Place) -> None:
    """Answers are put together from their bytes; without the right, or without kept contents, only the line is told."""
    await placed("agent", {"*": "A"})
    await placed("usual", {"*": "A"})
    await keep(desk.store, 1, AB, alias="usual")
    await keep(desk.store, 2, AB, alias="agent", capture="hashes")
    found = await show(desk, "req_1.rel_b", contents=True)
    assert found.kept and found.primary is not None and found.candidate is not None
    assert (found.primary.text, found.candidate.text) == ("It costs 40.", "It costs 41.")
    assert "What does it cost?" in (found.request or "")
    lean = await show(desk, "req_1.rel_b", alias="usual")
    assert lean.kept and lean.request is lean.primary is None
    assert all(d.primary == d.candidate == "" for d in without_values(lean.line).differences)
    bare = await show(desk, "req_2.rel_b", contents=True)
    assert (bare.kept, bare.capture, bare.primary) == (False, "hashes", None)
    with pytest.raises(Fault, match="pair_unknown"):
        await show(desk, "req_3.rel_b")
    await desk.store.do("DEL", desk.store.keys.diffs("usual"))
    assert (await show(desk, "req_1.rel_b", tenant="t")).line.pair_class is PairClass.DIVERGENT


async def test_an_answer_that_failed_is_told_as_it_came(desk: Desk, placed: Place) -> None:
    """A side with an error status shows its code."""
    await placed("agent", {"*": "A"})
    told = await keep(desk.store, 1, AB, alias="agent")
    key = desk.store.keys.pair("t", told.pair)
    failed = msgspec.structs.replace(told, candidate=msgspec.structs.replace(told.candidate, status=500))
    await desk.store.do("HSET", key, "line", msgspec.json.encode(failed))
    await desk.store.do("DEL", desk.store.keys.diffs("agent"))
    found = await show(desk, told.pair, tenant="t", contents=True)
    assert found.candidate is not None and found.candidate.failed == "500"
