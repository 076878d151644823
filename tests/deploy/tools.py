"""Finding and running the tools; a tool that is not installed skips its test and says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"


def run(name: str, *arguments: str | Path, package: str) -> subprocess.CompletedProcess[str]:
    """Run a tool from PATH or from the environment the tests run in."""
    beside = Path(sys.executable).with_name(name)
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed ({package})")
    command = [program, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=50)
