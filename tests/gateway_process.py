"""A real gateway in real processes: supervisor, live workers, background process, embedded store, on free ports.

    with running(providers={"openai": provider.url}) as gateway:
        httpx.post(gateway.base + "/v1/chat/completions", ...)
        gateway.kill("live-0")

Everything it writes is in one temporary folder. It ends the processes it started, and only those.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml

from gateway.cli.app import main as command_line

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 40.0
STOP_SECONDS = 40.0


def port_of(address: str) -> int:
    """The port of `host:port`."""
    return int(address.rpartition(":")[2])


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str

    def expect(self, status: int | None) -> Self:
        """Asserts the exit status unless it is None."""
        assert status is None or self.returncode == status, f"{self.returncode}: {self.stdout}\n{self.stderr}"
        return self


class Captured(io.StringIO):
    """What a command wrote. Closing is not its business: a command that lost its reader closes its streams."""

    def close(self) -> None:
        """Keep what was written."""


@dataclass
class Gateway:
    """A gateway that runs. `base` and `admin` are URLs without a path; `log` is what its processes wrote."""

    folder: Path
    config: Path
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    base: str = ""
    admin: str = ""
    _seen: set[int] = field(default_factory=set)

    @property
    def data_dir(self) -> Path:
        """The gateway's data_dir."""
        return self.folder / "data"

    @property
    def log(self) -> str:
        """Everything that was logged so far, over restarts."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log's lines that are JSON."""
        found = []
        for line in self.log.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return [event for event in found if isinstance(event, dict)]

    def parts(self) -> dict[str, dict[str, Any]]:
        """Every process by name (supervisor, live-0, control, store): pid, state, restarts."""
        try:
            found: dict[str, Any] = json.loads((self.data_dir / "run" / "processes.json").read_text())
        except (OSError, ValueError):
            return {}
        self._seen |= {part["pid"] for part in found["parts"].values() if part["pid"]}
        return found["parts"]

    def pid(self, name: str) -> int:
        """Process id of a part."""
        return int(self.parts()[name]["pid"])

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a signal (kill -9) to a part; returns the pid it had."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def kill_all(self) -> None:
        """kill -9 of every process of this gateway at once, as a power cut would: store included."""
        for part in self.parts().values():
            if part["pid"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(part["pid"], signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)
        self.process = None

    def wait_restarted(self, name: str, old_pid: int, seconds: float = 15.0) -> int:
        """Wait until a part runs again under another pid and is ready; returns the pid."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            part = self.parts().get(name, {})
            if part.get("pid") not in (0, None, old_pid) and part.get("state") == "ready":
                return int(part["pid"])
            time.sleep(0.02)
        raise TimeoutError(f"{name} did not come back; the log ends:\n{self.log[-2000:]}")

    def start(self) -> None:
        """Start (again) and wait until the data port is ready. Ports may differ from those of an earlier start."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", "serve", "--config", str(self.config), *self.arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{self.log[-3000:]}")
            if self._up():
                return
            time.sleep(0.02)
        raise TimeoutError(f"the gateway did not become ready:\n{self.log[-3000:]}")

    def _up(self) -> bool:
        parts = self.parts()
        if parts.get("supervisor", {}).get("pid") != self.process.pid:  # type: ignore[union-attr]
            return False
        if not all(part["state"] == "ready" for part in parts.values()):
            return False
        found = json.loads((self.data_dir / "run" / "processes.json").read_text())
        self.base = f"http://{found['data']}" if found["data"] else ""
        self.admin = f"http://{found['admin']}" if found["admin"] else ""
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End in order; returns the exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self._sweep()
            self.process = None

    def close(self) -> None:
        """End whatever still runs."""
        if self.process is not None and self.process.poll() is None:
            self.parts()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.send_signal(signal.SIGCONT)
                self.process.terminate()
                self.process.wait(10)
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        self._sweep()

    def _sweep(self) -> None:
        """Kill parts of this gateway that outlived it (those of a killed supervisor may need a moment)."""
        until = time.monotonic() + 3
        left = self._seen
        while left and time.monotonic() < until:
            left = {pid for pid in left if _is_ours(pid, self.folder)}
            time.sleep(0.02)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cli(self, *words: str, status: int | None = 0, **environment: str) -> Done:
        """Do `trivet WORDS --config ...` in this process, in the gateway's folder and with its environment, as `__main__`
        would; asserts the exit status unless it is None. A Python that starts costs more than most verbs.
        """
        out, errors = Captured(), Captured()
        argv = [*words, "--config", str(self.config)]
        with (
            contextlib.chdir(self.folder),
            _environment({**self.environment, **environment}),
            _nobody_to_ask(),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(errors),
        ):
            code = command_line(argv)
        return Done(code, out.getvalue(), errors.getvalue()).expect(status)

    def shell(self, *words: str, status: int | None = 0, **environment: str) -> Done:
        """As `cli`, in a process of its own, which is what an operator does: once per group of verbs is enough."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words, "--config", str(self.config)],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr).expect(status)

    def json(self, *words: str, status: int | None = 0) -> Any:
        """What a verb answers with `--json`."""
        return json.loads(self.cli(*words, "--json", status=status).stdout)

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """GET a URL; status and body."""
        request = urllib.request.Request(url, headers=dict(headers or {}))
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def write_config(self, changes: Mapping[str, Any]) -> None:
        """Replace top-level members of the configuration file in one step; the processes notice within a second."""
        settings = yaml.safe_load(self.config.read_text())
        settings.update(changes)
        new = self.config.with_suffix(".new")
        new.write_text(yaml.safe_dump(settings))
        new.chmod(0o600)
        new.replace(self.config)


@contextlib.contextmanager
def _environment(names: Mapping[str, str]) -> Iterator[None]:
    """This process's environment replaced, and put back."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(names)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _nobody_to_ask() -> Iterator[None]:
    """Standard input without a terminal, even when pytest has one."""
    before, sys.stdin = sys.stdin, io.StringIO()
    try:
        yield
    finally:
        sys.stdin = before


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether a process still runs and was started by this gateway (its folder is its working directory or its file)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return state != "Z" and (str(folder) in words or "gateway" in words)


def configuration(folder: Path, providers: Mapping[str, str | Mapping[str, Any]], **settings: Any) -> dict[str, Any]:
    """A configuration on free ports. Providers are URLs (then called with a test key) or whole settings."""
    named = {
        name: {"base_url": given, "api_key": "sk-provider-test-key", "allow_private": True}
        if isinstance(given, str)
        else dict(given)
        for name, given in providers.items()
    }
    made: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "store": {"data_dir": str(folder / "data")},
        "serve": {"drain": 2.0, "notice": 0.05},
        # Among tests that keep every core busy, what takes only spare CPU would get none.
        "shadow": {"priority": "normal"},
        "providers": named,
    }
    for name, value in settings.items():
        made[name] = {**made[name], **value} if isinstance(value, dict) and isinstance(made.get(name), dict) else value
    return made


@contextlib.contextmanager
def running(
    providers: Mapping[str, str | Mapping[str, Any]] | None = None,
    *,
    arguments: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    start: bool = True,
    shadowing: bool = False,
    **settings: Any,
) -> Iterator[Gateway]:
    """A gateway with this configuration (members merged over a default), started and ready, ended afterwards.

    `start=False` leaves starting to the test; without `shadowing` there is no shadow process, which few
    tests need. The data_dir's path is short, so the embedded store uses a unix socket.
    """
    folder = Path(tempfile.mkdtemp(prefix="tv-"))
    if not shadowing and "--roles" not in arguments:
        arguments = (*arguments, "--roles", "live,control")
    config = folder / "gateway.yaml"
    made = configuration(folder, providers or {"openai": "http://127.0.0.1:9"}, **settings)
    config.write_text(yaml.safe_dump(made))
    config.chmod(0o600)
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("TRIVET_", "OPENAI_", "ANTHROPIC_", "GEMINI_"))
    }
    gateway = Gateway(folder, config, {**inherited, "PYTHONPATH": str(ROOT), **(environment or {})}, tuple(arguments))
    try:
        if start:
            gateway.start()
        yield gateway
    finally:
        gateway.close()
        shutil.rmtree(folder, ignore_errors=True)
