"""kill -9 of workers, shadow process and Redis at random times while everything is shadowed: no job is lost and none ends twice.

What the store took is told by the stream itself, which counts every entry that was ever added to it. What processes count
is a lower bound only: a killed one takes the numbers of its last second with it, and a batch whose answer was lost is counted
as dropped though the store may have it. So the store's own books have to agree exactly, and metrics must not exceed them.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gateway.store.jobs import GROUP
from tests.faults import load
from tests.faults.load import Load
from tests.faults.shadows import DEAD, JOBS, Stage, late, stage
from tests.store.servers import RealRedis

TIMEOUT = 1.0
"""Longest call of a candidate here; jobs of a consumer that never comes back are taken over a minute later."""
VICTIMS = ("live-0", "shadow", "redis", "live-1", "shadow", "redis")


def strike(at: Stage, server: RealRedis, victim: str) -> None:
    """kill -9; Redis comes back after a moment, processes are started again by their supervisor."""
    if victim == "redis":
        server.kill()
        time.sleep(0.15)
        server.start()
    elif victim == "supervisor":
        at.gateway.parts()
        assert at.gateway.process is not None
        at.gateway.process.kill()
        at.gateway.process.wait(10)
        at.gateway.start()
    else:
        with contextlib.suppress(ProcessLookupError, KeyError):
            if pid := at.gateway.pid(victim):
                os.kill(pid, signal.SIGKILL)


def drained(at: Stage, client: Any, seconds: float) -> None:
    """Wait until nothing waits and nothing is in hand, as long as it goes on within so many seconds. What a shadow process lost
    sight of, because Redis died with the answer, another takes up after a minute, and the next of its name at once."""

    def ready() -> bool:
        return all(part["state"] == "ready" for part in at.gateway.parts().values())

    load.until(ready, 20, "the last restart")
    with contextlib.suppress(AssertionError):
        load.until(lambda: client.xlen(JOBS) == 0, 2, "an empty queue")
    if client.xlen(JOBS):
        at.gateway.wait_restarted("shadow", at.gateway.kill("shadow"))
    while waiting := client.xlen(JOBS):
        load.until(lambda held=waiting: client.xlen(JOBS) < held, seconds, f"less than {waiting} jobs in the queue")
    assert client.xpending(JOBS, GROUP)["pending"] == 0


def wrong(at: Stage, client: Any) -> list[str]:
    """Where the books do not agree. Empty is good."""
    added = client.xinfo_stream(JOBS).get("entries-added")
    found, done = at.counts(load.ALIAS), client.zcard(f"trivet:shadow-done:{{{load.ALIAS}}}")
    pairs = sum(count for word, count in found.items() if word.startswith("pair:"))
    lines = [entry[b"pair"] for _, entry in client.xrange(f"trivet:diffs:{{{load.ALIAS}}}")]
    letters = client.xlen(DEAD)
    kept = sum(1 for _ in client.scan_iter("trivet:pair:*", count=1000))
    numbers = load.numbers(at.gateway)
    ended = sum(value for key, value in numbers.items() if key.startswith("shadow_total") and "again" not in key)
    checks = {
        f"{done} jobs have ended, {sum(found.values())} are counted": done == sum(found.values()),
        f"{added} jobs were taken, {done} have ended": added in (None, done),
        f"{pairs} pairs are counted, {len(lines)} have a line": pairs == len(lines) == len(set(lines)),
        f"{pairs} pairs are counted, {kept} are stored": pairs <= kept <= done,
        f"{found.get('dead', 0)} dead are counted, {letters} are there": found.get("dead", 0) == letters,
        f"only pairs and dead letters: {found}": all(word.startswith(("pair:identical", "dead")) for word in found),
        f"{numbers['shadow_captured_total']} captured by the metrics": numbers["shadow_captured_total"] <= done,
        f"{ended} ended by the metrics": ended <= done,
        f"{len(at.live.requests)} live requests": done <= len(at.live.requests),
    }
    return [sentence for sentence, holds in checks.items() if not holds]


@pytest.mark.parametrize(
    ("requests", "rate", "victims"),
    [
        pytest.param(300, 120, VICTIMS, marks=pytest.mark.timeout(120)),
        pytest.param(10_000, 120, (*VICTIMS, "supervisor"), marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_every_job_ends_once(tmp_path: Path, requests: int, rate: int, victims: tuple[str, ...]) -> None:
    """Every job that the store took ends as exactly one pair, skip or dead letter, whoever was killed when."""
    chance = random.Random(requests)
    limits = {"timeout": TIMEOUT, "attempts": 5}
    with (
        RealRedis(tmp_path / "redis") as server,
        stage({load.ALIAS: late}, url=server.url, shadow=limits, serve={"workers": 2}) as at,
        load.connected(server.url) as client,
    ):
        with Load(at.gateway, rate=rate, lanes=10, name="kills") as work:
            struck = 0
            while len(work.calls) < requests:
                time.sleep(chance.uniform(0.2, 0.7))
                strike(at, server, victims[struck % len(victims)])
                struck += 1
        assert struck >= requests // 150
        statuses = Counter(call.status for call in work.calls)
        assert set(statuses) <= {0, 200}, next(call for call in work.calls if call.status not in (0, 200))
        assert statuses[200] > requests * 0.8, statuses
        drained(at, client, 90 if "supervisor" in victims else 20)
        load.settled(at.gateway)
        assert wrong(at, client) == []
        assert load.kept(at.live, at.gateway.data_dir, server.url, work.calls) == []
        runs = {entry[b"run"].decode() for _, entry in client.xrange(f"trivet:diffs:{{{load.ALIAS}}}")}
        assert runs <= set(load.seen(at.live)) and len(runs) > len(load.seen(at.live)) // 3
