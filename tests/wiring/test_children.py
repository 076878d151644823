"""A supervised process: watched, restarted with a growing pause, ended in order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from gateway.wiring import children
from gateway.wiring.children import FIRST_PAUSE, LONGEST_PAUSE, Child, pause_after, told
from gateway.wiring.process import Assignment

pytestmark = pytest.mark.anyio

SCRIPT = """
import json, os, signal, socket, sys, time
line = socket.socket(fileno=int(sys.argv[-1].partition("=")[2]))
say = lambda **what: line.send(json.dumps(what).encode() + b"\\n")
mode = open({mode!r}).read()
open({runs!r}, "a").write(str(os.getpid()) + "\\n")
if mode == "refuse":
    say(state="failed", message="config: line 3")
    sys.exit(78)
if mode == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
say(state="ready")
if mode == "die":
    sys.exit(3)
line.recv(1)
"""


@pytest.fixture
def anyio_backend() -> str:
    """asyncio, as the product."""
    return "asyncio"


class Script:
    """A process that does what a file says, in place of a gateway process."""

    def __init__(self, folder: Path) -> None:
        self.mode, self.runs, self.file = folder / "mode", folder / "runs", folder / "child.py"
        self.file.write_text(SCRIPT.format(mode=str(self.mode), runs=str(self.runs)))
        self.set("live")

    def set(self, mode: str) -> None:
        """What the next start does."""
        self.mode.write_text(mode)

    @property
    def pids(self) -> list[int]:
        """Every start so far."""
        return [int(line) for line in self.runs.read_text().split()] if self.runs.exists() else []


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    """The script stands in for `python -m gateway`."""
    made = Script(tmp_path)
    real = anyio.open_process

    async def start(command: list[str], **options: object) -> object:
        return await real([sys.executable, str(made.file), command[-1]], **options)  # type: ignore[arg-type]

    monkeypatch.setattr(children.anyio, "open_process", start)
    yield made


def child() -> Child:
    """A child not yet started."""
    return Child(Assignment("live", 0, "", "127.0.0.1:0"))


async def test_killed_child_is_back_at_once(script: Script) -> None:
    """kill -9 of a process costs a tenth of a second; the others do not notice."""
    held = child()
    async with anyio.create_task_group() as group:
        group.start_soon(held.keep)
        with anyio.fail_after(5):
            await held.ready.wait()
            first = held.pid
            held.send(signal.SIGKILL)
            while held.pid in (0, first) or held.state != "ready":
                await anyio.sleep(0.01)
        assert held.restarts == 1
        assert await held.end_within(5)
    assert held.pid == 0
    assert len(script.pids) == 2


async def test_child_that_keeps_dying_is_given_time(script: Script) -> None:
    """Each death in a row doubles the pause, so a broken process does not spin."""
    script.set("die")
    held = child()
    async with anyio.create_task_group() as group:
        group.start_soon(held.keep)
        await anyio.sleep(1.0)
        held.end()
        with anyio.fail_after(5):
            await held.ended.wait()
    assert 2 <= len(script.pids) <= 4


async def test_refusal_is_passed_on(script: Script) -> None:
    """A process that cannot start with its configuration says why, and that is known at once."""
    script.set("refuse")
    held = child()
    async with anyio.create_task_group() as group:
        group.start_soon(held.keep)
        with anyio.fail_after(5):
            await held.ready.wait()
        assert held.refusal == "config: line 3"
        held.end()
    assert held.state == "dead"


async def test_deaf_child_is_killed_after_its_time(script: Script) -> None:
    """Whoever does not end in time is killed, and that is told."""
    script.set("deaf")
    held = child()
    async with anyio.create_task_group() as group:
        group.start_soon(held.keep)
        with anyio.fail_after(5):
            await held.ready.wait()
            assert not await held.end_within(0.2)


def test_pause_grows_to_a_bound() -> None:
    """From a tenth of a second to ten."""
    pauses = [pause_after(n) for n in range(1, 12)]
    assert pauses[0] == FIRST_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE


def test_exit_status_in_words() -> None:
    """Signals by name."""
    assert [told(0), told(3), told(-9), told(-99)] == ["status 0", "status 3", "SIGKILL", "signal 99"]
