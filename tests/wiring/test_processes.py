"""The file that says what a supervisor runs."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.settings.model import Settings, StoreSettings
from gateway.wiring.processes import Part, Processes, admin_address, file_of, read, remove, run_dir, write


def settings(tmp_path: Path) -> Settings:
    """A data_dir of its own."""
    return Settings(store=StoreSettings(data_dir=str(tmp_path / "data")))


def test_write_and_read(tmp_path: Path) -> None:
    """A reader sees the whole file while the supervisor lives."""
    made = settings(tmp_path)
    write(made, Processes("127.0.0.1:1", "127.0.0.1:2", {"supervisor": Part(os.getpid(), "ready")}))
    assert admin_address(made) == "127.0.0.1:2"
    for path in (run_dir(made), run_dir(made).parent):
        assert path.stat().st_mode & 0o077 == 0


def test_file_of_the_dead_is_not_believed(tmp_path: Path) -> None:
    """A supervisor that was killed leaves its file; nobody is sent to its ports."""
    made = settings(tmp_path)
    assert read(made) is None
    write(made, Processes("", "127.0.0.1:2", {"supervisor": Part(2**22 + 12345, "ready")}))
    assert read(made) is None
    assert admin_address(made) == ""
    file_of(made).write_text("{")
    assert read(made) is None


def test_handover_keeps_the_successors_file(tmp_path: Path) -> None:
    """The one that leaves takes only its own file away."""
    made = settings(tmp_path)
    write(made, Processes("", "127.0.0.1:2", {"supervisor": Part(os.getppid(), "ready")}))
    remove(made, os.getpid())
    assert file_of(made).exists()
    remove(made, os.getppid())
    assert not file_of(made).exists()
