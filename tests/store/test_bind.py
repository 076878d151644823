"""A run is bound once, whoever asks, however often, with the store up, down, or forgetful."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.contract.run import Arm, Source, Stamp, Ticket
from gateway.settings.model import RunSettings
from gateway.store.bind import BindRequest, first_of_life
from gateway.store.logfile import STAMP, Found
from gateway.store.records import encode_stamp
from gateway.wire.flow import run
from tests.store.lives import KEYS, Command, bind, now_ms, opened, settled, stamp, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


def ticket(name: str, release: str, at: int = 0) -> Ticket:
    """A verified ticket of tenant `t`, alias `a`."""
    return Ticket("t", name, "a", release, f"openai/{release}", at or now_ms(), arm=Arm.CANARY)


async def test_first_binding_stands(redis_server: RealRedis, tmp_path: Path) -> None:
    """The first request binds, later ones get the same stamp whatever they bring; steps count up; PLAN is written once."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        first = await bind(live, stamp("r", "rel_1"))
        again = await bind(live, stamp("r", "rel_2"))
        assert (first.new, first.step, first.durable) == (True, 1, "redis")
        assert (again.new, again.step, again.stamp) == (False, 2, first.stamp)
        other = await bind(live, stamp("r", "rel_2", alias="b"))
        assert (other.new, other.step, other.stamp.release) == (True, 3, "rel_2")
    tell = Command(redis_server)
    plans = tell("XRANGE", KEYS.journal("t", "r"), "-", "+")
    assert len(plans) == 2
    assert plans[0][1][1] == b'{"type":"plan","stamp":%b}' % encode_stamp(first.stamp)
    assert 0 < tell("PTTL", KEYS.run("t", "r")) <= 72 * 3600 * 1000
    assert tell("PTTL", KEYS.journal("t", "r")) > 72 * 3600 * 1000
    assert tell("ZRANGE", KEYS.release_runs("rel_1"), 0, -1) == [KEYS.run("t", "r")[-33:-1].encode()]


async def test_step_labels(redis_server: RealRedis, tmp_path: Path) -> None:
    """A retry with the same label is the same step; another label is the next."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        steps = [(await bind(live, stamp("r"), label=label)).step for label in ("x", "x", "y", "", "x")]
    assert steps == [1, 1, 2, 3, 1]


async def test_tenants_do_not_share_runs(redis_server: RealRedis, tmp_path: Path) -> None:
    """The same run id of another tenant is another run."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        await bind(live, stamp("r", "rel_1"))
        theirs = Stamp("other", "r", "a", "rel_2", "openai/rel_2", source=Source.HEADER, at_ms=now_ms())
        assert (await bind(live, theirs)).stamp == theirs


async def test_many_binders_one_winner(redis_server: RealRedis, tmp_path: Path) -> None:
    """Many workers racing for the same runs with different releases all end up with one release per run."""
    chance = random.Random(1)
    async with (
        opened(redis_server.url, tmp_path / "1", "w1") as one,
        opened(redis_server.url, tmp_path / "2", "w2") as two,
    ):
        await until(lambda: settled(one) and settled(two))
        wants = [stamp(f"r{n % 20}", f"rel_{chance.randrange(5)}") for n in range(400)]
        answers = await asyncio.gather(*[bind(chance.choice((one, two)), want) for want in wants])
    for number in range(20):
        of_run = [bound for bound in answers if bound.stamp.run == f"r{number}"]
        assert len({bound.stamp.release for bound in of_run}) == 1
        assert sum(bound.new for bound in of_run) == 1
        assert sorted(bound.step for bound in of_run) == list(range(1, 21))


async def test_runs_of_one_request_leave_no_key(redis_server: RealRedis, tmp_path: Path) -> None:
    """A request that names no run is planned in its alias's capped stream and nowhere else."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        bound = await bind(live, stamp("n", source=Source.NONE))
        assert (bound.new, bound.step, bound.durable) == (True, 1, "redis")
    tell = Command(redis_server)
    assert tell("XLEN", KEYS.steps("a")) == 1
    assert tell("EXISTS", KEYS.run("t", "n")) == tell("EXISTS", KEYS.journal("t", "n")) == 0


async def test_b9_resume_without_a_stamp(redis_server: RealRedis, tmp_path: Path) -> None:
    """B9: a resume of a run nobody knows is 409 run_stamp_missing, not retryable, and leaves nothing behind."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        with pytest.raises(Fault) as missing:
            await bind(live, stamp("r"), resume=True)
        assert (missing.value.status, missing.value.code, missing.value.retry) == (409, "run_stamp_missing", False)
        assert live.counters.stamps_missing == 1
    assert Command(redis_server)("EXISTS", KEYS.run("t", "r")) == 0


async def test_ticket_puts_a_lost_stamp_back(redis_server: RealRedis, tmp_path: Path) -> None:
    """F9: a ticket resumes a run the store has lost, and the store knows it again."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        back = await bind(live, stamp("r", "rel_2"), ticket=ticket("r", "rel_1"), resume=True)
        assert (back.new, back.stamp.release, back.stamp.arm) == (False, "rel_1", Arm.CANARY)
        assert live.counters.stamps_repaired == 1
        assert (await bind(live, stamp("r", "rel_2"))).stamp.release == "rel_1"


@pytest.mark.parametrize(("earlier", "release"), [(True, "rel_ticket"), (False, "rel_stored")])
async def test_earliest_of_two_bindings_wins(
    redis_server: RealRedis, tmp_path: Path, earlier: bool, release: str
) -> None:
    """Where ticket and store name different bindings, the earlier one stands, and the conflict is counted."""
    at = now_ms()
    async with opened(redis_server.url, tmp_path / "1") as other:
        await until(lambda: settled(other))
        await bind(other, stamp("r", "rel_stored", at=at))
    async with opened(redis_server.url, tmp_path / "2") as live:
        await until(lambda: settled(live))
        brought = ticket("r", "rel_ticket", at - 1000 if earlier else at + 1000)
        bound = await bind(live, stamp("r", "rel_3"), ticket=brought, resume=True)
        assert bound.stamp.release == release
        assert live.counters.conflicts == 1
        assert (await bind(live, stamp("r", "rel_3"))).stamp.release == release


async def test_f10_flushed_store_gets_the_stamp_back(redis_server: RealRedis, tmp_path: Path) -> None:
    """F10: after FLUSHALL a run that this process or this host knows keeps its release, resumed or not."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        await bind(live, stamp("r", "rel_1"))
        Command(redis_server)("FLUSHALL")
        bound = await bind(live, stamp("r", "rel_2"))
        assert (bound.stamp.release, bound.new) == ("rel_1", False)
        assert live.counters.stamps_repaired == 1
    Command(redis_server)("FLUSHALL")
    async with opened(redis_server.url, tmp_path) as after:
        bound = await bind(after, stamp("r", "rel_2"), resume=True)
        assert bound.stamp.release == "rel_1", "from the host log"


async def test_a_run_bound_elsewhere_is_in_the_log_of_who_serves_it(redis_server: RealRedis, tmp_path: Path) -> None:
    """G1: a run that the store knows and this host does not, as when its worker was killed at the store's answer, is logged
    before it is served: an emptied store gets it back. Once for all its steps."""
    async with opened(redis_server.url, tmp_path / "1") as other:
        await until(lambda: settled(other))
        await bind(other, stamp("r", "rel_1"))
    async with opened(redis_server.url, tmp_path / "2") as live:
        await until(lambda: settled(live))
        for _ in range(3):
            assert not (await bind(live, stamp("r", "rel_2"))).new
        assert live.counters.log_appended == 1
    Command(redis_server)("FLUSHALL")
    async with opened(redis_server.url, tmp_path / "2") as after:
        bound = await bind(after, stamp("r", "rel_2"), resume=True)
        assert bound.stamp.release == "rel_1"


async def test_flushed_scripts(redis_server: RealRedis, tmp_path: Path) -> None:
    """SCRIPT FLUSH costs no binding."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        Command(redis_server)("SCRIPT", "FLUSH")
        assert {(await bind(live, stamp(f"r{n}"))).durable for n in range(3)} == {"redis"}


async def test_reply_of_another_run_is_never_taken(redis_server: RealRedis, tmp_path: Path) -> None:
    """An answer that names another run drops the line; the binding is made without it."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        waiting = run(live.bind(BindRequest(stamp("r"))))
        sink = live._stamps._replies.sinks[0]
        sink.done([b"0" * 32, 1, 1])
        bound = await waiting
        assert bound.durable == "log"
        assert live.counters.stamps.errors == {"desync": 1}


# -- without the store ------------------------------------------------------------------------------------------------


async def test_f1_dead_from_the_start(tmp_path: Path) -> None:
    """F1: with no store at all, runs are bound on disk, resumed from it, and a restart of the worker changes nothing."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        first = await bind(live, stamp("r", "rel_1"))
        assert (first.new, first.durable) == (True, "log")
        again = await bind(live, stamp("r", "rel_2"))
        assert (again.new, again.stamp, again.step) == (False, first.stamp, 2)
        assert live.counters.log_pending == 1
    async with opened("redis://127.0.0.1:1", tmp_path) as after:
        assert (await bind(after, stamp("r", "rel_3"))).stamp == first.stamp
        assert (await bind(after, stamp("r", "rel_3"), resume=True)).stamp == first.stamp


async def test_offline_ticket(tmp_path: Path) -> None:
    """Without store, a ticket resumes a run this host never saw, and the next request needs no ticket."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        bound = await bind(live, stamp("r", "rel_2"), ticket=ticket("r", "rel_1"), resume=True)
        assert (bound.stamp.release, bound.new, bound.durable) == ("rel_1", False, "ticket")
        assert (await bind(live, stamp("r", "rel_2"))).stamp.release == "rel_1"


async def test_offline_resume_of_an_unknown_run(tmp_path: Path) -> None:
    """Without store, a resume that this host does not know is 503 and retryable: the store may know it."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        with pytest.raises(Fault) as unknown:
            await bind(live, stamp("r"), resume=True)
        assert (unknown.value.status, unknown.value.code, unknown.value.retry) == (503, "stamp_unavailable", True)


async def test_workers_of_a_host_agree_offline(tmp_path: Path) -> None:
    """Two workers racing without the store bind every run to one release: the log's order decides."""
    async with (
        opened("redis://127.0.0.1:1", tmp_path, "w1") as one,
        opened("redis://127.0.0.1:1", tmp_path, "w2") as two,
    ):
        wants = [stamp(f"r{n // 4}", f"rel_{n % 4}") for n in range(80)]
        answers = await asyncio.gather(*[bind((one, two)[n % 2], want) for n, want in enumerate(wants)])
        for number in range(20):
            releases = {bound.stamp.release for bound in answers if bound.stamp.run == f"r{number}"}
            assert len(releases) == 1
            assert (await bind(one, stamp(f"r{number}", "rel_9"))).stamp.release in releases


@pytest.mark.parametrize("strict", [True, False])
async def test_g3_no_store_and_no_disk(tmp_path: Path, strict: bool) -> None:
    """G3: with neither store nor log, strict refuses new runs with 503; otherwise they go by ticket. Known runs go on."""
    (tmp_path / "stamps").write_text("no directory")
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        if strict:
            with pytest.raises(Fault) as refused:
                await bind(live, stamp("r"), strict=True)
            assert (refused.value.status, refused.value.code) == (503, "stamp_unavailable")
        else:
            assert (await bind(live, stamp("r"), strict=False)).durable == "ticket"
            assert live.counters.stamps_ticket_only == 1
        known = await bind(live, stamp("k", "rel_2"), ticket=ticket("k", "rel_1"), resume=True, strict=strict)
        assert known.stamp.release == "rel_1"


async def test_f3_frozen_store_costs_one_limit(redis_server: RealRedis, tmp_path: Path) -> None:
    """F3: with the store frozen, requests in flight wait 100 ms once, later ones not at all, and nobody gets an error."""
    loop = asyncio.get_running_loop()
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        await bind(live, stamp("known", "rel_1"))
        redis_server.signal(signal.SIGSTOP)
        try:
            begun = loop.time()
            bounds = await asyncio.gather(*[bind(live, stamp(f"r{n}")) for n in range(50)])
            assert loop.time() - begun < 0.25
            assert {bound.durable for bound in bounds} == {"log"}
            begun = loop.time()
            assert (await bind(live, stamp("known", "rel_2"))).stamp.release == "rel_1"
            assert loop.time() - begun < 0.05
        finally:
            redis_server.signal(signal.SIGCONT)
        await until(lambda: settled(live))
        for n in range(50):
            assert (await bind(live, stamp(f"r{n}", "rel_2"))).stamp.release == "rel_1"


def test_first_of_life() -> None:
    """In the log, the first record of a run's present life is in force; records of other runs under the same key are not."""

    def record(value: Stamp) -> Found:
        return Found(1, 0, STAMP, 0, 1, encode_stamp(value))

    want = stamp("r")
    ttl = int(RunSettings().ttl * 1000)
    one, two = stamp("r", "rel_1", at=1000), stamp("r", "rel_2", at=2000)
    later = stamp("r", "rel_3", at=2000 + ttl)
    assert first_of_life([record(one), record(two)], want, ttl) == one
    assert first_of_life([record(two), record(one)], want, ttl) == two
    assert first_of_life([record(one), record(two), record(later)], want, ttl) == later
    assert first_of_life([record(stamp("other"))], want, ttl) is None
    assert first_of_life([Found(1, 0, STAMP, 0, 1, b"{")], want, ttl) is None
