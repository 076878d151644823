"""One supervised process: started, watched over a line of its own, restarted with a growing pause, told to end.

Rule of the file: a child never outlives its supervisor, because the end of the line ends it; and ctrl-C in a terminal
reaches the supervisor alone, so that everything ends in the order the supervisor chooses.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio.abc import Process

from gateway import PROCESS
from gateway.telemetry.log import Log
from gateway.wiring.process import Assignment

log = Log("supervise")

FIRST_PAUSE = 0.1
"""Seconds before the first restart; doubled each time, so a worker killed once is back at once."""
LONGEST_PAUSE = 10.0
LONGEST_AFTER_READY = 1.0
"""Longest pause, in seconds, for a child that had been ready: it can serve, so an outage must not grow with its deaths."""
STEADY_SECONDS = 10.0
"""A child that lived this long starts over with the first pause."""


def pause_after(deaths: int, longest: float = LONGEST_PAUSE) -> float:
    """Seconds to wait before restart number `deaths` in a row (1 is the first)."""
    return float(min(longest, FIRST_PAUSE * 2 ** (deaths - 1)))


class StartRefused(Exception):
    """A process could not start with this configuration; the message is its own."""


@dataclass(eq=False)
class Child:
    """A process and what it last said."""

    task: Assignment
    pid: int = 0
    state: str = "new"
    """`new`, `starting`, `ready`, `draining`, `dead`, `failed`."""
    refusal: str = ""
    """Why the process could not start; empty again once it is ready."""
    note: str = ""
    """What it wants a person to know although it is ready."""
    restarts: int = 0
    ready: anyio.Event = field(default_factory=anyio.Event)
    """Set by the first `ready` or `failed` of this child's life."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """Set when the child is down and will not be started again."""
    changed: Callable[[], None] = lambda: None
    """Called whenever state or pid changed."""
    reloaded: Callable[[], None] = lambda: None
    """Called when the process has put a new configuration in force."""
    _process: Process | None = None
    _told_to_end: anyio.Event = field(default_factory=anyio.Event)
    _deaths: int = 0

    @property
    def name(self) -> str:
        """How logs and `trivet status` call it."""
        return self.task.name

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone already."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)

    def end(self) -> None:
        """Tell the process to end; it is not started again."""
        self._told_to_end.set()
        self.send(signal.SIGTERM)

    async def end_within(self, seconds: float) -> bool:
        """`end`, and SIGKILL after `seconds`. True when the process ended by itself."""
        self.end()
        with anyio.move_on_after(seconds):
            await self.ended.wait()
            return True
        self.send(signal.SIGKILL)
        await self.ended.wait()
        return False

    async def keep(self) -> None:
        """Run the process, and run it again when it dies, until `end`."""
        try:
            while not self._told_to_end.is_set():
                started = anyio.current_time()
                status = await self._run()
                longest = LONGEST_AFTER_READY if self.state in {"ready", "draining"} else LONGEST_PAUSE
                self._move("dead", pid=0)
                if self._told_to_end.is_set():
                    return
                lived = anyio.current_time() - started
                self._deaths = 1 if lived >= STEADY_SECONDS else self._deaths + 1
                pause = pause_after(self._deaths, longest)
                log.warning(
                    "process ended and is started again", name=self.name, exit=told(status), seconds=round(lived, 1)
                )
                self.restarts += 1
                with anyio.move_on_after(pause):
                    await self._told_to_end.wait()
        finally:
            self.ended.set()
            self.ready.set()

    async def _run(self) -> int:
        ours, theirs = socket.socketpair()
        task = replace(self.task, line=theirs.fileno())
        command = [sys.executable, "-m", "gateway", PROCESS, *task.arguments()]
        self._move("starting", pid=0)
        with theirs:
            process = await anyio.open_process(
                command,
                stdin=subprocess.DEVNULL,
                stdout=None,
                stderr=None,
                start_new_session=True,
                pass_fds=[theirs.fileno()],
            )
        self._process = process
        self._move("starting", pid=process.pid)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._hear, ours)
                if self._told_to_end.is_set():  # told to end while the process was being started
                    self.send(signal.SIGTERM)
                status = await process.wait()
                group.cancel_scope.cancel()
            return status
        finally:
            if process.returncode is None:
                process.kill()
            self._process = None
            with anyio.CancelScope(shield=True):
                await process.aclose()

    async def _hear(self, ours: socket.socket) -> None:
        """Take what the process says, line by line."""
        ours.settimeout(0.0)
        rest = b""
        with ours:
            while True:
                await anyio.wait_readable(ours)
                try:
                    data = ours.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._said(json.loads(line))

    def _said(self, said: dict[str, Any]) -> None:
        state = str(said.get("state", ""))
        message = str(said.get("message", ""))
        if state in ("ready", "draining", "failed"):
            self.refusal = message if state == "failed" else ""
            self.note = message if state == "ready" else ""
            self._move(state, pid=self.pid)
        if state in ("ready", "failed"):
            self.ready.set()
        if state == "reloaded":
            self.reloaded()
        if state == "refused":
            log.error("a process refused the configuration, the old one stays", name=self.name, problem=message)

    def _move(self, state: str, *, pid: int) -> None:
        self.state = state
        self.pid = pid
        self.changed()


def told(status: int) -> str:
    """An exit status in words: `status 3` or `SIGKILL`."""
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
