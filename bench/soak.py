"""`python -m bench.soak --minutes 60`: whether a live worker's memory stays flat under an hour of load.

Loads Trivet as the bench does, at a fixed rate, with streams in between, and reads the worker's PSS after each slice.
Prints the sizes and the growth per hour of a line through the second half of them; exits with 1 over the limit.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from bench import build
from bench.__main__ import Bench, options, say
from bench.measure import SCENARIOS, memory

GROWTH = 2.0
"""MB an hour that a line through the sizes may rise: below what a leak of one object per request would cost at any rate used here."""
LIMIT = 35.0
"""MB of a live worker, the goal of the bench."""


def growth_per_hour(times: list[float], sizes: list[float]) -> float:
    """Slope of the least-squares line through the second half, in MB an hour."""
    half = len(times) // 2
    times, sizes = times[half:], sizes[half:]
    count = len(times)
    if count < 2:
        return 0.0
    middle, mean = sum(times) / count, sum(sizes) / count
    spread = sum((at - middle) ** 2 for at in times)
    return 3600 * sum((at - middle) * (size - mean) for at, size in zip(times, sizes, strict=True)) / spread


def soak(minutes: float, rate: int, slice_seconds: float) -> tuple[list[float], list[float], int]:
    """Times and sizes of the worker, and the errors seen."""
    build.compile_native()
    folder = Path(tempfile.mkdtemp(prefix="trivet-soak-"))
    times: list[float] = []
    sizes: list[float] = []
    errors = 0
    kinds = [replace(each, low_rate=True) for each in SCENARIOS if each.name in {"2k", "64k"}]
    kinds.append(next(each for each in SCENARIOS if each.name == "sse"))
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(options(["--only", "trivet", "--secs", str(slice_seconds)]), stack, folder)
            bench.start()
            if "trivet" not in bench.up:
                sys.exit("bench: trivet does not serve")
            contestant, place, process = bench.up["trivet"]
            begun = time.monotonic()
            while (now := time.monotonic() - begun) < minutes * 60:
                kind = kinds[len(times) % len(kinds)]
                result = bench.loader.run(kind, place.port, rate=rate, require=contestant.require)
                errors += int(result["errors"])
                times.append(now)
                sizes.append(memory(process.pid)["worker"])
                say(f"{now / 60:5.1f} min  {kind.name:4}  {sizes[-1]:6.2f} MB  errors {errors}")
        return times, sizes, errors
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Soak, judge, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=300, help="requests a second")
    parser.add_argument("--slice", type=float, default=10.0, help="seconds between two readings")
    chosen = parser.parse_args()
    times, sizes, errors = soak(chosen.minutes, chosen.rate, chosen.slice)
    growth = growth_per_hour(times, sizes)
    say(f"{min(sizes):.1f} to {max(sizes):.1f} MB, growth {growth:+.2f} MB an hour, {errors} errors")
    return 0 if growth <= GROWTH and max(sizes) <= LIMIT and not errors else 1


if __name__ == "__main__":
    sys.exit(main())
