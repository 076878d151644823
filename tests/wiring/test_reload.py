"""A process follows its file and keeps the last good one."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from gateway.telemetry.counters import Registry
from gateway.wiring import configured
from gateway.wiring.configured import Loaded
from gateway.wiring.process import Line
from gateway.wiring.reload import Follower

PROVIDERS = "providers: {openai: {base_url: 'https://api.openai.com'}}\n"
ONE = PROVIDERS + "unmanaged: pass\n"
TWO = PROVIDERS + "unmanaged: refuse\n"


class Rig:
    """A follower of a file in a folder, and what it did."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "gw.yaml"
        self.file.write_text(ONE)
        self.applied: list[Loaded] = []
        self.registry = Registry()
        self.ours, theirs = socket.socketpair()
        self.line = Line(theirs.detach())
        self.follower = Follower(configured.read(self.file), self.applied.append, self.registry)

    def look(self, *, now: bool = False) -> str:
        """Look once: the result, empty for none."""
        seen = self.follower.look(self.line, now=now)
        return seen.result if seen is not None else ""

    def told(self) -> list[str]:
        """States told to the supervisor."""
        self.ours.settimeout(0.0)
        try:
            data = self.ours.recv(65536)
        except BlockingIOError:
            return []
        return [json.loads(line)["state"] for line in data.splitlines()]

    def close(self) -> None:
        """Close the line."""
        self.line.close()
        self.ours.close()


def test_i1_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """I1: a bad file is refused and counted once; mended, it is one swap."""
    rig = Rig(tmp_path)
    rig.file.write_text("unmanaged: [")
    assert [rig.look(), rig.look(), rig.look()] == ["", "refused", ""]
    assert rig.applied == []
    rig.file.write_text(TWO)
    assert [rig.look(), rig.look()] == ["", "applied"]
    assert [loaded.config.settings.unmanaged for loaded in rig.applied] == ["refuse"]
    assert rig.told() == ["refused", "reloaded"]
    counted = dict(rig.registry.snapshot().numbers["config_reload_total"])
    assert counted == {("refused",): 1, ("applied",): 1}
    rig.close()


def test_operator_is_answered_at_once(tmp_path: Path) -> None:
    """SIGHUP takes the file as it is, and says so even when nothing changed."""
    rig = Rig(tmp_path)
    assert rig.look(now=True) == "unchanged"
    rig.file.write_text(TWO)
    assert rig.look(now=True) == "applied"
    rig.close()


def test_built_in_defaults_have_no_file() -> None:
    """Nothing to follow, nothing to refuse."""
    follower = Follower(configured.read(None), lambda _: None, Registry())
    assert follower.look(Line(-1), now=True) is None
