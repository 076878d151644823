"""The systemd unit: read without a word by systemd itself, and hardened."""

from __future__ import annotations

import re
from pathlib import Path

from tests.deploy.tools import DEPLOY, run

EXPOSURE = 2.0
"""Highest exposure allowed, of 10: what is left is the network and the host's file system, read-only, which a gateway needs."""


def unit(folder: Path) -> Path:
    """The unit with a program that exists here, so that only the unit itself is judged."""
    text = (DEPLOY / "trivet.service").read_text()
    path = folder / "trivet.service"
    path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    return path


def test_unit_is_read_without_a_word(tmp_path: Path) -> None:
    """systemd-analyze verify says nothing: it ends well even for an unknown key, so any output counts."""
    done = run("systemd-analyze", "verify", unit(tmp_path), package="Debian: systemd")
    words = [line for line in (done.stdout + done.stderr).splitlines() if "trivet" in line]
    assert done.returncode == 0, done.stderr
    assert words == []


def test_unit_is_hardened(tmp_path: Path) -> None:
    """systemd's own score of exposure stays low."""
    done = run("systemd-analyze", "security", "--offline=true", unit(tmp_path), package="Debian: systemd")
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE


def test_unit_leaves_time_to_drain() -> None:
    """systemd waits longer than streams get (serve.drain), and the signal goes to the supervisor alone."""
    text = (DEPLOY / "trivet.service").read_text()
    stop = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert stop and int(stop[1]) > 30
    assert "KillMode=mixed" in text
