"""What the cases beside the contestants stand on: mocks, a Redis, nginx and a Trivet of their own, pinned, ended with the case."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench import build, contestants
from bench.contestants import ROOT, Place, key_of
from bench.measure import (
    OTHER_CORE,
    PROXY_CORE,
    SIDE_CORE,
    Loader,
    Scenario,
    cpu,
    free_ports,
    get_json,
    running,
    wait_for,
)
from gateway.core.contract.alias import Shadow
from gateway.core.contract.records import HistoryEntry
from gateway.settings.model import StoreSettings
from gateway.store import aliases
from gateway.store.client import Store

TENANTS = 8
NICE = "19"
AUTOGROUP = "/proc/self/autogroup"
WARM_UP = 0.2
FOLLOW = 0.4
"""Seconds after which a live worker surely serves a pointer that was written: it looks four times a second."""


@dataclass
class Stage:
    """Starts what a case needs; everything ends with `stack`."""

    stack: contextlib.ExitStack
    folder: Path
    seconds: float
    run_steps: int = 10
    warm: float = 0.2

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "bodies").mkdir(exist_ok=True)
        self.mock = self.provider("mock")
        load = ("--keys", str(TENANTS), "--run-steps", str(self.run_steps), "--warm", str(self.warm))
        self.loader = Loader(build.BUILD / "load", self.folder / "bodies", self.mock, self.seconds, load)

    def warm_up(self, scenario: Scenario, port: int, *, rate: int = 0) -> None:
        """A moment of load that is not measured; none without a port."""
        if port:
            replace(self.loader, seconds=WARM_UP).run(scenario, port, rate=rate)

    def begin(self, name: str, command: Sequence[str], core: int, environment: Mapping[str, str] | None = None) -> int:
        """Start a process; its id."""
        log = self.folder / f"{name}.log"
        return self.stack.enter_context(running(list(command), core, log, environment)).pid

    def provider(self, name: str, *options: str, nice: bool = False) -> int:
        """A mock provider; its port."""
        (port,) = free_ports(1)
        command = [str(build.BUILD / "mock"), "--port", str(port), *options]
        self.begin(name, lowered(command) if nice else command, SIDE_CORE if nice else OTHER_CORE)
        wait_for(lambda: get_json(port) is not None, f"the mock {name} does not answer")
        return port

    def redis(self) -> tuple[int, int]:
        """A Redis as the store is meant to be, with port and process id."""
        (port,) = free_ports(1)
        command = [build.redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]
        return port, self.begin("redis", [*command, "--maxmemory-policy", "noeviction"], OTHER_CORE)

    def nginx(self, name: str, *, mirror: int = 0) -> tuple[int, int]:
        """nginx as the contestants' own, with port and process id; `mirror` is the port it sends a copy of every request to.

        Raises Missing.
        """
        (port,) = free_ports(1)
        folder = self.folder / name
        folder.mkdir()
        place = Place(folder, port, 0, self.mock, 0, TENANTS, mirror)
        pid = self.begin(name, contestants.nginx(place).command, PROXY_CORE)
        wait_for(lambda: get_json(port) is not None, f"{name} does not answer")
        return port, pid

    def trivet(self, config: Mapping[str, Any]) -> Trivet:
        """A Trivet with a key per tenant on a Redis of its own."""
        port, admin = free_ports(2)
        redis, store = self.redis()
        time.sleep(0.2)
        whole = {
            "listen": f"127.0.0.1:{port}",
            "auth": "keys",
            "admin": {"listen": f"127.0.0.1:{admin}"},
            "store": {"redis": f"redis://127.0.0.1:{redis}/0", "data_dir": str(self.folder / "data")},
            "stamp_keys": [hashlib.sha256(b"bench").hexdigest()],
            "keys": [
                {"sha256": hashlib.sha256(key_of(n).encode()).hexdigest(), "tenant": f"tenant-{n}"}
                for n in range(TENANTS)
            ],
            **config,
        }
        command = serve(self.folder / "gateway.yaml", whole, "live,control")
        pid = self.begin("trivet", command, PROXY_CORE, {"PYTHONPATH": str(ROOT)})
        made = Trivet(self, whole, port, admin, redis, store, pid)
        wait_for(made.ready, f"trivet does not serve; see {self.folder / 'trivet.log'}", 60.0)
        made.worker = made.parts()["live-0"]["pid"]
        return made


def upstream(port: int, **more: Any) -> dict[str, Any]:
    """A mock as a provider of the configuration."""
    return {"base_url": f"http://127.0.0.1:{port}", "api_key": "bench-upstream", "allow_private": True, **more}


def lowered(command: list[str]) -> list[str]:
    """The command at the lowest priority, in a session of its own: where Linux weighs whole sessions, that has to be lowered too."""
    script = f'[ -w {AUTOGROUP} ] && echo {NICE} > {AUTOGROUP}; exec nice -n {NICE} "$@"'
    return ["sh", "-c", script, "lowered", *command] if shutil.which("nice") else command


def serve(file: Path, config: Mapping[str, Any], roles: str) -> list[str]:
    """Write a configuration, and how it is served."""
    file.write_text(json.dumps(config, indent=2))  # JSON is YAML
    return [sys.executable, "-m", "gateway", "serve", "--config", str(file), "--roles", roles]


@dataclass
class Trivet:
    """One live worker, its background process and its supervisor on the measured core."""

    stage: Stage
    config: dict[str, Any]
    port: int
    admin: int
    redis: int
    store: int
    pid: int
    worker: int = 0
    shadow: int = 0
    """The supervisor of the shadow worker; 0 while there is none."""

    def parts(self, data: str = "") -> dict[str, Any]:
        """What a supervisor of this case runs, by name."""
        file = Path(data or self.config["store"]["data_dir"]) / "run" / "processes.json"
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads(file.read_text())["parts"]
            return found
        return {}

    def ready(self) -> bool:
        """Whether the data port says that it serves."""
        if self.parts().get("live-0", {}).get("state") != "ready":
            return False
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
            return True
        return False

    def ask(self, path: str, **members: Any) -> Any:
        """One POST to the admin port."""
        url = f"http://127.0.0.1:{self.admin}/api/v1{path}"
        request = urllib.request.Request(url, json.dumps(members).encode(), {"content-type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            sys.exit(f"bench: {path}: {error.code} {error.read().decode(errors='replace')[:500]}")

    def release(self, **members: Any) -> str:
        """Make a release; its id."""
        return str(self.ask("/releases", **members)["id"])

    def promote(self, alias: str, release: str) -> None:
        """Make a release stable, and wait for the worker."""
        self.ask(f"/aliases/{alias}/promote", release=release, reason="bench", override="bench")

    def metric(self, name: str) -> float:
        """Sum over all labels of a metric, as of now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))

    def pss(self) -> float:
        """Memory of the live worker, MB."""
        return float(psutil.Process(self.worker).memory_full_info().pss) / 1e6

    def with_store(self, work: Callable[[Store], Any]) -> Any:
        """Run a coroutine on a connection to the store."""

        async def run() -> Any:
            async with Store(StoreSettings(redis=self.config["store"]["redis"]), command_seconds=5.0) as store:
                return await work(store)

        return asyncio.run(run())

    def shadows(self, alias: str, *shadows: Shadow) -> None:
        """Let just these candidates run alongside, drop what waits from before, and wait until the worker knows."""

        async def work(store: Store) -> None:
            before = await aliases.get(store, alias)
            assert before is not None
            after = msgspec.structs.replace(before, shadows=shadows)
            entry = HistoryEntry(
                at_ms=int(time.time() * 1000),
                actor="bench",
                action="shadow_start" if shadows else "shadow_stop",
                reason="bench",
                version=before.version,
                before=before,
                after=after,
                operation=uuid.uuid4().hex,
            )
            await aliases.write(store, before, after, entry)
            await store.do("XTRIM", store.keys.shadow_jobs(), "MAXLEN", 0)

        self.with_store(work)
        time.sleep(FOLLOW)

    def hire_shadow(self) -> str:
        """Start the shadow worker beside mock and load, at the lowest priority. "" or why there is none."""
        data = f"{self.config['store']['data_dir']}-shadow"
        listen, admin = free_ports(2)
        config = {**self.config, "listen": f"127.0.0.1:{listen}", "admin": {"listen": f"127.0.0.1:{admin}"}}
        config["store"] = {**self.config["store"], "data_dir": data}
        command = lowered(serve(self.stage.folder / "shadow.yaml", config, "shadow"))
        log = self.stage.folder / "shadow.log"
        process = self.stage.stack.enter_context(running(command, SIDE_CORE, log, {"PYTHONPATH": str(ROOT)}))
        until = time.monotonic() + 30
        while time.monotonic() < until and process.poll() is None:
            if any(part.get("state") == "ready" for name, part in self.parts(data).items() if name != "supervisor"):
                self.shadow = process.pid
                return ""
            time.sleep(0.1)
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        return f"the shadow worker does not start: {last[0] if last else 'it says nothing'}"

    def shadow_cpu(self) -> float:
        """Seconds of CPU of the shadow worker so far."""
        return cpu(self.shadow) if self.shadow else 0.0
