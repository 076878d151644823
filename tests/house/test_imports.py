"""The floors of the house, as the import contracts of pyproject.toml say them."""

from __future__ import annotations

import ast
import subprocess
import sys

from tests.house.tree import ROOT, parsed, python_files, short


def test_floors_and_pure_core() -> None:
    """Imports go down only, rooms of one floor do not meet, and the core touches no I/O, clock, dice or event loop."""
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
        "--no-cache",
    ]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_global_statement() -> None:
    """Nothing changes a module's variables: collaborators are passed in."""
    wrong = [
        f"{short(path)}:{node.lineno}"
        for path in python_files("gateway")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Global)
    ]
    assert not wrong, f"`global` in {wrong}: make it a value that wiring builds and passes in"
