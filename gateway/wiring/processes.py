"""`data_dir/run/processes.json`: what a supervisor runs, for people, for `trivet status`, and to find a port that was chosen late."""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.settings.model import Settings
from gateway.telemetry.spool import process_is_alive


class Part(msgspec.Struct, omit_defaults=True):
    """One process."""

    pid: int
    state: str
    restarts: int = 0


class Processes(msgspec.Struct):
    """Everything a supervisor runs, by name: supervisor, live-0, control, store."""

    data: str
    """`host:port` of the data port."""
    admin: str
    parts: dict[str, Part]


def run_dir(settings: Settings) -> Path:
    """`data_dir/run`; both are made for the owner only when they are not there."""
    home = Path(settings.store.data_dir)
    home.parent.mkdir(parents=True, exist_ok=True)
    for path in (home, home / "run"):
        path.mkdir(exist_ok=True, mode=0o700)
    return home / "run"


def file_of(settings: Settings) -> Path:
    """Where the supervisor of a data_dir writes what it runs."""
    return Path(settings.store.data_dir) / "run" / "processes.json"


def write(settings: Settings, running: Processes) -> None:
    """Replace the file in one step."""
    path = run_dir(settings) / "processes.json"
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(running))
    new.replace(path)


def read(settings: Settings) -> Processes | None:
    """What runs now; None when nothing does, or the supervisor that wrote it is gone."""
    try:
        found = msgspec.json.decode(file_of(settings).read_bytes(), type=Processes)
    except (OSError, msgspec.MsgspecError):
        return None
    supervisor = found.parts.get("supervisor")
    return found if supervisor is not None and process_is_alive(supervisor.pid) else None


def remove(settings: Settings, supervisor: int) -> None:
    """Take the file away, unless another supervisor has written it meanwhile (a handover)."""
    found = read(settings)
    if found is None or found.parts["supervisor"].pid == supervisor:
        file_of(settings).unlink(missing_ok=True)


def admin_address(settings: Settings) -> str:
    """`host:port` of the admin port as it was really taken; empty when no supervisor of this data_dir runs."""
    found = read(settings)
    return found.admin if found is not None else ""
