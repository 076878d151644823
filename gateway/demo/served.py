"""A real `trivet serve` as a child of the demo: its own folder, its own store, ports that were free.

Rule of the file: nothing outlives the demo. Whatever ends it, the child is told to end, waited for, and killed if it must be;
a demo that is killed itself takes its gateway along (`tether`).
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import anyio
import msgspec
from anyio.abc import Process

from gateway.demo import commands

START_SECONDS = 30.0
END_SECONDS = 8.0
"""Longer than the drain that `configuration` grants."""
FOREIGN = ("OPENAI_", "TRIVET_", "REDIS_URL", "ANTHROPIC_", "GEMINI_", "AZURE_")
"""Environment that belongs to the user's real world and must not reach the demo's gateway."""
TAIL = 12
"""Lines of the gateway's log that are shown when it fails."""
VERDICTS = frozenset({0, 1, 2})
"""Exit codes of GO, NO-GO and INSUFFICIENT."""
REFUSALS = frozenset({1, 7})
"""Of what was refused: of other commands, and of those that answer with a verdict."""
FOLLOW_SECONDS = 10.0


class GatewayFailed(Exception):
    """The gateway did not start, or a command did not work; the message says what it said."""


class Refused(Exception):
    """A command was refused by the rules (exit code 1); the message is its own."""


class Part(msgspec.Struct):
    """One process, as the supervisor tells."""

    pid: int
    state: str
    restarts: int = 0


class InForce(msgspec.Struct):
    """Which configuration is in force."""

    version: str
    """The beginning of the sha256 of the file."""


class Processes(msgspec.Struct):
    """What the supervisor runs."""

    data: str
    admin: str
    parts: dict[str, Part]

    @property
    def workers(self) -> dict[str, Part]:
        """The live workers."""
        return {name: part for name, part in self.parts.items() if name.startswith("live-")}


def configuration(folder: Path, provider: str, url: str, *, workers: int = 2) -> dict[str, Any]:
    """The configuration of the demo: one provider, nothing pinned by hand, names are learned."""
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "store": {"redis": "embedded", "data_dir": str(folder / "data")},
        "unmanaged": "learn",
        "default_provider": {"openai": provider},
        # agents bring their own key; a shadow calls with one of the gateway's
        "providers": {
            provider: {"base_url": url, "api_key": "client", "background_api_key": "any-word", "allow_private": True}
        },
        "capture": "redacted",
        # the story waits for the shadow, also on a busy machine
        "shadow": {"priority": "normal"},
        "serve": {"workers": workers, "drain": "2s", "notice": "0s"},
        # a baseline as the default has it is open for five minutes
        "undeclared": {"baseline_runs": 10, "baseline_time": "0s"},
    }


class Gateway:
    """A running gateway."""

    def __init__(self, folder: Path, settings: Mapping[str, Any] = MappingProxyType({})) -> None:
        self.folder = folder
        self.settings = dict(settings)
        """What its file says."""
        self.config = folder / "gateway.yaml"
        self._log = folder / "gateway.log"
        self._processes = folder / "data" / "run" / "processes.json"
        self._process: Process | None = None
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, settings: Mapping[str, Any]) -> AsyncIterator[Gateway]:
        """Start it, give it when it is ready, end it with everything it started. Raises GatewayFailed."""
        gateway = cls(folder, settings)
        gateway.config.write_bytes(msgspec.json.encode(gateway.settings))
        try:
            await gateway._start()
            yield gateway
        finally:
            with anyio.CancelScope(shield=True):
                await gateway._end()

    @property
    def url(self) -> str:
        """Base URL of the data port."""
        return f"http://{self.processes().data}"

    def processes(self) -> Processes:
        """Pid and state of every part. Raises GatewayFailed when there is no such file."""
        try:
            return msgspec.json.decode(self._processes.read_bytes(), type=Processes)
        except (OSError, msgspec.MsgspecError) as error:
            raise GatewayFailed(f"the gateway does not tell what it runs\n{self.tail()}") from error

    async def settled(self, seconds: float = START_SECONDS) -> Processes:
        """Wait until every part is ready. Raises GatewayFailed."""
        with anyio.move_on_after(seconds):
            while True:
                with suppress(GatewayFailed):
                    found = self.processes()
                    if all(part.state == "ready" and part.pid for part in found.parts.values()):
                        return found
                if self._process is not None and self._process.returncode is not None:
                    raise GatewayFailed(f"the gateway ended before it was ready\n{self.tail()}")
                await anyio.sleep(0.02)
        raise GatewayFailed(f"the gateway was not ready within {seconds:.0f} s\n{self.tail()}")

    async def restarted(self, old: Mapping[str, Part], seconds: float = START_SECONDS) -> Processes:
        """Wait until these parts run again under other pids. Raises GatewayFailed."""
        with anyio.move_on_after(seconds):
            while True:
                found = await self.settled(seconds)
                if all(found.parts[name].pid != part.pid for name, part in old.items()):
                    return found
                await anyio.sleep(0.02)
        raise GatewayFailed(f"{', '.join(old)} did not come back within {seconds:.0f} s\n{self.tail()}")

    async def verb(self, *words: str) -> bytes:
        """Run a command of the command line against this gateway, in its folder; the JSON it printed.

        Raises Refused, GatewayFailed.
        """
        done = await self._run(words)
        if done.code:
            raise _wrong(words, done)
        return done.out

    async def verdict(self, *words: str) -> bytes:
        """Run a command whose exit code is a verdict; the JSON it printed, whatever the word. Raises Refused, GatewayFailed."""
        done = await self._run(words)
        if done.code not in VERDICTS or not done.out:
            raise _wrong(words, done)
        return done.out

    async def _run(self, words: tuple[str, ...]) -> commands.Done:
        return await commands.run((*words, "--config", str(self.config), "--json"), self.folder, self.environment)

    async def declare(self, **members: Any) -> float:
        """Write more into its configuration while it runs; seconds until that was in force. Raises GatewayFailed."""
        self.settings |= members
        data = msgspec.json.encode(self.settings)
        wanted = hashlib.sha256(data).hexdigest()
        began = time.monotonic()
        self.config.write_bytes(data)
        with anyio.move_on_after(FOLLOW_SECONDS):
            while True:
                page = await self.look("config")
                if page is not None and wanted.startswith(msgspec.json.decode(page, type=InForce).version):
                    return time.monotonic() - began
                await anyio.sleep(0.05)
        raise GatewayFailed(f"the new configuration was not in force within {FOLLOW_SECONDS:.0f} s\n{self.tail()}")

    async def look(self, path: str) -> bytes | None:
        """GET a page of the admin port's API; None when it says 404. Raises GatewayFailed."""
        url = f"http://{self.processes().admin}/api/v1/{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                body = await answer.read()
        except aiohttp.ClientError as error:
            raise GatewayFailed(f"the admin port cannot be read ({type(error).__name__})\n{self.tail()}") from error
        if answer.status not in (200, 404):
            raise GatewayFailed(f"the admin port answered {answer.status}\n{self.tail()}")
        return body if answer.status == 200 else None

    def tail(self) -> str:
        """The end of its log."""
        with suppress(OSError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL:])
        return ""

    async def _start(self) -> None:
        commands.warm()
        with self._log.open("wb") as log:
            self._process = await anyio.open_process(
                [sys.executable, "-m", "gateway.demo.tether", "serve", "--config", str(self.config)],
                stdin=subprocess.PIPE,  # its end ends the gateway
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # ctrl-C reaches the demo, which ends it in order
            )
        await self.settled()

    async def _end(self) -> None:
        process = self._process
        if process is None:
            return
        left: list[int] = []
        with suppress(GatewayFailed):
            left = [part.pid for part in self.processes().parts.values() if part.pid != process.pid]
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with anyio.move_on_after(END_SECONDS):
                await process.wait()
        if process.returncode is None:
            process.kill()
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await process.aclose()


def _wrong(words: tuple[str, ...], done: commands.Done) -> Refused | GatewayFailed:
    if done.code in REFUSALS:
        return Refused(done.err.removeprefix("trivet: "))
    return GatewayFailed(f"trivet {words[0]} ended with code {done.code}: {done.err}")


def kill(parts: Mapping[str, Part]) -> None:
    """kill -9."""
    for part in parts.values():
        with suppress(ProcessLookupError):
            os.kill(part.pid, signal.SIGKILL)
