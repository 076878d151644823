"""Processes under measurement: started in their own group, pinned to a core, read through /proc, always ended.

The contestant runs on the first core; mock, load generator and Redis on the second. With one core only, nothing is pinned and
the numbers say little.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

TICKS = os.sysconf("SC_CLK_TCK")
SCHEDULED = 2
"""Linux: with a process id, the clock of the time that all its threads were run."""
CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE, OTHER_CORE = CORES[0], CORES[-1]
SIDE_CORE = CORES[1] if len(CORES) > 2 else OTHER_CORE
"""Where the shadow works: on a core of its own where there are three, else beside mock and load, at the lowest priority."""


def pinned(core: int, command: list[str]) -> list[str]:
    """The command, held to one core where there are two."""
    taskset = shutil.which("taskset")
    return [taskset, "-c", str(core), *command] if taskset and len(CORES) > 1 else command


@contextlib.contextmanager
def running(
    command: list[str], core: int, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process and whatever it starts, in a process group of its own that ends with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            pinned(core, command),
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the whole group to stop, then make it."""
    for number, patience in ((signal.SIGTERM, 6.0), (signal.SIGKILL, 3.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            process.poll()
            if not group_alive(process.pid):
                process.wait()
                return
            time.sleep(0.05)


def group_alive(group: int) -> bool:
    """Whether the group has a member that still runs (a zombie does not)."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; none for 0."""
    if not pid:
        return []
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def cpu(pid: int) -> float:
    """Seconds of user and system time of a process tree so far."""
    return sum(cpu_of(process.pid) for process in tree(pid))


def cpu_of(pid: int) -> float:
    """Seconds of user and system time of one process so far, 0 when it is gone. The kernel's own clock of it, not ticks of 10 ms."""
    if not pid:
        return 0.0
    try:
        return time.clock_gettime((~pid << 3) | SCHEDULED)
    except OSError:
        return 0.0


def memory(pid: int) -> dict[str, float]:
    """Proportional set size in MB: of the tree, and of its largest process that is hot (the worker)."""
    sizes = []
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            sizes.append((times.user + times.system, process.memory_full_info().pss / 1e6))
    return {"tree": sum(size for _, size in sizes), "worker": max(sizes)[1]} if sizes else {"tree": 0.0, "worker": 0.0}


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(true: Callable[[], Any], why: str, patience: float = 20.0) -> None:
    """Wait until a condition holds; ends the bench with `why` when it never does."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            if true():
                return
        time.sleep(0.05)
    sys.exit(f"bench: {why}")


def get_json(port: int, path: str = "/") -> Any:
    """A GET to loopback, read as JSON."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return json.load(answer)


def wait_until_serving(
    process: subprocess.Popen[bytes], port: int, body: bytes, key: str, patience: float = 90.0
) -> str:
    """Wait until a real request gets the mock's answer. Returns "" or why it never did."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    deadline, why = time.monotonic() + patience, "no answer"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return f"exited with {process.returncode}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10) as answer:
                if "quick brown" in json.load(answer)["choices"][0]["message"]["content"]:
                    return ""
                why = "answered with something else"
        except (OSError, ValueError, KeyError) as error:
            why = repr(error)
            time.sleep(0.2)
    return why


@dataclass(frozen=True)
class Scenario:
    """One kind of load."""

    name: str
    body: str
    conns: int = 32
    low_rate: bool = False
    stream: bool = False
    path: str = "/v1/chat/completions"


SCENARIOS = (
    Scenario("2k", "2k"),
    Scenario("64k", "64k"),
    Scenario("sse", "stream", conns=64, stream=True),
    Scenario("rate", "2k", conns=16, low_rate=True),
)


@dataclass(frozen=True)
class Loader:
    """The load generator with what stays the same for a whole bench."""

    program: Path
    bodies: Path
    mock: int
    seconds: float
    options: tuple[str, ...] = field(default=())

    def run(
        self,
        scenario: Scenario,
        port: int,
        *,
        rate: int = 200,
        require: str = "",
        pid: int = 0,
        store: int = 0,
        worker: int = 0,
    ) -> dict[str, float]:
        """Load one port. CPU is that of the process trees `pid` and `store` and of the process `worker`, divided by what the mock has seen of it."""
        command = [str(self.program), "--port", str(port), "--body", str(self.bodies / f"{scenario.body}.json")]
        command += ["--path", scenario.path, "--conns", str(scenario.conns), "--secs", str(self.seconds), *self.options]
        command += ["--rate", str(rate)] if scenario.low_rate else []
        command += ["--stream"] if scenario.stream else []
        command += ["--require", require] if require else []
        seen, before = get_json(self.mock), [cpu(pid), cpu(store), cpu_of(worker)]
        done = subprocess.run(
            pinned(OTHER_CORE, command), check=False, capture_output=True, text=True, timeout=self.seconds + 60
        )
        if done.returncode:
            return {"errors": 1, "ok": 0}
        used, used_store, used_worker = (
            now - then for now, then in zip([cpu(pid), cpu(store), cpu_of(worker)], before, strict=True)
        )
        now = get_json(self.mock)
        result: dict[str, float] = json.loads(done.stdout)
        result["requests"] = requests = now["requests"] - seen["requests"]
        result["cpu_us"] = used * 1e6 / max(requests, 1)
        result["store_us"] = used_store * 1e6 / max(requests, 1)
        result["worker_us"] = used_worker * 1e6 / max(requests, 1)
        result["cpu_event_us"] = used * 1e6 / max(now["events"] - seen["events"], 1)
        return result
