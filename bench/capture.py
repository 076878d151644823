"""The case `capture`: what it costs the live path to hand every exchange to the shadow, beside nginx with a mirror.

All at the same fixed rate, since a saturated process shares its system calls among more requests.
"""

from __future__ import annotations

import contextlib
import math
import time
from dataclasses import dataclass, field, replace
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
LIMIT = 10.0
"""Microseconds of the live worker's CPU that a captured exchange may add."""
ALL = 10_000
LOAD = Scenario("4k exchange", "exchange", conns=32, low_rate=True)
NGINX = ("nginx", "nginx with mirror")
ORDERS = (("off", "on", "on", "off", "off", "on", "on", "off"), ("on", "off", "off", "on", "on", "off", "off", "on"))
"""Slices of the rounds in turn, each half as long: a drift of the machine falls on both alike."""


@dataclass
class Measured:
    """Values per round: CPU of the process tree by way, CPU of the live worker without and with capture, microseconds."""

    tree: dict[str, list[float]] = field(default_factory=dict)
    worker: dict[str, list[float]] = field(default_factory=dict)
    store: dict[str, list[float]] = field(default_factory=dict)
    asked: int = 0
    captured: int = 0
    mirrored: int = 0
    errors: int = 0
    missing: str = ""

    @property
    def added(self) -> Bound:
        """Microseconds of the worker that capture adds, from the difference within each round."""
        pairs = zip(self.worker.get("on", []), self.worker.get("off", []), strict=True)
        return bound([on - off for on, off in pairs])

    def against_mirror(self) -> Bound:
        """CPU of Trivet that captures everything over nginx's with its mirror, within each round."""
        pairs = zip(self.tree.get("on", []), self.tree.get(NGINX[1], []), strict=False)
        return bound([ours / theirs if theirs else math.nan for ours, theirs in pairs])


def run(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure. Raises Missing when there is no Redis server."""
    measured = Measured()
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, folder, seconds)
        (stage.loader.bodies / "exchange.json").write_bytes(chat(EXCHANGE - ANSWER, 1))
        nginx: dict[str, tuple[int, int]] = {}
        try:
            nginx = {
                NGINX[0]: stage.nginx("nginx"),
                NGINX[1]: stage.nginx("mirror", mirror=stage.provider("second", nice=True)),
            }
        except build.Missing as why:
            measured.missing = str(why)
        trivet = stage.trivet(config(stage.mock))
        candidate = trivet.release(model="openai/gpt-4o-2024-11-20")
        trivet.shadows(ALIAS, Shadow(candidate, "bench", ALL, 0))
        for port in (trivet.port, *(port for port, _ in nginx.values())):
            stage.warm_up(LOAD, port, rate=RATE)
        for number_ in range(rounds):
            names = list(nginx)[:: 1 if number_ % 2 else -1]
            for name in names:
                port, pid = nginx[name]
                note(measured, name, stage.loader.run(LOAD, port, rate=RATE, pid=pid))
            slices(stage, trivet, candidate, measured, ORDERS[number_ % 2])
    return measured


def slices(stage: Stage, trivet: Trivet, candidate: str, measured: Measured, order: tuple[str, ...]) -> None:
    """One round of Trivet: capture off and on in turn, the slices of each taken together."""
    found: dict[str, list[dict[str, float]]] = {"off": [], "on": []}
    loader = replace(stage.loader, seconds=stage.seconds / 2)
    now = ""
    for word in order:
        if word != now:
            now = word
            trivet.shadows(ALIAS, *([Shadow(candidate, "bench", ALL, 0)] if word == "on" else []))
        before = trivet.with_store(captured)
        found[word].append(
            loader.run(
                LOAD,
                trivet.port,
                rate=RATE,
                require="x-trivet-release",
                pid=trivet.pid,
                worker=trivet.worker,
                store=trivet.store,
            )
        )
        time.sleep(0.1)
        taken = trivet.with_store(captured) - before
        if word == "on":
            measured.captured += taken
            measured.asked += int(found[word][-1]["requests"])
    for word, results in found.items():
        whole = {
            key: sum(each.get(key, math.nan) for each in results) / len(results)
            for key in ("cpu_us", "worker_us", "store_us")
        }
        note(
            measured,
            word,
            {"ok": min(each["ok"] for each in results), "errors": sum(each["errors"] for each in results), **whole},
        )
    trivet.shadows(ALIAS)


async def captured(store: Store) -> int:
    """Jobs that were ever put into the queue."""
    try:
        told = await store.do("XINFO", "STREAM", store.keys.shadow_jobs())
    except Fault:
        return 0  # there is no queue before the first job
    return int(told[told.index(b"entries-added") + 1])


def note(measured: Measured, way: str, result: dict[str, float]) -> None:
    """What one way cost in one round."""
    measured.errors += int(result["errors"])
    good = bool(result.get("ok"))
    measured.tree.setdefault(way, []).append(result["cpu_us"] if good else math.nan)
    if way in ("off", "on"):
        measured.worker.setdefault(way, []).append(result["worker_us"] if good else math.nan)
        measured.store.setdefault(way, []).append(result["store_us"] if good else math.nan)


def config(mock: int) -> dict[str, object]:
    """One alias; contents may be kept, and the queue never fills up in a slice."""
    return {
        "capture": "full",
        "shadow": {"queue": 1_000_000, "budget": 0},
        "providers": {"openai": upstream(mock)},
        "aliases": {ALIAS: {"first_release": {"model": SNAPSHOT}}},
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
        f"Captured: {measured.captured:,} of {measured.asked:,} exchanges that were to be. Errors: {measured.errors}. "
        "nginx throws the mirrored answers away; Trivet's queue holds request and live answer."
        + (f" nginx did not run: {measured.missing}." if measured.missing else "")
    )
    return "\n".join(parts)
