"""What every process under the supervisor shares: its arguments, its name, its signals, its line to the supervisor.

Rule of the file: a process whose supervisor is gone ends by itself, in the same order as if it had been told to.
Imports nothing that a live worker must not load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import json
import signal
import socket
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

ROLES = ("live", "control", "shadow")
"""Processes that `--roles` may name in this version."""

EXIT_CONFIG = 78
"""Exit status of a process that cannot start with its configuration (EX_CONFIG of sysexits.h)."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a process was started for."""

    role: str
    slot: int
    config: str
    """Path of the configuration file; empty for the built-in defaults."""
    listen: str
    """`host:port` the supervisor reserved, so that port 0 means the same port in every worker."""
    good: str = ""
    """Path of the last good copy of the configuration, used when the file has gone bad."""
    line: int = -1
    """Descriptor of the line to the supervisor; -1 when started by hand."""

    @property
    def name(self) -> str:
        """How logs, `trivet status` and the process list call this process."""
        return f"live-{self.slot}" if self.role == "live" else self.role

    def arguments(self) -> list[str]:
        """The command-line words that `read` understands."""
        return [
            self.role,
            f"--slot={self.slot}",
            f"--config={self.config}",
            f"--listen={self.listen}",
            f"--good={self.good}",
            f"--line={self.line}",
        ]


def read(words: list[str]) -> Assignment:
    """Read the arguments of a process. Exits with 2 on anything else, as every command does."""
    parser = argparse.ArgumentParser(prog="trivet process", add_help=False)
    parser.add_argument("role", choices=ROLES)
    parser.add_argument("--slot", type=int, default=0)
    parser.add_argument("--config", default="")
    parser.add_argument("--listen", default="")
    parser.add_argument("--good", default="")
    parser.add_argument("--line", type=int, default=-1)
    found = parser.parse_args(words)
    return Assignment(found.role, found.slot, found.config, found.listen, found.good, found.line)


class Line:
    """The process's end of the line to its supervisor: one JSON object per line, never blocking, never failing."""

    __slots__ = ("_socket",)

    def __init__(self, descriptor: int) -> None:
        self._socket: socket.socket | None = None
        if descriptor >= 0:
            self._socket = socket.socket(fileno=descriptor)
            self._socket.settimeout(0.0)

    def tell(self, state: str, **details: str | float) -> None:
        """Report a state: `ready`, `failed`, `reloaded`, `refused`, `draining`. Dropped when the supervisor is gone."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps({"state": state, **details}).encode() + b"\n")

    def watch(self, gone: Callable[[], None]) -> None:
        """Call `gone` once when the supervisor has ended. Needs a running loop."""
        held = self._socket
        if held is None:
            return
        loop = asyncio.get_running_loop()

        def readable() -> None:
            try:
                if held.recv(4096):
                    return
            except BlockingIOError:
                return
            except OSError:
                pass  # a reset line is a gone supervisor too
            loop.remove_reader(held)
            gone()

        loop.add_reader(held, readable)

    def close(self) -> None:
        """Let go of the line."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Orders:
    """What the process has been told: to end, and to read its configuration again. Set by signals and by the line."""

    __slots__ = ("ending", "reload")

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.reload = asyncio.Event()

    @classmethod
    def listen(cls, line: Line) -> Orders:
        """Take orders from SIGTERM, SIGHUP and the end of the supervisor. SIGINT is the supervisor's to hear."""
        orders = cls()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, orders.ending.set)
        loop.add_signal_handler(signal.SIGHUP, orders.reload.set)
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        line.watch(orders.ending.set)
        return orders


def name_process(title: str) -> None:
    """Show `title` in the process list where the system allows it (Linux, 15 characters)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(15, title.encode()[:15], 0, 0, 0)  # 15 is PR_SET_NAME


def split_address(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as a pair. Raises ValueError that says what is wrong."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"address {text!r} must be written host:port, for example 127.0.0.1:8080")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """The pair as text, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


Body = Callable[[Assignment, Line], Coroutine[object, object, int]]


def start(words: list[str]) -> int:
    """Run the process that the arguments name; returns its exit status."""
    task = read(words)
    name_process(f"trivet {task.name}")
    line = Line(task.line)
    if task.role == "live":
        from gateway.wiring.live import start as begin  # noqa: PLC0415 - a process loads its own role only
    elif task.role == "shadow":
        from gateway.wiring.shadow import start as begin  # noqa: PLC0415 - a process loads its own role only
    else:
        from gateway.wiring.background import start as begin  # noqa: PLC0415 - a process loads its own role only
    return begin(task, line)


def path_or_none(text: str) -> Path | None:
    """A path, or None for the empty word."""
    return Path(text) if text else None


def complain(line: Line, message: str) -> int:
    """A process that cannot start says why, to its supervisor and on stderr; returns its exit status."""
    line.tell("failed", message=message)
    sys.stderr.write(message + "\n")
    return EXIT_CONFIG
