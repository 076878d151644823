"""Commands of the command line, each in a process that is forked from one in which all of it is loaded already.

Rule of the file: the same words, code and exit codes as from a shell; only the start-up of Python is not paid for each time.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import anyio
import anyio.to_thread

LOADED = ["gateway.cli.app", "gateway.admin.operations"]
"""What the process that is forked has imported."""


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: bytes
    err: str


def warm() -> None:
    """Start the process that commands are forked from; it loads while others work. It ends with the process that called."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(LOADED)
    forkserver.ensure_running()


async def run(words: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> Done:
    """Run `trivet WORDS` in a folder and an environment. A cancelled command is killed."""
    with tempfile.TemporaryDirectory(prefix="command-", dir=folder, ignore_cleanup_errors=True) as held:
        out, err = Path(held) / "out", Path(held) / "err"
        context = multiprocessing.get_context("forkserver")
        process = context.Process(target=_command, args=(words, str(folder), dict(environment), (str(out), str(err))))
        await anyio.to_thread.run_sync(process.start)
        try:
            await anyio.to_thread.run_sync(process.join, abandon_on_cancel=True)
        finally:
            with suppress(ValueError, ProcessLookupError):
                process.kill()
        return Done(process.exitcode or 0, out.read_bytes(), err.read_text(errors="replace").strip())


def _command(words: tuple[str, ...], folder: str, environment: dict[str, str], files: tuple[str, str]) -> None:
    """Be the command. Runs in the forked process."""
    for number, path in enumerate(files, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["trivet", *words]
    sys.exit(importlib.import_module("gateway.__main__").main())
