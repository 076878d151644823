"""Scores answers whose check has a regular expression or a schema, in a process of its own with a time for each.

Rule of the file: Python's `re` cannot be interrupted, and what a model writes may be made for a pattern, or a loop that happens to
be. So it never runs where the rollouts are watched: a score that takes too long ends with its process, and there is none.
"""

from __future__ import annotations

import contextlib
import sys

import anyio
import msgspec
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from gateway.core.contract.reply import Reply
from gateway.core.contract.suite import Item
from gateway.core.gate.checks import score

SECONDS = 2.0
"""Longest score."""
START_SECONDS = 20.0
"""Longest start of the process, on a machine that is busy."""
LONGEST = 64
"""Bytes of an answer."""
PROGRAM = """
import sys
import msgspec
from gateway.core.contract.reply import Reply
from gateway.core.contract.suite import Item
from gateway.core.gate.checks import score
decode = msgspec.json.Decoder(tuple[Item, Reply, bool | None]).decode
print("ready", flush=True)
for line in sys.stdin.buffer:
    item, reply, judged = decode(line)
    print(score(item, reply, judged=judged), flush=True)
"""
_WORDS = {b"None": None, b"0.0": 0.0, b"1.0": 1.0}


class TooSlow(Exception):
    """A score could not be had in its time."""


class Grader:
    """Scores one answer at a time; its process starts when it is first needed. Close it."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = anyio.Lock()
        self._process: Process | None = None
        self._said: BufferedByteReceiveStream | None = None

    async def score(self, item: Item, reply: Reply, *, judged: bool | None = None) -> float | None:
        """As `checks.score`. Raises TooSlow."""
        if not item.check.regex and item.check.json is None:
            return score(item, reply, judged=judged)
        line = msgspec.json.encode((item, reply, judged)) + b"\n"
        async with self._lock:
            try:
                if self._process is None:
                    with anyio.fail_after(START_SECONDS):
                        await self._begin()
                with anyio.fail_after(self._seconds):
                    return _WORDS[await self._told(line)]
            except (
                TimeoutError,
                OSError,
                KeyError,
                anyio.EndOfStream,
                anyio.IncompleteRead,
                anyio.BrokenResourceError,
            ) as e:
                await self.close()
                raise TooSlow from e
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """End the process."""
        process, self._process, self._said = self._process, None, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.aclose()

    async def _begin(self) -> None:
        self._process = await anyio.open_process([sys.executable, "-c", PROGRAM], stderr=None)
        assert self._process.stdout is not None
        self._said = BufferedByteReceiveStream(self._process.stdout)
        await self._said.receive_until(b"\n", LONGEST)

    async def _told(self, line: bytes) -> bytes:
        assert self._process is not None and self._process.stdin is not None and self._said is not None
        await self._process.stdin.send(line)
        return await self._said.receive_until(b"\n", LONGEST)
