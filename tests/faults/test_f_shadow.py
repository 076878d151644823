"""Rows F5 and F10 to F12 for the shadow: a Redis that is full, emptied under a consumer, fed poison, or whose answers get lost."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.store.jobs import GROUP
from tests.faults import load
from tests.faults.load import ProxyThread
from tests.faults.shadows import DEAD, JOBS, Stage, late, stage
from tests.store.servers import RealRedis

READ_SECONDS = 0.7
"""After so long a frozen shadow process asks the store for nothing any more."""


@pytest.fixture(scope="module")
def mangling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyThread]:
    """What stands between the gateway and its Redis."""
    with RealRedis(tmp_path_factory.mktemp("redis"), enable_protected_configs="local") as server:
        made = ProxyThread(server.port)
        with made:
            yield made


@pytest.fixture(scope="module")
def at(mangling: ProxyThread) -> Iterator[Stage]:
    """One gateway for the rows, whose jobs are given up after one delivery."""
    with stage({"late": late}, url=mangling.proxy.url, shadow={"attempts": 1}) as made:
        made.url = f"redis://127.0.0.1:{mangling.proxy.target}"
        assert made.ask("late")[0] == 200
        made.ended("late", 1)
        yield made


@pytest.fixture
def client(at: Stage) -> Iterator[Any]:
    """A plain client of the server, to meddle."""
    with load.connected(at.url) as made:
        yield made


@contextlib.contextmanager
def frozen(at: Stage) -> Iterator[None]:
    """The shadow process stopped, with nothing asked of the store."""
    at.gateway.kill("shadow", signal.SIGSTOP)
    try:
        time.sleep(READ_SECONDS)
        yield
    finally:
        at.gateway.kill("shadow", signal.SIGCONT)


def so_far(at: Stage) -> int:
    """Jobs of the alias that have ended."""
    return sum(at.counts("late").values())


def grown(at: Stage, before: dict[str, float], name: str) -> float:
    """How much a counter has grown, once everybody has written the numbers of now."""
    time.sleep(1.1)
    return load.total(load.numbers(at.gateway), name) - load.total(before, name)


def test_f12_an_answer_that_is_lost(at: Stage, mangling: ProxyThread, client: Any) -> None:
    """F12: the store took a job and nobody heard so: it is counted as dropped, sent never again, and becomes one pair."""
    before, numbers = so_far(at), load.numbers(at.gateway)
    with frozen(at):
        mangling.proxy.mute = True
        try:
            assert at.ask("late")[0] == 200
            load.until(lambda: client.xlen(JOBS) == 1, 3, "the job")
        finally:
            mangling.proxy.mute = False
        mangling.reset()
        time.sleep(0.3)
        assert client.xlen(JOBS) == 1
    assert at.ended("late", before + 1) == {"pair:identical": before + 1}
    assert grown(at, numbers, "shadow_dropped_total") == 1


def test_f12_a_job_that_is_there_twice(at: Stage, client: Any) -> None:
    """F12: whoever sends a job again, it is one logical pair: the second is acknowledged as ended already."""
    before, asked = so_far(at), len(at.target.requests)
    with frozen(at):
        assert at.ask("late")[0] == 200
        load.until(lambda: client.xlen(JOBS) == 1, 3, "the job")
        ((_, fields),) = client.xrange(JOBS)
        copies = [client.xadd(JOBS, fields) for _ in range(2)]
    assert len(copies) == 2
    at.ended("late", before + 1)
    pairs = [entry[b"pair"] for _, entry in client.xrange("trivet:diffs:{late}")]
    assert len(pairs) == len(set(pairs)) == before + 1
    assert len(at.target.requests) <= asked + 3


def test_f11_poison_becomes_a_dead_letter(at: Stage, client: Any) -> None:
    """F11: a job that breaks its worker every time is buried with its reason; entries that are gone or no jobs are acknowledged."""
    before = at.counts("late")
    with frozen(at):
        assert at.ask("late")[0] == 200
        load.until(lambda: client.xlen(JOBS) == 1, 3, "the job")
        ((_, fields),) = client.xrange(JOBS)
        poison = {**json.loads(fields[b"job"]), "pair": "req_poison.rel_x", "operation": "nonsense"}
        client.xadd(JOBS, {**fields, b"job": json.dumps(poison)})
        client.xadd(JOBS, {b"job": b"\xff no job"})
    load.until(lambda: client.xlen(JOBS) == 1, 5, "all but the poison")
    gone = client.xadd(JOBS, {**fields, b"job": json.dumps({**poison, "pair": "req_gone.rel_x"})})
    load.until(lambda: client.xpending(JOBS, GROUP)["pending"] == 2, 5, "both in hand")
    client.xdel(JOBS, gone)
    at.gateway.wait_restarted("shadow", at.gateway.kill("shadow"))
    ended = at.ended("late", sum(before.values()) + 2)
    assert ended.get("dead") == 1 and client.xpending(JOBS, GROUP)["pending"] == 0
    ((_, letter),) = client.xrange(DEAD)
    assert letter[b"why"] == b"attempts" and json.loads(letter[b"job"])["pair"] == "req_poison.rel_x"
    assert not {b"body", b"reply"} & set(letter), "a dead letter holds no contents"
    time.sleep(1.1)
    found = load.numbers(at.gateway)
    assert load.total(found, "shadow_deadletter_total") == 1
    assert load.total(found, 'shadow_total{outcome="gone"}') >= 1


@pytest.mark.parametrize("what", ["group", "stream"])
def test_f10_deleted_under_the_consumer(at: Stage, client: Any, what: str) -> None:
    """F10: a group or stream deleted while it is read is made again, and jobs of later requests end; nobody crashed."""
    before, pid = so_far(at), at.gateway.pid("shadow")
    if what == "group":
        client.xgroup_destroy(JOBS, GROUP)
    else:
        client.delete(JOBS)
    for _ in range(3):
        assert at.ask("late")[0] == 200
    at.ended("late", before + 3)
    assert at.gateway.pid("shadow") == pid


def test_f5_the_shadow_stops_first(at: Stage, client: Any) -> None:
    """F5: near the memory limit no job is taken and stamps still are; at the limit stamps are in the log; then all goes on."""
    before, numbers = so_far(at), load.numbers(at.gateway)
    used = int(client.info("memory")["used_memory"])
    client.config_set("maxmemory", int(used / 0.85))
    try:
        for number in range(3):
            assert at.ask("late", {"x-trivet-run": f"near-{number}"})[0] == 200
        load.until(lambda: runs(client) >= {f"near-{number}" for number in range(3)}, 2, "the stamps")
        assert client.xlen(JOBS) == 0
        client.config_set("maxmemory", 1)
        for number in range(3):
            assert at.ask("late", {"x-trivet-run": f"full-{number}"})[0] == 200
        assert set(load.logged(at.gateway.data_dir)) >= {f"full-{number}" for number in range(3)}
        assert not runs(client) & {f"full-{number}" for number in range(3)}
        assert grown(at, numbers, 'shadow_dropped_total{reason="redis_oom"}') >= 4
    finally:
        client.config_set("maxmemory", 0)
    load.settled(at.gateway)
    assert runs(client) >= {f"full-{number}" for number in range(3)}
    left = load.total(load.numbers(at.gateway), "shadow_queued")
    assert left == 0 and so_far(at) <= before + 2, "what came while the line was down may have waited"
    now = so_far(at)
    assert at.ask("late")[0] == 200
    load.until(lambda: so_far(at) > now, 5, "a pair")


def runs(client: Any) -> set[str]:
    """The runs whose stamp the store has."""
    values = [client.hget(key, "stamp:late") for key in client.scan_iter("trivet:run:*", count=1000)]
    return {json.loads(value)["run"] for value in values if value}


def test_f10_emptied(at: Stage, client: Any) -> None:
    """F10: FLUSHALL while jobs are at hand: live serves from what it knows, no process dies, and nothing hangs."""
    parts = {name: part["pid"] for name, part in at.gateway.parts().items()}
    for number in range(6):
        if number == 3:
            client.flushall()
        assert at.ask("late")[0] == 200
    load.until(lambda: client.xlen(JOBS) == 0 and so_far(at) >= 3, 8, "an empty queue")
    assert {name: part["pid"] for name, part in at.gateway.parts().items()} == parts
