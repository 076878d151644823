"""From measurements to a table: medians over the rounds, and ratios taken within each round."""

from __future__ import annotations

import datetime
import math
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.bound import median

Measure = Callable[["Round"], float]


@dataclass(frozen=True)
class Round:
    """What one contestant did in one round, by scenario, beside the direct way to the mock."""

    results: dict[str, dict[str, float]]
    direct: dict[str, float]
    memory: dict[str, float]

    def of(self, scenario: str, name: str) -> float:
        """A measured value; not a number where it was not measured or the load failed."""
        result = self.results.get(scenario, {})
        return float(result[name]) if result.get("ok") and name in result else math.nan


Results = dict[str, list[Round]]


@dataclass(frozen=True)
class Goal:
    """What Trivet promises to stay below, as a ratio to another contestant in the same round, or absolute where there is none."""

    text: str
    limit: float
    measure: Measure
    against: str = ""
    inverse: bool = False
    """The other's cost over ours, to be at least the limit."""


def cpu_2k(one: Round) -> float:
    """CPU per 2 KB request, microseconds."""
    return one.of("2k", "cpu_us")


def cpu_64k(one: Round) -> float:
    """CPU per 64 KB request, microseconds."""
    return one.of("64k", "cpu_us")


def cpu_event(one: Round) -> float:
    """CPU per relayed SSE event, microseconds."""
    return one.of("sse", "cpu_event_us")


def added_p50(one: Round) -> float:
    """Latency that the contestant adds at a low fixed rate, median, microseconds."""
    return one.of("rate", "p50") - one.direct.get("p50", math.nan)


def added_p99(one: Round) -> float:
    """The same, 99th percentile."""
    return one.of("rate", "p99") - one.direct.get("p99", math.nan)


def worker_mb(one: Round) -> float:
    """PSS of the worker, MB."""
    return one.memory.get("worker", math.nan)


GOALS = (
    Goal("CPU at 2 KB, at most 3 times nginx", 3.0, cpu_2k, "nginx"),
    Goal("CPU at 2 KB, aim: at most 2 times nginx", 2.0, cpu_2k, "nginx"),
    Goal("CPU at 2 KB, aim: at most Envoy's", 1.0, cpu_2k, "envoy"),
    Goal("CPU at 2 KB, LiteLLM's at least 100 times ours", 100.0, cpu_2k, "litellm", inverse=True),
    Goal("CPU at 64 KB, at most 3 times nginx", 3.0, cpu_64k, "nginx"),
    Goal("CPU per SSE event, at most 1.5 times nginx", 1.5, cpu_event, "nginx"),
    Goal("added p50 under 1 ms", 1000.0, added_p50),
    Goal("PSS of a live worker at most 35 MB", 35.0, worker_mb),
)


def medians(rounds: Sequence[Round], measure: Measure) -> float:
    """Median over the rounds."""
    return median([measure(each) for each in rounds])


def paired(results: Results, name: str, other: str, measure: Measure) -> float:
    """Median of the ratios within each round."""
    pairs = zip(results.get(name, []), results.get(other, []), strict=False)
    return median([measure(ours) / measure(theirs) if measure(theirs) else math.nan for ours, theirs in pairs])


def number(value: float, digits: int = 1) -> str:
    """A number for a table, a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def table(results: Results) -> str:
    """One row per contestant."""
    head = ["", "CPU µs/request 2 KB", "x nginx", "CPU µs/request 64 KB", "x nginx", "CPU µs/SSE event", "x nginx"]
    head += [
        "requests/s 2 KB, one core",
        "added p50 µs",
        "added p99 µs",
        "PSS MB worker (all)",
        "store CPU µs/request",
        "errors",
    ]
    lines = []
    for name, rounds in results.items():
        cells = [name]
        for measure in (cpu_2k, cpu_64k, cpu_event):
            cells += [number(medians(rounds, measure)), number(paired(results, name, "nginx", measure), 2)]
        cells.append(number(medians(rounds, lambda one: one.of("2k", "per_second")), 0))
        cells += [number(medians(rounds, added_p50), 0), number(medians(rounds, added_p99), 0)]
        cells.append(
            f"{number(medians(rounds, worker_mb), 0)} ({number(median([one.memory.get('tree', math.nan) for one in rounds]), 0)})"
        )
        stored = medians(rounds, lambda one: one.of("2k", "store_us"))
        cells.append(number(stored) if stored else "")
        cells.append(str(int(sum(result.get("errors", 0) for one in rounds for result in one.results.values()))))
        lines.append(cells)
    return lines_of(head, lines)


def goals(results: Results, name: str = "trivet") -> str:
    """Trivet's goals and what this run says about each; nothing when Trivet did not run."""
    if not results.get(name):
        return ""
    rows = []
    for goal in GOALS:
        value = (
            paired(results, name, goal.against, goal.measure) if goal.against else medians(results[name], goal.measure)
        )
        value = 1 / value if goal.inverse and value else value
        met = value >= goal.limit if goal.inverse else value <= goal.limit
        rows.append(verdict(goal.text, number(value, 2), None if math.isnan(value) else met))
    return lines_of(["Goal", "This run", ""], rows)


def machine() -> str:
    """What the numbers were made on, without saying whose it is."""
    model = next(
        (line.split(":", 1)[1].strip() for line in read("/proc/cpuinfo").splitlines() if line.startswith("model name")),
        "unknown",
    )
    cores = read("/proc/cpuinfo").count("processor\t")
    return f"{model}, {cores} cores, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def read(path: str) -> str:
    """Text of a file, empty where it cannot be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def lines_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def verdict(text: str, value: str, met: bool | None) -> list[str]:
    """A row of a table of goals; None is not measured."""
    return [text, value, "not measured" if met is None else "met" if met else "NOT met"]


def document(command: str, rounds: int, sections: Sequence[str]) -> str:
    """The whole of RESULTS.md."""
    today = datetime.datetime.now(datetime.UTC).date()
    parts = [
        "# Bench results\n",
        f"Made by `{command}` on {today}: {rounds} interleaved rounds, on {machine()}.",
        "Absolute numbers of a shared machine differ by a factor of two between runs; the ratios are medians of the ratio within each round.",
        "[README.md](README.md) says how each number comes about.\n",
    ]
    return "\n".join([*parts, "\n\n".join(sections)]) + "\n"


def peers(results: Results, versions: dict[str, str], missing: dict[str, str]) -> str:
    """The section of the contestants."""
    parts = ["## Beside other proxies\n", table(results) + "\n"]
    if checks := goals(results):
        parts += [checks + "\n"]
    parts += [f"- {name}: {text}" for name, text in versions.items()]
    parts += [f"- {name} did not run: {why}" for name, why in missing.items()]
    return "\n".join(parts)


def show(text: str) -> None:
    """Print to standard output."""
    sys.stdout.write(text + "\n")
