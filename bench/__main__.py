"""`make bench`: builds what is missing, starts every contestant once, loads them in turn, writes bench/RESULTS.md.

Four cases, one after the other: `peers` (the contestants), `legs`, `capture` and `shadow` (each a file of its own).
Bounded: rounds x contestants x four scenarios x (seconds + 0.3 s), and less for each other case; then everything that was started
is ended, whatever happened.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from types import FrameType

from bench import bodies, build, capture, legs, report, shadow
from bench.contestants import CONTESTANTS, Contestant, Place, key_of
from bench.measure import (
    OTHER_CORE,
    PROXY_CORE,
    SCENARIOS,
    Loader,
    end,
    free_ports,
    memory,
    running,
    wait_until_serving,
)

HERE = Path(__file__).resolve().parent
CASES = {"legs": legs, "capture": capture, "shadow": shadow}
"""The cases beside `peers`: each has `run(folder, rounds, seconds)` and `section(measured)`."""


def options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=", description=__doc__)
    parser.add_argument(
        "--cases", default="", help="of peers, legs, capture, shadow (default: all; with --only just peers)"
    )
    parser.add_argument("--only", default="", help="contestants, comma separated (default: all)")
    parser.add_argument("--scenarios", default=",".join(each.name for each in SCENARIOS), help="of 2k, 64k, sse, rate")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=0.8, help="seconds of each measurement")
    parser.add_argument("--tenants", type=int, default=8, help="keys, one per tenant, shared out over the connections")
    parser.add_argument("--run-steps", type=int, default=10, help="requests of a run; 1 makes every request a new run")
    parser.add_argument("--runs", type=int, default=0, help="instead: one of this many run ids in turn")
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "RESULTS.md",
        help="where the table goes; the raw numbers stand beside it in build/",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a goal is not met")
    choice = parser.parse_args(arguments)
    whole = ("peers",) if choice.only else ("peers", *CASES)
    choice.cases = choice.cases.split(",") if choice.cases else list(whole)
    unknown = {*choice.cases} - {"peers", *CASES}
    if unknown:
        parser.error(f"--cases takes peers, {', '.join(CASES)}, not {', '.join(sorted(unknown))}")
    choice.only = choice.only or ",".join(CONTESTANTS)
    return choice


class Bench:
    """One run of the bench: what is up, and what was measured."""

    def __init__(self, choice: argparse.Namespace, stack: contextlib.ExitStack, folder: Path) -> None:
        self.choice = choice
        self.stack = stack
        self.folder = folder
        self.scenarios = [each for each in SCENARIOS if each.name in choice.scenarios.split(",")]
        self.up: dict[str, tuple[Contestant, Place, subprocess.Popen[bytes]]] = {}
        self.missing: dict[str, str] = {}
        self.results: report.Results = {}
        self.store = 0

    def start(self) -> None:
        """Start mock, Redis and every contestant that can be had, each warm."""
        bodies.write(self.folder / "bodies")
        mock, redis = free_ports(2)
        self.stack.enter_context(
            running([str(build.BUILD / "mock"), "--port", str(mock)], OTHER_CORE, self.folder / "mock.log")
        )
        command = [
            build.redis_server(),
            "--port",
            str(redis),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self.folder),
            "--save",
            "",
        ]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        self.store = self.stack.enter_context(running(command, OTHER_CORE, self.folder / "redis.log")).pid
        run = ("--runs", str(self.choice.runs)) if self.choice.runs else ("--run-steps", str(self.choice.run_steps))
        load = ("--keys", str(self.choice.tenants), *run)
        self.loader = Loader(build.BUILD / "load", self.folder / "bodies", mock, self.choice.secs, load)
        time.sleep(0.3)
        for name in self.choice.only.split(","):
            port, admin = free_ports(2)
            place = Place(self.folder / name, port, admin, mock, redis, self.choice.tenants)
            place.folder.mkdir()
            self.try_to_start(CONTESTANTS[name], place)

    def try_to_start(self, contestant: Contestant, place: Place) -> None:
        """Start one contestant; one that cannot be had or does not answer is named as missing."""
        say(f"starting {contestant.name}")
        try:
            launch = contestant.launch(place)
        except build.Missing as why:
            self.missing[contestant.name] = str(why)
            return say(f"  not here: {why}")
        log = place.folder / "log"
        process = self.stack.enter_context(running(launch.command, PROXY_CORE, log, launch.environment))
        body = (self.folder / "bodies" / "2k.json").read_bytes()
        if why := wait_until_serving(process, place.port, body, key_of(0)):
            end(process)
            self.missing[contestant.name] = f"does not serve: {why}"
            tail = log.read_text(errors="replace").strip().splitlines()[-8:]
            return say("  " + "\n  ".join([f"does not serve: {why}", *tail]))
        self.up[contestant.name] = (contestant, place, process)
        self.results[contestant.name] = []
        for scenario in self.scenarios:
            if not scenario.low_rate:
                self.loader.run(scenario, place.port, require=contestant.require)
        return None

    def round(self, number: int) -> None:
        """Every contestant in every scenario once, the order turned by one each round, each scenario with its own direct measurement."""
        names = list(self.up)
        names = names[number % len(names) :] + names[: number % len(names)]
        found: dict[str, dict[str, dict[str, float]]] = {name: {} for name in names}
        direct: dict[str, float] = {}
        for scenario in self.scenarios:
            if scenario.low_rate:
                direct = self.loader.run(scenario, self.loader.mock)
            for name in names:
                contestant, place, process = self.up[name]
                store = self.store if name == "trivet" else 0
                found[name][scenario.name] = self.loader.run(
                    dataclasses.replace(scenario, conns=min(scenario.conns, contestant.conns)),
                    place.port,
                    rate=contestant.low_rate,
                    require=contestant.require,
                    pid=process.pid,
                    store=store,
                )
        for name in names:
            self.results[name].append(report.Round(found[name], direct, memory(self.up[name][2].pid)))
            cells = {key: round(value.get("cpu_us", 0), 1) for key, value in found[name].items()}
            say(
                f"round {number + 1}  {name:10} CPU µs/request {cells}  errors {int(sum(each.get('errors', 0) for each in found[name].values()))}"
            )


def versions(names: list[str]) -> dict[str, str]:
    """What each contestant is, with its version where it tells."""
    told = {name: CONTESTANTS[name].what for name in names}
    for name, package in (("aiohttp", "aiohttp"), ("trivet", "trivet")):
        if name in told:
            with contextlib.suppress(metadata.PackageNotFoundError):
                told[name] += f" ({package} {metadata.version(package)})"
    if "nginx" in told:
        done = subprocess.run([build.nginx(), "-v"], check=False, capture_output=True, text=True)
        told["nginx"] += f" ({done.stderr.strip().removeprefix('nginx version: ')})"
    if "envoy" in told:
        done = subprocess.run([build.envoy(), "--version"], check=False, capture_output=True, text=True)
        told["envoy"] += f" ({'/'.join(done.stdout.strip().split('version:')[-1].strip().split('/')[1:2])})"
    return told


def say(text: str) -> None:
    """Progress, on standard error."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def stop(number: int, _: FrameType | None) -> None:
    """Turn a signal into an exit, so that what was started is ended."""
    raise SystemExit(128 + number)


def run_peers(choice: argparse.Namespace, folder: Path) -> Bench:
    """The case `peers`."""
    with contextlib.ExitStack() as stack:
        bench = Bench(choice, stack, folder)
        bench.start()
        for number in range(choice.rounds if bench.up else 0):
            bench.round(number)
    return bench


def main(arguments: list[str] | None = None) -> int:
    """Run the bench. 0, or 1 when nothing could be started or, with --strict, a goal was not met."""
    choice = options(arguments)
    signal.signal(signal.SIGTERM, stop)
    build.compile_native()
    folder = Path(tempfile.mkdtemp(prefix="trivet-bench-"))
    sections: list[str] = []
    raw: dict[str, object] = {}
    try:
        for case in choice.cases:
            say(f"case {case}")
            if case == "peers":
                bench = run_peers(choice, folder)
                if not bench.up:
                    say("no contestant could be started")
                    return 1
                sections.append(report.peers(bench.results, versions(list(bench.up)), bench.missing))
                raw[case] = {name: [vars(each) for each in rounds] for name, rounds in bench.results.items()}
            else:
                measured = CASES[case].run(folder / case, choice.rounds, choice.secs)
                sections.append(CASES[case].section(measured))
                raw[case] = dataclasses.asdict(measured)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    given = " ".join(sys.argv[1:] if arguments is None else arguments)
    command = f'make bench ARGS="{given}"' if given else "make bench"
    text = report.document(command, choice.rounds, sections)
    choice.out.write_text(text)
    (build.BUILD / "raw.json").write_text(json.dumps(raw, indent=1, default=sorted))
    report.show(text)
    return 1 if choice.strict and "NOT met" in text else 0


if __name__ == "__main__":
    sys.exit(main())
