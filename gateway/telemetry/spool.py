"""How the numbers of many processes come together: each writes its own to a small file, one reader merges them.

`FOLDER/SLOT-PID.json` is replaced whole, so a reader sees an old or a new file and never half of one. What a dead process
counted stays; what it gauged goes. The reader folds the files of the dead into `retired.json`, so restarts leave no trail.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from gateway.telemetry.counters import Snapshot, decode, encode, merge

STALE = 10.0
"""Seconds without a new file after which the gauges of a process are not believed."""
RETIRED = "retired.json"
_FILE = re.compile(r"^([A-Za-z0-9_.]{1,40})-([0-9]{1,10})\.json$")


class Retired(msgspec.Struct):
    """The sum of the dead, and which files are in it already (a crash may leave one lying about)."""

    absorbed: list[str] = []
    snapshot: Snapshot = msgspec.field(default_factory=Snapshot)


class Writer:
    """The file of one process. `slot` names its place (`live0`, `background`); it must hold no dash."""

    def __init__(self, folder: Path, slot: str, pid: int) -> None:
        if not _FILE.match(f"{slot}-{pid}.json"):
            raise ValueError("a slot is a short word of letters, digits, dots and underscores")
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{slot}-{pid}.json"
        self._new = folder / f"{slot}-{pid}.new"

    def write(self, snapshot: Snapshot) -> None:
        """Replace the file. Blocking, without fsync: what a crash of the machine loses here nobody scraped."""
        self._new.write_bytes(encode(snapshot))
        self._new.replace(self._path)

    def remove(self) -> None:
        """Remove the file of a process that is to leave no counts (a failed start)."""
        self._path.unlink(missing_ok=True)
        self._new.unlink(missing_ok=True)


class Reader:
    """Merges a folder. One process reads; `alive` says whether a pid is, `wall` is the wall clock in seconds."""

    def __init__(self, folder: Path, wall: Callable[[], float], alive: Callable[[int], bool] | None = None) -> None:
        self._folder = folder
        self._wall = wall
        self._alive = alive or process_is_alive

    def read(self) -> Snapshot:
        """All processes, living and dead, as one snapshot. Files that cannot be read are left out."""
        retired = self._retired()
        live: list[Snapshot] = []
        dead: list[Snapshot] = []
        gone: list[tuple[Path, Snapshot]] = []
        now = self._wall()
        for path in sorted(self._folder.glob("*-*.json")):
            match = _FILE.match(path.name)
            if match is None or path.name in retired.absorbed:
                continue
            try:
                snapshot = decode(path.read_bytes())
                age = now - path.stat().st_mtime
            except (OSError, msgspec.MsgspecError):
                continue
            if not self._alive(int(match[2])):
                gone.append((path, snapshot))
            else:
                (live if age < STALE else dead).append(snapshot)
        if gone:
            retired = self._retire(retired, gone)
        return merge(live, (*dead, retired.snapshot))

    def clear(self) -> None:
        """Forget everything: a supervisor's first act, before its processes start."""
        for path in (*self._folder.glob("*.json"), *self._folder.glob("*.new")):
            path.unlink(missing_ok=True)

    def _retired(self) -> Retired:
        try:
            return msgspec.json.decode((self._folder / RETIRED).read_bytes(), type=Retired)
        except (OSError, msgspec.MsgspecError):
            return Retired()

    def _retire(self, retired: Retired, gone: list[tuple[Path, Snapshot]]) -> Retired:
        """Add the dead to the sum, then remove their files. Interrupted between the two, nothing counts twice."""
        left = [name for name in retired.absorbed if (self._folder / name).exists()]
        snapshot = merge((), (retired.snapshot, *(each for _, each in gone)))
        grown = Retired([*left, *(path.name for path, _ in gone)], snapshot)
        new = self._folder / "retired.new"
        try:
            new.write_bytes(msgspec.json.encode(grown))
            new.replace(self._folder / RETIRED)
            for path, _ in gone:
                path.unlink(missing_ok=True)
        except OSError:
            # A full disk: the files stay, and are read again next time.
            return Retired(retired.absorbed, snapshot)
        return grown


def process_is_alive(pid: int) -> bool:
    """Whether a process of this host has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
