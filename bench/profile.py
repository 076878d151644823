"""`python -m bench.profile [SCENARIO]`: where Trivet's time goes under load, by function.

Starts Trivet alone, as the bench does, and loads it while py-spy (installed into the environment on first use) looks at the
busiest process. Prints CPU per request of each process, and the functions that cost most, alone and with what they call.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench import build
from bench.__main__ import Bench, options
from bench.measure import SCENARIOS, TICKS, tree
from bench.report import show

IDLE = ("_worker (concurrent/futures/thread.py", "wait (threading.py", "select (selectors.py")
ROWS = 40


def py_spy() -> str:
    """Path of py-spy, beside this interpreter or on PATH."""
    beside = Path(sys.executable).with_name("py-spy")
    if not beside.exists() and not shutil.which("py-spy"):
        subprocess.run([sys.executable, "-m", "pip", "install", "-qq", "py-spy"], check=True)
    return str(beside) if beside.exists() else "py-spy"


def cpu_by_process(pid: int) -> dict[int, tuple[str, float, float]]:
    """Command line, user and system seconds of each process of a tree."""
    found = {}
    for process in tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            found[process.pid] = (" ".join(process.cmdline())[-70:], int(fields[11]) / TICKS, int(fields[12]) / TICKS)
    return found


def summary(stacks: str) -> str:
    """The functions that were seen most often, alone and with what they call, in per cent of the busy samples."""
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        names = frames.split(";")
        if names[-1].startswith(IDLE):
            continue
        alone[names[-1]] += int(count)
        for name in set(names):
            within[name] += int(count)
    total = sum(alone.values()) or 1
    rows = [f"{'alone':>6}  {'':60}  {'within':>6}"]
    for (one, seen), (other, all_seen) in zip(alone.most_common(ROWS), within.most_common(ROWS), strict=False):
        rows.append(f"{seen * 100 / total:5.1f}%  {one[:60]:60}  {all_seen * 100 / total:5.1f}%  {other[:60]}")
    return "\n".join(rows)


def main() -> int:
    """Profile one scenario."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("scenario", nargs="?", default="2k", choices=[each.name for each in SCENARIOS])
    parser.add_argument("--secs", type=float, default=5.0)
    chosen = parser.parse_args()
    build.compile_native()
    program = py_spy()
    folder = Path(tempfile.mkdtemp(prefix="trivet-profile-"))
    try:
        with contextlib.ExitStack() as stack:
            bench = Bench(
                options(["--only", "trivet", "--scenarios", chosen.scenario, "--secs", str(chosen.secs)]), stack, folder
            )
            bench.start()
            if "trivet" not in bench.up:
                return 1
            _, place, process = bench.up["trivet"]
            before = cpu_by_process(process.pid)
            busiest = max(before, key=lambda pid: before[pid][1])
            command = [
                program,
                "record",
                "-p",
                str(busiest),
                "-d",
                str(int(chosen.secs)),
                "-r",
                "400",
                "-f",
                "raw",
                "-F",
                "-o",
                str(folder / "stacks"),
            ]
            spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            result = bench.loader.run(bench.scenarios[0], place.port, pid=process.pid)
            after = cpu_by_process(process.pid)
            spy.wait(timeout=30)
        for pid, (name, user, system) in after.items():
            _, user_before, system_before = before.get(pid, ("", 0.0, 0.0))
            per = 1e6 / max(result["requests"], 1)
            show(
                f"user {(user - user_before) * per:6.1f}  system {(system - system_before) * per:6.1f} µs/request  {name}"
            )
        show(summary((folder / "stacks").read_text()))
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
