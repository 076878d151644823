"""Results of the shadow on a real server."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.job import Job
from gateway.core.contract.pair import Difference, Dimension, Line, PairClass, Side, Turn
from gateway.store import pairs
from gateway.store.client import Store
from tests.shadow.jobs import job

pytestmark = pytest.mark.anyio


def line(number: int = 1, found: PairClass = PairClass.DIVERGENT) -> Line:
    """A line of its own."""
    observed = Observed(model="m", usage=Usage(10, 20), terminal=True)
    return Line(
        pair=f"req_{number}.rel_2",
        tenant="t/x",
        run="r",
        step=number,
        turn=Turn.LATER,
        at_ms=number,
        primary=Side("rel_1", "openai/m", 200, total_ms=12.5, observed=observed, cost=7),
        candidate=Side("rel_2", "openai/n", 200, total_ms=10.0, observed=observed),
        pair_class=found,
        severity=0.6,
        similarity=0.5,
        differences=(Difference(Dimension.NUMBERS, "$.text", "40", "400", 0.6),),
    )


async def test_a_pair_is_kept_once_and_reads_back(store: Store) -> None:
    """Contents come back as they were given; a second writing of the same pair changes nothing; the ttl is set."""
    contents = pairs.Contents(b'{"a":1}', b"data: x\n\n", b"\x00\xff", about={"dialect": "openai"})
    assert await pairs.keep(store, line(), contents, 60_000)
    assert not await pairs.keep(store, line(), pairs.Contents(b"other"), 60_000)
    assert await pairs.get(store, "t/x", "req_1.rel_2") == (line(), contents)
    assert 0 < await store.do("PTTL", store.keys.pair("t/x", "req_1.rel_2")) <= 60_000
    assert await pairs.get(store, "t", "req_1.rel_2") is None


async def test_a_job_has_one_result(store: Store) -> None:
    """Finished twice, skipped after it was finished, buried after that: one line, one count."""
    assert await pairs.finish(store, "a", "rel_2", line(), 1000)
    assert not await pairs.finish(store, "a", "rel_2", line(), 1001)
    assert not await pairs.skip(store, "a", "rel_2", "req_1.rel_2", "tools", 1002)
    assert not await pairs.dead(store, job(alias="a"), "crashed", 1003)
    assert await pairs.skip(store, "a", "rel_2", "req_2.rel_2", "tools", 1004)
    assert await pairs.dead(store, job(2, alias="a", candidate="rel_3", pair="req_2.rel_3"), "crashed", 1005)
    assert await pairs.ended(store, "a", "req_2.rel_2") and not await pairs.ended(store, "a", "req_9.rel_2")
    assert await pairs.counts(store, "a") == {"rel_2": {"pair:divergent": 1, "skip:tools": 1}, "rel_3": {"dead": 1}}
    assert await pairs.lines(store, "a") == [line()]


async def test_a_dead_letter_is_counted_and_kept_in_one_step(store: Store) -> None:
    """F11: wherever its worker is killed there is one letter for one count, with its reason; of what is erased there is none."""
    for _ in range(2):
        await pairs.dead(store, job(1), "crashed", 1000)
    await store.do("HSET", store.keys.shadow_state(), pairs.mark("t"), 5000)
    await pairs.dead(store, job(2), "crashed", 1001)
    ((_, fields),) = await store.read("XRANGE", store.keys.shadow_dead(), "-", "+")
    told = dict(zip(fields[::2], fields[1::2], strict=True)) if isinstance(fields, list) else fields
    assert told[b"why"] == b"crashed" and msgspec.json.decode(told[b"job"], type=Job) == job(1)
    assert await pairs.counts(store, "support") == {"rel_2": {"dead": 1, "skip:erased": 1}}


async def test_marks_are_forgotten_only_after_a_jobs_life(store: Store) -> None:
    """The set of marks does not grow for ever; a mark outlives every job that could come again."""
    await pairs.finish(store, "a", "rel_2", line(1), 1)
    await pairs.finish(store, "a", "rel_2", line(2), pairs.DONE_MS)
    assert await pairs.ended(store, "a", "req_1.rel_2")
    await pairs.finish(store, "a", "rel_2", line(3), pairs.DONE_MS + 2)
    assert not await pairs.ended(store, "a", "req_1.rel_2")


async def test_lines_read_without_trivet(store: Store) -> None:
    """What people filter by stands as plain fields of the stream entry; differences are JSON."""
    await pairs.finish(store, "a", "rel_2", line(), 5)
    ((_, fields),) = await store.read("XRANGE", store.keys.diffs("a"), "-", "+")
    told = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    assert (told[b"v"], told[b"class"], told[b"turn"], told[b"severity"]) == (b"1", b"divergent", b"later", b"0.6")
    assert msgspec.json.decode(told[b"differences"])[0]["dimension"] == "numbers"
    assert msgspec.json.decode(told[b"tokens"]) == {"primary": 20, "candidate": 20}
    assert msgspec.json.decode(told[b"cost"]) == {"primary": 7, "candidate": None}


async def test_many_lines_come_in_pages_and_strangers_are_passed_over(store: Store) -> None:
    """More lines than a page are read, newest first, up to the limit; an entry of another version is left out."""
    await store.do("XADD", store.keys.diffs("a"), "*", "v", "99", "line", "{}")
    for number in range(pairs.PAGE + 5):
        await pairs.finish(store, "a", "rel_2", line(number), 10)
    found = await pairs.lines(store, "a")
    assert [each.step for each in found] == list(range(pairs.PAGE + 4, -1, -1))
    assert len(await pairs.lines(store, "a", limit=3)) == 3


async def test_a_line_compared_again_stands_in_place_of_the_old_one(store: Store) -> None:
    """One line per pair whatever is compared again; counts and the stored pair follow, and a lost line changes nothing."""
    before, after = line(), msgspec.structs.replace(line(), pair_class=PairClass.REGRESSION, severity=0.9)
    await pairs.keep(store, before, pairs.Contents(), 60_000)
    await pairs.finish(store, "a", "rel_2", before, 5)
    ((entry, found),) = await pairs.entries(store, "a")
    assert found == before
    assert await pairs.replace(store, "a", entry, before, after)
    assert not await pairs.replace(store, "a", entry, before, after)
    assert await pairs.lines(store, "a") == [after]
    assert await pairs.counts(store, "a") == {"rel_2": {"pair:divergent": 0, "pair:regression": 1}}
    kept = await pairs.get(store, "t/x", before.pair)
    assert kept is not None and kept[0] == after
    assert 0 < await store.do("PTTL", store.keys.pair("t/x", before.pair)) <= 60_000


@pytest.mark.parametrize("run", ["", "r"])
async def test_i9_what_is_erased_is_not_written_again(store: Store, run: str) -> None:
    """I9: contents and line of a request that was made before its tenant or run was erased are refused; later ones are kept."""
    await store.do("HSET", store.keys.shadow_state(), pairs.mark("t/x", run), 5)
    assert not await pairs.keep(store, line(5), pairs.Contents(b"x"), 60_000)
    assert await pairs.finish(store, "a", "rel_2", line(5), 9)
    assert await pairs.erased(store, "t/x", "r", 5) and not await pairs.erased(store, "t/x", "r", 6)
    assert await pairs.keep(store, line(6), pairs.Contents(b"x"), 60_000)
    await pairs.finish(store, "a", "rel_2", line(6), 10)
    assert [each.step for each in await pairs.lines(store, "a")] == [6]
    assert await pairs.counts(store, "a") == {"rel_2": {"skip:erased": 1, "pair:divergent": 1}}
