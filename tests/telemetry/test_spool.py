"""The numbers of many processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.telemetry.counters import Registry, Snapshot, flat
from gateway.telemetry.spool import RETIRED, STALE, Reader, Writer, process_is_alive


def snapshot(requests: int, flying: int) -> Snapshot:
    """Numbers of one process."""
    registry = Registry()
    registry.counter("handler_errors_total").n += requests
    registry.gauge("in_flight").n = flying
    registry.histogram("overhead_seconds").observe(0.001)
    return registry.snapshot()


class World:
    """A folder with processes that live and die at a word."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.living: set[int] = set()
        self.now = 0.0
        self.reader = Reader(folder, lambda: self.now, lambda pid: pid in self.living)

    def write(self, slot: str, pid: int, requests: int, flying: int) -> None:
        """One process writes its file."""
        self.living.add(pid)
        Writer(self.folder, slot, pid).write(snapshot(requests, flying))
        self.now = (self.folder / f"{slot}-{pid}.json").stat().st_mtime

    def read(self) -> tuple[float, float]:
        """Requests and requests in flight, over all."""
        found = flat(self.reader.read())
        return found.get("handler_errors_total", 0), found.get("in_flight", 0)


def test_living_processes_add_up(tmp_path: Path) -> None:
    """A scrape shows the sum over workers."""
    world = World(tmp_path)
    world.write("live0", 11, 3, 1)
    world.write("live1", 12, 4, 2)
    assert world.read() == (7, 3)
    world.write("live0", 11, 5, 0)
    assert world.read() == (9, 2)


def test_what_the_dead_counted_stays(tmp_path: Path) -> None:
    """A worker that dies takes its gauges along and leaves its counts, over any number of restarts and reads."""
    world = World(tmp_path)
    for pid in range(100, 120):
        world.write("live0", pid, 1, 5)
        world.read()
        world.living.discard(pid)
        assert world.read()[1] == 0
    assert world.read() == (20, 0)
    assert [path.name for path in tmp_path.iterdir()] == [RETIRED]
    [(_, state)] = world.reader.read().histograms["overhead_seconds"]
    assert sum(state.counts) == 20


def test_a_crash_between_sum_and_removal_counts_once(tmp_path: Path) -> None:
    """A file that is in the sum already, but still lies about, does not count twice."""
    world = World(tmp_path)
    world.write("live0", 11, 3, 1)
    kept = (tmp_path / "live0-11.json").read_bytes()
    world.living.clear()
    assert world.read() == (3, 0)
    (tmp_path / "live0-11.json").write_bytes(kept)
    assert world.read() == (3, 0)
    world.write("live0", 12, 1, 0)
    world.living.clear()
    assert world.read() == (4, 0)
    assert world.read() == (4, 0)


def test_a_frozen_process_keeps_counts_only(tmp_path: Path) -> None:
    """A process that lives but does not write is not believed about the present."""
    world = World(tmp_path)
    world.write("live0", 11, 3, 1)
    world.now += STALE + 1
    assert world.read() == (3, 0)


def test_broken_files_break_nothing(tmp_path: Path) -> None:
    """Files of others, half files and rubbish are left out."""
    world = World(tmp_path)
    world.write("live0", 11, 3, 1)
    (tmp_path / "live1-12.json").write_bytes(b'{"numb')
    (tmp_path / "x.json").write_bytes(b"{}")
    (tmp_path / "live2-13.json").mkdir()
    (tmp_path / RETIRED).write_bytes(b"rubbish")
    world.living |= {12, 13}
    assert world.read() == (3, 1)


def test_clear_forgets_everything(tmp_path: Path) -> None:
    """A fresh supervisor starts from nothing."""
    world = World(tmp_path)
    world.write("live0", 11, 3, 1)
    world.living.clear()
    world.read()
    world.reader.clear()
    assert world.read() == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_process_can_leave_no_trace(tmp_path: Path) -> None:
    """A start that failed removes its file."""
    writer = Writer(tmp_path / "new", "live0", 11)
    writer.write(snapshot(1, 1))
    writer.remove()
    writer.remove()
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("slot", ["a-b", "", "a/b", "x" * 50])
def test_slots_are_short_words(tmp_path: Path, slot: str) -> None:
    """A slot can name no other file."""
    with pytest.raises(ValueError, match="slot"):
        Writer(tmp_path, slot, 1)


def test_alive() -> None:
    """Liveness is the operating system's word."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert not process_is_alive(child.pid)
    assert process_is_alive(os.getpid())
