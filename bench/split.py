"""`python -m bench.split`: what a rollout costs the live path, from pairs of slices that follow one another.

Two aliases of one model, one of them with half of its new runs on a candidate: exposures, an event for each request, an arm for
each new run. Once with runs of ten requests, once with a new run for each request. Prints the difference of the live worker's CPU.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import shutil
import sys
import tempfile
from pathlib import Path

from bench import build
from bench.__main__ import say
from bench.bodies import chat
from bench.bound import bound, median
from bench.contestants import ALIAS, SNAPSHOT
from bench.measure import Scenario
from bench.stage import Stage, Trivet, upstream
from gateway.store.client import Store

SPLIT = "gpt-4x"
"""The alias in a rollout. Its name is as long as the other's, so that the bodies are."""
BYTES = 2048
RATE = 1000
STEPS = (10, 1)
"""Requests of a run."""
OFF, ON = (Scenario(name, name, conns=8, low_rate=True) for name in ("off", "on"))


def begin(trivet: Trivet) -> None:
    """A rollout of one step that lasts, with half of the new runs on the candidate."""
    manifest = {
        "kind": "Rollout",
        "alias": SPLIT,
        "release": trivet.release(model="openai/gpt-4o-2024-11-20"),
        "steps": [{"weight": "50%", "bake": "12h", "runs": 1}],
        "skip_shadow": "bench",
        "trips": 1_000_000_000,  # the mock names one model whichever is asked
    }
    trivet.ask(f"/aliases/{SPLIT}/rollout/start", manifest=manifest, reason="bench")
    trivet.ask(f"/aliases/{SPLIT}/rollout/override", reason="bench", override="bench")


async def told(store: Store) -> int:
    """Entries of both streams of the alias in a rollout."""
    keys = store.keys
    return sum([int(await store.do("XLEN", key)) for key in (keys.exposures(SPLIT), keys.events(SPLIT))])


def measure(folder: Path, rounds: int, seconds: float, steps: int) -> tuple[list[float], list[float], int]:
    """Microseconds of the live worker a request, without and with a split, a pair per round; and errors."""
    off, on, errors = [], [], 0
    with contextlib.ExitStack() as stack:
        stage = Stage(stack, folder, seconds, run_steps=steps, warm=0.05)
        body = chat(BYTES, 1)
        (stage.loader.bodies / "off.json").write_bytes(body)
        (stage.loader.bodies / "on.json").write_bytes(body.replace(ALIAS.encode(), SPLIT.encode(), 1))
        aliases = {name: {"first_release": {"model": SNAPSHOT}} for name in (ALIAS, SPLIT)}
        trivet = stage.trivet({"providers": {"openai": upstream(stage.mock)}, "aliases": aliases})
        begin(trivet)
        for load in (OFF, ON):
            stage.warm_up(load, trivet.port, rate=RATE)
        for number in range(rounds):
            for load in (OFF, ON) if number % 2 else (ON, OFF):
                found = stage.loader.run(
                    load, trivet.port, rate=RATE, require="x-trivet-release", pid=trivet.pid, worker=trivet.worker
                )
                errors += int(found["errors"])
                (off if load is OFF else on).append(found["worker_us"] if found.get("ok") else math.nan)
        if trivet.with_store(told) < RATE * seconds * rounds / 2:
            sys.exit("bench: the rollout ended, so there was no split to measure")
    return off, on, errors


def main() -> int:
    """Measure, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.split", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--secs", type=float, default=0.5, help="seconds of a slice")
    chosen = parser.parse_args()
    build.compile_native()
    folder = Path(tempfile.mkdtemp(prefix="trivet-split-"))
    failed = 0
    try:
        for steps in STEPS:
            off, on, errors = measure(folder / str(steps), chosen.rounds, chosen.secs, steps)
            more = bound([with_ - without for with_, without in zip(on, off, strict=True)])
            failed += errors
            say(
                f"{steps:2} requests a run: {median(off):.1f} µs without, {median(on):.1f} µs with a split: "
                f"{more.median:+.1f} ({more.low:+.1f} to {more.high:+.1f}); {errors} errors"
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
