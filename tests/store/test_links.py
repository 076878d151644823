"""Ids that an answer handed out lead back to their run, on every worker and after every fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.core.contract.run import Source
from gateway.store.links import Linked, link_command
from gateway.store.resp import Parser
from gateway.wire.flow import run
from tests.store.lives import KEYS, Command, bind, opened, settled, stamp, step, until
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", ["call_1.a~B-9", "a/b", "ü", "a b%}", "a\n", ""])
async def test_links_have_the_documented_key(name: str) -> None:
    """However an id or a tenant is written, its link is under `Keys.link`."""
    for tenant, identifier in ((name, "call_1"), ("t", name)):
        command = link_command("trivet", (tenant, identifier, Linked("r")), 1000)
        assert Parser().feed(command)[0][1].decode() == KEYS.link(tenant, identifier)


async def test_another_worker_finds_the_run(redis_server: RealRedis, tmp_path: Path) -> None:
    """A request that lands on another worker, with any of the ids among unknown ones, finds the run."""
    async with (
        opened(redis_server.url, tmp_path / "1", "w1") as one,
        opened(redis_server.url, tmp_path / "2", "w2") as two,
    ):
        await until(lambda: settled(one) and settled(two))
        bound = await bind(one, stamp("r"))
        one.link("t", ["call_1", "call_2"], bound.stamp)
        await until(lambda: Command(redis_server)("EXISTS", KEYS.link("t", "call_2")))
        assert await run(two.linked("t", ["unknown", "call_2"])) == Linked("r", "a")
        assert await run(two.linked("other", ["call_2"])) is None, "another tenant's id is unknown"
        assert await run(two.linked("t", [])) is None
        assert two.counters.links_missed == 1
        assert Command(redis_server)("PTTL", KEYS.link("t", "call_2")) > 0


async def test_run_of_one_request_becomes_a_run(redis_server: RealRedis, tmp_path: Path) -> None:
    """An answer with tool calls turns its run into a stored one: stamp, plan and step are there, and it is resumed."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        bound = await bind(live, stamp("n", "rel_1", source=Source.NONE))
        live.link("t", ["call_1"], bound.stamp)
        live.step(bound.stamp, step())
        linked = await run(live.linked("t", ["call_1"]))
        assert linked == Linked("n", "a")
        resumed = await bind(live, stamp("n", "rel_2", source=Source.TOOL_CALL))
        assert (resumed.new, resumed.stamp.release, resumed.step) == (False, "rel_1", 2)
        tell = Command(redis_server)
        await until(lambda: tell("XLEN", KEYS.journal("t", "n")) == 2)
        record = await run(live.run_record("t", "n"))
        assert record.stamps["a"].release == "rel_1"


async def test_other_workers_know_it_as_a_run(redis_server: RealRedis, tmp_path: Path) -> None:
    """Steps of a run that links made go into its journal on every worker, and after a restart."""
    async with (
        opened(redis_server.url, tmp_path / "1", "w1") as one,
        opened(redis_server.url, tmp_path / "2", "w2") as two,
    ):
        await until(lambda: settled(one) and settled(two))
        bound = await bind(one, stamp("n", source=Source.NONE))
        one.link("t", ["call_1"], bound.stamp)
        one.step(bound.stamp, step())
        assert await run(two.linked("t", ["call_1"])) == Linked("n", "a")
        resumed = await bind(two, stamp("n", "rel_2", source=Source.TOOL_CALL))
        two.step(resumed.stamp, step(request="req_2"))
        # A plan and two steps.
        await until(lambda: Command(redis_server)("XLEN", KEYS.journal("t", "n")) == 3)


async def test_offline_links(tmp_path: Path, redis_server: RealRedis) -> None:
    """Links made without the store are found on this host by another process, and reach the store when it is there."""
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        bound = await bind(live, stamp("n", "rel_1", source=Source.NONE))
        live.link("t", ["call_1", "call_2"], bound.stamp)
    async with opened("redis://127.0.0.1:1", tmp_path) as live:
        assert await run(live.linked("t", ["call_2"])) == Linked("n", "a")
        assert await run(live.linked("t", ["call_9"])) is None
        assert live.counters.links_unknown == 1
        offline = await bind(live, stamp("n", "rel_2", source=Source.TOOL_CALL))
        assert (offline.new, offline.stamp.release) == (False, "rel_1"), (
            "the run it became is resumed without the store"
        )
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
    async with opened(redis_server.url, tmp_path / "other") as elsewhere:
        await until(lambda: settled(elsewhere))
        assert await run(elsewhere.linked("t", ["call_1"])) == Linked("n", "a")
        resumed = await bind(elsewhere, stamp("n", "rel_2", source=Source.TOOL_CALL))
        assert (resumed.new, resumed.stamp.release) == (False, "rel_1")


async def test_flushed_scripts_cost_no_link(redis_server: RealRedis, tmp_path: Path) -> None:
    """SCRIPT FLUSH just before a link does not lose the run behind it."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        tell = Command(redis_server)
        tell("SCRIPT", "FLUSH")
        live.link("t", ["call_1"], stamp("n", source=Source.NONE))
        await until(lambda: tell("EXISTS", KEYS.run("t", "n")) and tell("EXISTS", KEYS.link("t", "call_1")))


async def test_first_link_stands(redis_server: RealRedis, tmp_path: Path) -> None:
    """F12: the same id linked again, by a resent answer or another run, still leads to the first run."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        live.link("t", ["call_1"], stamp("one"))
        live.link("t", ["call_1"], stamp("two"))
        tell = Command(redis_server)
        await until(lambda: tell("EXISTS", KEYS.link("t", "call_1")))
        assert b'"one"' in tell("GET", KEYS.link("t", "call_1"))


async def test_provider_state_has_its_keeper_and_lives_on(redis_server: RealRedis, tmp_path: Path) -> None:
    """State that was made before any answer is the tenant's; the first answer in it names the alias, each one renews it."""
    async with (
        opened(redis_server.url, tmp_path / "1", "w1") as one,
        opened(redis_server.url, tmp_path / "2", "w2") as two,
    ):
        await until(lambda: settled(one) and settled(two))
        tell = Command(redis_server)
        one.own("t", "conv_1", "openai")
        await until(lambda: tell("EXISTS", KEYS.link("t", "conv_1")))
        assert await run(two.linked("t", ["conv_1"])) == Linked("conv_1", "", "openai")
        bound = await bind(two, stamp("conv_1"))
        two.link("t", ["call_1"], bound.stamp, ["conv_1", "resp_1"])
        await until(lambda: tell("EXISTS", KEYS.link("t", "resp_1")))
        keeper = bound.stamp.model.partition("/")[0]
        for identifier in ("conv_1", "resp_1"):
            assert await run(two.linked("t", [identifier])) == Linked("conv_1", "a", keeper)
        assert await run(two.linked("t", ["call_1"])) == Linked("conv_1", "a")
        tell("PEXPIRE", KEYS.link("t", "conv_1"), 5000)
        two.link("t", [], bound.stamp, ["conv_1"])
        await until(lambda: tell("PTTL", KEYS.link("t", "conv_1")) > 5000)


async def test_state_of_another_run_stays_with_it(redis_server: RealRedis, tmp_path: Path) -> None:
    """A second run that takes up a conversation does not take it away."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        for name in ("first", "second"):
            bound = await bind(live, stamp(name))
            live.link("t", [], bound.stamp, ["conv_1"])
        assert (await run(live.linked("t", ["conv_1"]))).run == "first"


async def test_provider_state_is_found_without_the_store(redis_server: RealRedis, tmp_path: Path) -> None:
    """The host log has the keeper too, for a worker that comes after a crash."""
    async with opened(redis_server.url, tmp_path) as live:
        await until(lambda: settled(live))
        live.own("t", "conv_1", "openai")
    Command(redis_server)("FLUSHALL")
    async with opened(redis_server.url, tmp_path) as again:
        await until(lambda: settled(again))
        assert await run(again.linked("t", ["conv_1"])) == Linked("conv_1", "", "openai")
