"""The case `legs`: an agent of 64 KB with 20 tools in four dialects, through nginx, through Trivet as sent, and with both legs served."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from pathlib import Path

from bench import build, dialects, fingerprint
from bench.bound import median
from bench.dialects import SPOKEN, Spoken
from bench.measure import Scenario
from bench.report import lines_of, number, verdict
from bench.stage import Stage, Trivet, upstream
from gateway.core.contract.release import Mode

WAYS = ("nginx", "sent", "served")
SHARE = 0.6
"""Of the seconds of a slice: there are twelve of them, and they are saturated."""


@dataclass
class Measured:
    """What the rounds of the case gave: `DIALECT WAY` to a value per round; NaN where it could not be measured."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    errors: int = 0
    inside: dict[str, dict[str, float]] = field(default_factory=dict)
    missing: str = ""

    def note(self, dialect: str, way: str, result: dict[str, float]) -> None:
        """One slice of load."""
        self.errors += int(result["errors"])
        value = result["cpu_us"] if result.get("ok") else math.nan
        self.cpu.setdefault(f"{dialect} {way}", []).append(value)

    def ratio(self, dialect: str, way: str, other: str) -> float:
        """Median of the ratios within each round."""
        pairs = zip(self.cpu.get(f"{dialect} {way}", []), self.cpu.get(f"{dialect} {other}", []), strict=False)
        return median([ours / theirs if theirs else math.nan for ours, theirs in pairs])

    def of(self, dialect: str, way: str) -> float:
        """Median over the rounds."""
        return median(self.cpu.get(f"{dialect} {way}", []))


def run(folder: Path, rounds: int, seconds: float) -> Measured:
    """Measure. Raises Missing when there is no Redis server."""
    measured = Measured()
    for spoken in SPOKEN:
        measured.inside[spoken.name] = {
            mode.value: fingerprint.cost(spoken, mode) for mode in (Mode.SERVE, Mode.VERIFY)
        }
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, folder, seconds * SHARE)
        dialects.write(stage.loader.bodies)
        try:
            nginx = stage.nginx("nginx")
        except build.Missing as why:
            nginx, measured.missing = (0, 0), str(why)
        trivet = stage.trivet(config(stage.mock))
        for spoken in SPOKEN:
            release(trivet, spoken)
            for way in WAYS:
                stage.warm_up(scenario(spoken, way), trivet.port if way != "nginx" else nginx[0])
        for number_ in range(rounds):
            turned = SPOKEN[number_ % len(SPOKEN) :] + SPOKEN[: number_ % len(SPOKEN)]
            for spoken in turned:
                for way in WAYS if number_ % 2 else WAYS[::-1]:
                    port, pid = nginx if way == "nginx" else (trivet.port, trivet.pid)
                    if port:
                        measured.note(spoken.name, way, one(stage, spoken, way, port, pid))
    return measured


def one(stage: Stage, spoken: Spoken, way: str, port: int, pid: int) -> dict[str, float]:
    """One slice of load."""
    require = "" if way == "nginx" else "x-trivet-release"
    return stage.loader.run(scenario(spoken, way), port, require=require, pid=pid)


def scenario(spoken: Spoken, way: str) -> Scenario:
    """What is asked. nginx gets just what Trivet gets as sent."""
    served = way == "served"
    return Scenario(f"{spoken.name}-{way}", spoken.file(served=served), path=spoken.path_of(served=served))


def config(mock: int) -> dict[str, object]:
    """Two aliases per dialect, both with a release that leaves prompt and tools as sent."""
    return {
        "providers": {name: upstream(mock) for name in ("openai", "anthropic", "gemini")},
        "aliases": {
            spoken.alias(served=served): {"first_release": {"model": spoken.snapshot}}
            for spoken in SPOKEN
            for served in (False, True)
        },
    }


def release(trivet: Trivet, spoken: Spoken) -> None:
    """Promote a release that serves prompt and tools."""
    alias = spoken.alias(served=True)
    made = trivet.release(
        alias=alias,
        base="stable",
        prompt={"mode": "serve", "content": dialects.prompt()},
        tools={"mode": "serve", "content": dialects.released_tools().decode()},
    )
    trivet.promote(alias, made)


def section(measured: Measured) -> str:
    """The case's part of RESULTS.md."""
    head = ["64 KB, 20 tools", "nginx CPU µs", "as sent CPU µs", "x nginx", "both legs served CPU µs", "x nginx"]
    head += ["served x as sent", "fingerprints and splice µs: serve", "verify"]
    rows = []
    for spoken in SPOKEN:
        name = spoken.name
        cells = [name, number(measured.of(name, "nginx"))]
        for way in ("sent", "served"):
            cells += [number(measured.of(name, way)), number(measured.ratio(name, way, "nginx"), 2)]
        cells.append(number(measured.ratio(name, "served", "sent"), 2))
        rows.append([*cells, *(number(measured.inside[name][mode.value]) for mode in (Mode.SERVE, Mode.VERIFY))])
    most = max(value for costs in measured.inside.values() for value in costs.values())
    goal = verdict(
        f"fingerprinting and splicing together at most {fingerprint.BOUND:.0f} µs of CPU, in every dialect",
        number(most),
        most <= fingerprint.BOUND,
    )
    parts = ["## Prompt and tools served, in four dialects\n", lines_of(head, rows) + "\n"]
    parts.append(lines_of(["Goal", "This run", ""], [goal]) + "\n")
    parts.append(
        f"Errors: {measured.errors}." + (f" nginx did not run: {measured.missing}." if measured.missing else "")
    )
    return "\n".join(parts)
