"""The override file of `--local`: pointers for the workers of this host while the store is dead.

Rule of the file: a state in it is in force only while its version is above the store's. It is the last copy with the
version raised by one, so when the store returns the higher version wins, on either side, and nobody is asked.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gateway.core.contract.records import HistoryEntry
from gateway.store.records import PointerFile

COPY = "pointers.json"
"""What the store said last, written by the live workers."""
OVERRIDE = "pointers.local.json"
"""The operator's override of this host."""
JOURNAL = "pointers.local.history"
"""One JSON line per override: its history entry, written into the store when it returns."""


class DiskCopyError(Exception):
    """A pointer file is there but cannot be read."""


def read_copy(data_dir: str | Path) -> PointerFile | None:
    """The disk copy of the pointers; None when this host has none. Raises DiskCopyError when it cannot be read."""
    return _read(Path(data_dir) / COPY)


def read_override(data_dir: str | Path) -> PointerFile | None:
    """The override of this host; None when there is none. Raises DiskCopyError when it cannot be read."""
    return _read(Path(data_dir) / OVERRIDE)


def in_force(data_dir: str | Path) -> PointerFile | None:
    """The disk copy with the override laid over it where that is newer; None when this host knows no pointers."""
    copy, override = read_copy(data_dir), read_override(data_dir)
    if copy is None or override is None:
        return copy or override
    aliases = dict(copy.aliases)
    for name, state in override.aliases.items():
        if name not in aliases or state.version > aliases[name].version:
            aliases[name] = state
    return msgspec.structs.replace(copy, aliases=aliases, releases={**copy.releases, **override.releases})


def override(data_dir: str | Path, wanted: PointerFile, entry: HistoryEntry) -> None:
    """Put the states of `wanted` in force on this host, on disk before this returns. Other aliases of the override stay.

    `wanted.instance` is the store that the states are for: another one never takes them over.
    """
    directory = Path(data_dir)
    with _locked(directory):
        file = read_override(directory)
        if file is None or file.instance != wanted.instance:
            file = PointerFile(wanted.instance)
        file.aliases.update(wanted.aliases)
        file.releases.update(wanted.releases)
        with (directory / JOURNAL).open("ab") as journal:
            journal.write(msgspec.json.encode(entry) + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
        _write(directory / OVERRIDE, file)


def pending(data_dir: str | Path) -> list[HistoryEntry]:
    """What was overridden on this host and is not in the store's history yet, oldest first; a torn last line is left out."""
    found: list[HistoryEntry] = []
    try:
        lines = (Path(data_dir) / JOURNAL).read_bytes().splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        try:
            found.append(msgspec.json.decode(line, type=HistoryEntry))
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
    return found


def settle(data_dir: str | Path, settled: Mapping[str, int]) -> None:
    """Take out aliases whose override the store has overtaken: name to the override version that was dealt with."""
    directory = Path(data_dir)
    with _locked(directory):
        file = read_override(directory)
        if file is None:
            return
        left = {n: s for n, s in file.aliases.items() if n not in settled or s.version > settled[n]}
        kept = [e for e in pending(directory) if e.after is not None and e.after.name in left]
        if not left:
            (directory / OVERRIDE).unlink(missing_ok=True)
            (directory / JOURNAL).unlink(missing_ok=True)
            return
        lines = b"".join(msgspec.json.encode(entry) + b"\n" for entry in kept)
        _replace(directory / JOURNAL, lines)
        _write(directory / OVERRIDE, msgspec.structs.replace(file, aliases=left))


class _locked:  # noqa: N801 - reads as a statement
    """Two operators on one host take turns."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "pointers.local.lock"
        self._descriptor = -1

    def __enter__(self) -> None:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def _read(path: Path) -> PointerFile | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DiskCopyError(f"{path} cannot be read: {error.strerror}") from error
    try:
        return msgspec.json.decode(data, type=PointerFile)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise DiskCopyError(f"{path} is not a pointer file of this version: {error}") from error


def _write(path: Path, file: PointerFile) -> None:
    _replace(path, msgspec.json.format(msgspec.json.encode(file), indent=1))


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    new.replace(path)
