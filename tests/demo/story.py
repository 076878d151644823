"""`trivet demo` as a child process whose every descendant is known."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from tests.house.tree import ROOT


class Demo:
    """A demo at work; `lines` are what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._seen: dict[int, psutil.Process] = {}
        assert process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, pipe: IO[str]) -> None:
        self.lines += iter(pipe.readline, "")

    @property
    def text(self) -> str:
        """Everything printed."""
        return "".join(self.lines)

    def until(self, text: str, seconds: float = 30.0) -> None:
        """Wait until it has printed this."""
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, self.text
            assert self.process.poll() is None, self.text
            time.sleep(0.02)
        self.look()

    def look(self) -> list[psutil.Process]:
        """Every process it has started so far, as far as seen."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            self._seen[child.pid] = child
        return list(self._seen.values())

    def left(self, seconds: float = 5.0) -> list[str]:
        """Processes it started and left behind."""
        _, alive = psutil.wait_procs(list(self._seen.values()), timeout=seconds)
        return [" ".join(process.cmdline()) for process in alive]

    def end(self, seconds: float = 40.0) -> int:
        """Its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[Demo]:
    """Run it with `folder` for temporary files."""
    environment = {
        **os.environ,
        "TMPDIR": str(folder),
        "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", ""))),
        "COLUMNS": "120",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        yield Demo(process)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
