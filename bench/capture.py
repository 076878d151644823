"""The case `capture`: what it costs the live path to hand every exchange to the shadow, beside nginx with a mirror.

All at the same fixed rate, since a saturated process shares its system calls among more requests.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import build
from bench.bodies import chat
from bench.bound import Bound, bound, median
from bench.contestants import ALIAS, SNAPSHOT
from bench.measure import Scenario
from bench.report import lines_of, number, verdict
from bench.stage import Stage, Trivet, upstream
from gateway.core.contract.alias import Shadow
from gateway.core.contract.fault import Fault
from gateway.store.client import Store

EXCHANGE = 4096
"""Bytes of request and answer together."""
ANSWER = 1100
RATE = 1000
FLUSHED = 0.3
"""Seconds after which the queue has everything that was captured."""
LIMIT = 10.0
"""Microseconds of the live worker's CPU that a captured exchange may add."""
ALL = 10_000
CAPTURED = "gpt-4x"
"""The alias whose every exchange is captured. Its name is as long as the other's, so that the bodies are."""
OFF = Scenario("4k exchange", "exchange", conns=8, low_rate=True)
ON = Scenario("4k exchange, captured", "captured", conns=8, low_rate=True)
NGINX = ("nginx", "nginx with mirror")
TURNS = 5
"""Slices of each way in a round. They are short and follow one another, so that the machine is the same for all four."""
SLICE = 0.4
"""Of the seconds of a slice elsewhere."""


@dataclass
class Measured:
    """Values per turn: CPU of the process tree by way, CPU of the live worker without and with capture, microseconds."""

    tree: dict[str, list[float]] = field(default_factory=dict)
    worker: dict[str, list[float]] = field(default_factory=dict)
    store: dict[str, list[float]] = field(default_factory=dict)
    asked: int = 0
    captured: int = 0
    errors: int = 0
    missing: str = ""

    @property
    def added(self) -> Bound:
        """Microseconds of the worker that capture adds, from the difference within each turn."""
        pairs = zip(self.worker.get("on", []), self.worker.get("off", []), strict=True)
        return bound([on - off for on, off in pairs])

    def against_mirror(self) -> Bound:
        """CPU of Trivet that captures everything over nginx's with its mirror, within each turn."""
        pairs = zip(self.tree.get("on", []), self.tree.get(NGINX[1], []), strict=False)
        return bound([ours / theirs if theirs else math.nan for ours, theirs in pairs])


@dataclass(frozen=True)
class Way:
    """One row of the table."""

    load: Scenario
    port: int
    pid: int
    worker: int = 0
    store: int = 0


def run(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure. Raises Missing when there is no Redis server."""
    measured = Measured()
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, folder, seconds * SLICE, warm=0.05)
        body = chat(EXCHANGE - ANSWER, 1)
        (stage.loader.bodies / "exchange.json").write_bytes(body)
        (stage.loader.bodies / "captured.json").write_bytes(body.replace(ALIAS.encode(), CAPTURED.encode(), 1))
        ways: dict[str, Way] = {}
        try:
            second = stage.provider("second", nice=True)
            for name, mirror in zip(NGINX, (0, second), strict=True):
                ways[name] = Way(OFF, *stage.nginx(name.split()[-1], mirror=mirror))
        except build.Missing as why:
            measured.missing = str(why)
        trivet = stage.trivet(config(stage.mock))
        candidate = trivet.release(model="openai/gpt-4o-2024-11-20")
        trivet.shadows(CAPTURED, Shadow(candidate, "bench", ALL, 0))
        for word, load in (("off", OFF), ("on", ON)):
            ways[word] = Way(load, trivet.port, trivet.pid, trivet.worker, trivet.store)
        for way in ways.values():
            stage.warm_up(way.load, way.port, rate=RATE)
        for _ in range(rounds):
            one(stage, trivet, ways, measured)
    return measured


def one(stage: Stage, trivet: Trivet, ways: Mapping[str, Way], measured: Measured) -> None:
    """One round: every way in turn, forth and back. What was captured is counted, and thrown away."""
    time.sleep(FLUSHED)
    before = trivet.with_store(captured)
    for turn in range(TURNS):
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            way = ways[name]
            found = stage.loader.run(
                way.load,
                way.port,
                rate=RATE,
                require="x-trivet-release" if way.worker else "",
                pid=way.pid,
                worker=way.worker,
                store=way.store,
            )
            note(measured, name, found)
            if name == "on":
                measured.asked += int(found.get("requests", 0))
    time.sleep(FLUSHED)
    measured.captured += trivet.with_store(captured) - before
    trivet.with_store(lambda store: store.do("XTRIM", store.keys.shadow_jobs(), "MAXLEN", 0))


async def captured(store: Store) -> int:
    """Jobs that were ever put into the queue."""
    try:
        told = await store.do("XINFO", "STREAM", store.keys.shadow_jobs())
    except Fault:
        return 0  # there is no queue before the first job
    return int(told[told.index(b"entries-added") + 1])


def note(measured: Measured, way: str, result: dict[str, float]) -> None:
    """What one way cost in one turn."""
    measured.errors += int(result["errors"])
    good = bool(result.get("ok"))
    measured.tree.setdefault(way, []).append(result["cpu_us"] if good else math.nan)
    if way in ("off", "on"):
        measured.worker.setdefault(way, []).append(result["worker_us"] if good else math.nan)
        measured.store.setdefault(way, []).append(result["store_us"] if good else math.nan)


def config(mock: int) -> dict[str, object]:
    """Two aliases of one model; contents may be kept, and the queue never fills up in a round."""
    return {
        "capture": "full",
        "shadow": {"queue": 1_000_000, "budget": 0},
        "providers": {"openai": upstream(mock)},
        "aliases": {name: {"first_release": {"model": SNAPSHOT}} for name in (ALIAS, CAPTURED)},
    }


def section(measured: Measured) -> str:
    """The case's part of RESULTS.md."""
    head = [
        f"4 KB exchange, {RATE:,} a second",
        "CPU µs/live request",
        "x nginx",
        "live worker alone",
        "store CPU µs/request",
    ]
    names = {**{name: name for name in NGINX}, "off": "trivet", "on": "trivet, every exchange captured"}
    rows = []
    for way, name in names.items():
        pairs = zip(measured.tree.get(way, []), measured.tree.get("nginx", []), strict=False)
        ratio = median([ours / theirs if theirs else math.nan for ours, theirs in pairs])
        cells = [name, number(median(measured.tree.get(way, []))), number(ratio, 2)]
        rows.append([*cells, number(median(measured.worker.get(way, []))), number(median(measured.store.get(way, [])))])
    added, ratio_ = measured.added, measured.against_mirror()
    whole = measured.captured >= measured.asked > 0
    goals = [
        verdict(
            f"capture adds at most {LIMIT:.0f} µs of the live worker's CPU per exchange",
            f"{number(added.median)} ({number(added.low)} to {number(added.high)})",
            None if math.isnan(added.median) or not whole else added.median <= LIMIT,
        ),
        verdict(
            "Trivet shadowing everything costs less CPU per live request than nginx with its mirror",
            f"{number(ratio_.median, 2)} x ({number(ratio_.low, 2)} to {number(ratio_.high, 2)})",
            None if math.isnan(ratio_.median) or not whole else ratio_.median < 1,
        ),
    ]
    parts = ["## Capture, beside nginx with its mirror\n", lines_of(head, rows) + "\n"]
    parts.append(lines_of(["Goal", "This run (95 % bounds)", ""], goals) + "\n")
    parts.append(
        f"Captured: {measured.captured:,} of {measured.asked:,} exchanges that were to be; errors: {measured.errors}.\n"
        "nginx throws the mirrored answers away; Trivet's queue holds request and live answer.\n"
        + (f"nginx did not run: {measured.missing}." if measured.missing else "")
    )
    return "\n".join(parts)
