"""The case `shadow`: what a live request notices of a candidate that runs alongside, whatever the candidate does.

Conditions are interleaved in every round; each is compared with `off` of the same round. The shadow worker and the providers of
the candidates never run on the measured core: on a core of their own where there are three, else at the lowest priority beside mock, load
generator and Redis, whose delays a live request sees in its latency.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import math
import random
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.bodies import chat
from bench.bound import Bound, bound, median
from bench.capture import captured
from bench.contestants import ALIAS, SNAPSHOT, key_of
from bench.measure import CORES, Scenario, free_ports
from bench.report import lines_of, number, verdict
from bench.stage import Stage, Trivet, upstream
from gateway.core.contract.alias import Shadow
from gateway.store import pairs
from gateway.store.client import Store

RATE = 500
LOAD = Scenario("shadow", "exchange", conns=32, low_rate=True)
MODEL = "gpt-4o-2024-11-20"
P99_SHARE, P99_MS = 0.05, 2.0
"""The live p99 may be above that without a shadow by this share, or by so many milliseconds."""
FLAT_MB = 2.0
"""What the live worker may hold more than without a shadow."""
CALL_SECONDS = 1.0
"""Longest call of the shadow, so that one condition does not reach into the next."""
METRICS_SECONDS = 1.2
"""A live worker writes its numbers once a second."""
SEED = 20261123
SEEDED = 24
"""Requests whose answers are compared whole, streams among them; besides, every answer under load is compared with the first."""
VARIES = frozenset({"x-trivet-request", "x-trivet-run", "x-trivet-ticket", "x-trivet-bound", "date"})
"""Fields that two answers to the same request do not have in common."""


@dataclass(frozen=True)
class Condition:
    """One row of the table."""

    name: str
    provider: str = ""
    """Of the candidate; none is no shadow."""
    rate: int = 10_000
    behave: str = ""
    """What its mock does."""

    @property
    def settle(self) -> float:
        """Seconds until the calls of this condition are over."""
        return CALL_SECONDS + 0.2 if self.behave else 0.2


CONDITIONS = (
    Condition("off"),
    Condition("10 %", "candidate", 1000),
    Condition("100 %", "candidate"),
    Condition("100 %, candidate refuses", "refusing"),
    Condition("100 %, candidate hangs", "hanging", behave="hang"),
    Condition("100 %, candidate drips", "dripping", behave="drip"),
    Condition("100 %, candidate floods", "flooding", behave="flood"),
)


@dataclass
class Row:
    """What one condition gave, a value per round."""

    cpu: list[float] = field(default_factory=list)
    worker: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    pss: list[float] = field(default_factory=list)
    shadow_cpu: list[float] = field(default_factory=list)
    """Of the shadow's process, share of a core."""
    digests: set[str] = field(default_factory=set)
    requests: int = 0
    different: int = 0
    errors: int = 0
    captured: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    """Jobs by how they ended."""


@dataclass
class Measured:
    """The case."""

    rows: dict[str, Row] = field(default_factory=lambda: {each.name: Row() for each in CONDITIONS})
    before_mb: float = math.nan
    after_mb: float = math.nan
    dropped: float = math.nan
    missing: str = ""

    def more(self, name: str) -> Bound:
        """Milliseconds of p99 above `off`, from the difference within each round."""
        pairs_ = zip(self.rows[name].p99, self.rows["off"].p99, strict=True)
        return bound([ours - off for ours, off in pairs_])

    def held(self) -> Bound:
        """Megabytes that the worker holds above `off`, in the condition where it is most."""
        off = self.rows["off"].pss
        rows = [row.pss for name, row in self.rows.items() if name != "off"]
        return max((bound([a - b for a, b in zip(row, off, strict=True)]) for row in rows), key=lambda each: each.high)

    def share(self, name: str) -> Bound:
        """The same as a ratio."""
        return bound([a / b if b else math.nan for a, b in zip(self.rows[name].p99, self.rows["off"].p99, strict=True)])

    def unnoticed(self, name: str) -> bool | None:
        """Whether the live p99 is surely within the goal. None is not measured."""
        high, share = self.more(name).high, self.share(name).high
        return None if math.isnan(high) else high <= P99_MS or share <= 1 + P99_SHARE


def run(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure. Raises Missing when there is no Redis server."""
    measured = Measured()
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, folder, seconds)
        (stage.loader.bodies / "exchange.json").write_bytes(chat(3000, 1))
        (nobody,) = free_ports(1)
        ports = {"candidate": stage.provider("candidate", nice=True), "refusing": nobody}
        for each in CONDITIONS:
            if each.behave:
                ports[each.provider] = stage.provider(each.provider, "--behave", each.behave, nice=True)
        trivet = stage.trivet(config(stage.mock, ports))
        measured.missing = trivet.hire_shadow()
        if measured.missing:
            return measured
        candidates = {name: trivet.release(model=f"{name}/{MODEL}") for name in ports}
        trivet.shadows(ALIAS, Shadow(candidates["candidate"], "bench", 10_000, 0))
        stage.warm_up(LOAD, trivet.port, rate=RATE)
        answers(trivet.port)
        for number_ in range(rounds):
            turn = number_ % len(CONDITIONS)
            for condition in CONDITIONS[turn:] + CONDITIONS[:turn]:
                one(stage, trivet, condition, candidates.get(condition.provider, ""), measured.rows[condition.name])
            if not number_:  # its buffers are made once
                measured.before_mb = trivet.pss()
        trivet.shadows(ALIAS)
        measured.after_mb = trivet.pss()
        time.sleep(METRICS_SECONDS)
        measured.dropped = trivet.metric("trivet_shadow_dropped_total")
    return measured


def one(stage: Stage, trivet: Trivet, condition: Condition, candidate: str, row: Row) -> None:
    """One condition in one round."""
    trivet.shadows(ALIAS, *([Shadow(candidate, "bench", condition.rate, 0)] if candidate else []))
    ended, taken = counted(trivet, candidate), trivet.with_store(captured)
    busy, begun = trivet.shadow_cpu(), time.monotonic()
    found = stage.loader.run(
        LOAD, trivet.port, rate=RATE, require="x-trivet-release", pid=trivet.pid, worker=trivet.worker
    )
    row.shadow_cpu.append((trivet.shadow_cpu() - busy) / (time.monotonic() - begun))
    row.digests |= {answers(trivet.port), str(found.get("digest"))}
    good = bool(found.get("ok"))
    for values, name, scale in (
        (row.cpu, "cpu_us", 1),
        (row.worker, "worker_us", 1),
        (row.p50, "p50", 1000),
        (row.p99, "p99", 1000),
    ):
        values.append(found[name] / scale if good else math.nan)
    row.pss.append(trivet.pss())
    row.requests += int(found.get("requests", 0))
    row.different += int(found.get("different", 0))
    row.errors += int(found["errors"])
    time.sleep(condition.settle)
    row.captured += trivet.with_store(captured) - taken
    for word, count in counted(trivet, candidate).items():
        row.ended[word] = row.ended.get(word, 0) + count - ended.get(word, 0)


def counted(trivet: Trivet, candidate: str) -> dict[str, int]:
    """Jobs of a candidate by how they ended."""

    async def work(store: Store) -> dict[str, int]:
        return (await pairs.counts(store, ALIAS)).get(candidate, {})

    found: dict[str, int] = trivet.with_store(work) if candidate else {}
    return found


def answers(port: int) -> str:
    """Digest of everything a client gets for the seeded requests, but for what must differ."""
    dice, whole = random.Random(SEED), hashlib.sha256()
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for number_ in range(SEEDED):
        stream = number_ % 3 == 2
        body = json.loads(chat(dice.randrange(600, 6000), dice.randrange(1, 4), stream=stream, marker="[[sse:6:0]]"))
        body["seed"] = dice.randrange(1 << 31)
        headers = {"authorization": f"Bearer {key_of(number_ % 8)}", "x-trivet-run": f"seeded-{number_}"}
        link.request("POST", "/v1/chat/completions", json.dumps(body), headers | {"content-type": "application/json"})
        got = link.getresponse()
        kept = [(name.lower(), value) for name, value in got.getheaders() if name.lower() not in VARIES]
        # The mock's own time stamps are the only bytes of a stream that its provider changes.
        whole.update(repr((got.status, kept)).encode() + re.sub(rb"t=\d+ ", b"t= ", got.read()))
    link.close()
    return whole.hexdigest()[:16]


def config(mock: int, ports: dict[str, int]) -> dict[str, object]:
    """One alias, its provider, and a provider for each candidate."""
    candidates = {name: upstream(port, vendor="openai") for name, port in ports.items()}
    return {
        "capture": "full",
        "shadow": {"budget": 0, "timeout": CALL_SECONDS, "providers": list(ports)},
        "providers": {"openai": upstream(mock), **candidates},
        "aliases": {ALIAS: {"first_release": {"model": SNAPSHOT}}},
    }


def section(measured: Measured) -> str:
    """The case's part of RESULTS.md."""
    title = "## What a live request notices of a shadow\n"
    if measured.missing:
        return f"{title}\nNot measured: {measured.missing}."
    head = [
        "shadow",
        "live CPU µs/request",
        "live worker alone",
        "x off",
        "p50 ms",
        "p99 ms",
        "p99 above off, ms (95 % below)",
    ]
    head += ["bytes", "worker PSS MB", "captured", "pairs", "skips", "dead", "shadow's CPU", "errors"]
    off = measured.rows["off"]
    rows = []
    for name, row in measured.rows.items():
        ratio = median([a / b if b else math.nan for a, b in zip(row.worker, off.worker, strict=True)])
        more = measured.more(name)
        cells = [name, number(median(row.cpu)), number(median(row.worker)), number(ratio, 2)]
        cells += [number(median(row.p50), 2), number(median(row.p99), 2), f"{more.median:+.2f} ({more.high:+.2f})"]
        cells += ["identical" if same(row, off) else "DIFFERENT", number(median(row.pss))]
        cells.append(f"{row.captured:,}")
        ends = [
            sum(count for word, count in row.ended.items() if word.startswith(start))
            for start in ("pair", "skip", "dead")
        ]
        rows.append([*cells, *(f"{count:,}" for count in ends), f"{median(row.shadow_cpu):.0%}", str(row.errors)])
    parts = [title, lines_of(head, rows) + "\n", lines_of(["Goal", "This run", ""], goals(measured)) + "\n"]
    parts.append(told(measured))
    return "\n".join(parts)


def same(row: Row, off: Row) -> bool:
    """Whether every client got just the bytes it gets without a shadow."""
    return row.digests == off.digests and not row.different


def goals(measured: Measured) -> list[list[str]]:
    """What the case is for."""
    found = []
    off = measured.rows["off"]
    for name in measured.rows:
        if name != "off":
            more = measured.more(name)
            value = f"{more.high:+.2f} ms, {measured.share(name).high:.2f} x" if not math.isnan(more.high) else "-"
            text = f"{name}: live p99 at most 5 % or 2 ms above off, with 95 % confidence"
            found.append(verdict(text, value, measured.unnoticed(name)))
    asked = sum(row.requests for row in measured.rows.values()) + len(measured.rows) * len(off.p99) * SEEDED
    different = sum(not same(row, off) for row in measured.rows.values())
    found.append(
        verdict(
            "bytes of every answer as without a shadow", f"{asked:,} answers, {different} rows differ", not different
        )
    )
    more = measured.held()
    found.append(
        verdict(
            f"the live worker holds at most {FLAT_MB:.0f} MB more than off, with 95 % confidence",
            f"{more.high:+.1f} MB",
            None if math.isnan(more.high) else more.high <= FLAT_MB,
        )
    )
    return found


def told(measured: Measured) -> str:
    """What a reader has to know about the numbers."""
    where = (
        "shadow worker and candidates have a core of their own"
        if len(CORES) > 2
        else "the machine has two cores: shadow worker and candidates run at the lowest priority on the second, beside mock, load generator "
        "and Redis, so the latencies hold what that costs these three"
    )
    return (
        f"{RATE} requests a second of 4 KB; {where}.\nEach condition is compared with `off` of the same round, and the bound comes "
        "from a bootstrap over the rounds.\nWhat waits at the end of a condition is thrown away by the bench.\n"
        f"Dropped because the queue was full, in all: {number(measured.dropped, 0)}.\n"
        f"From the first round's end to the last's the worker went from {number(measured.before_mb)} to "
        f"{number(measured.after_mb)} MB while its bounded tables filled; `tests/soak/test_memory.py` shows where that ends."
    )
