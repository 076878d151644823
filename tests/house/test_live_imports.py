"""What a live worker may import: nothing that belongs to the control side or to a person's terminal."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from tests.house.tree import ROOT

BANNED = ("aiohttp", "redis", "rich", "cyclopts", "prometheus_client", "jsonschema", "rapidfuzz")

PROGRAM = """
import sys
import gateway.wiring.live
print(",".join(sorted(name for name in {banned!r} if name in sys.modules)))
"""


def test_live_worker_imports_stay_lean() -> None:
    """A live worker loads no HTTP framework, no command line and nothing that only compares answers: memory and start-up stay small."""
    if importlib.util.find_spec("gateway.wiring.live") is None:
        pytest.skip("gateway.wiring.live is not there yet")
    command = [sys.executable, "-c", PROGRAM.format(banned=BANNED)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "", f"a live worker imports {done.stdout.strip()}"
