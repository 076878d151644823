"""A small real model on this machine: llama.cpp's own server in a child process, one per checkpoint.

Rule of the file: the child ends when its standard input does, so it cannot outlive whoever started it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.streams.text import TextReceiveStream

READY_SECONDS = 60.0
CONTEXT = 1024
"""Tokens of context; the demo's conversations are short."""
THREADS = 2


class ModelFailed(Exception):
    """The model server did not start; the message says what it said."""


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A checkpoint that is served: its id, pinned by digest, and where."""

    name: str
    url: str


@asynccontextmanager
async def serving(file: Path, name: str, log: Path, threads: int = THREADS) -> AsyncIterator[LocalModel]:
    """Serve a model file under a name while the context is open. Raises ModelFailed."""
    command = [sys.executable, "-m", "gateway.demo.local_llm", str(file), name, str(threads)]
    with log.open("wb") as said:
        process = await anyio.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, start_new_session=True
        )
    try:
        yield LocalModel(name, await _address(process, log))
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def _address(process: anyio.abc.Process, log: Path) -> str:
    assert process.stdout is not None
    text = ""
    with anyio.move_on_after(READY_SECONDS):
        async for piece in TextReceiveStream(process.stdout):
            text += piece
            for line in text.splitlines(keepends=True):
                if line.startswith('{"url"') and line.endswith("\n"):
                    return str(json.loads(line)["url"])
    tail = "\n".join((await anyio.Path(log).read_text(errors="replace")).splitlines()[-8:])
    raise ModelFailed(f"the model server did not start\n{tail}")


def serve(file: str, name: str, threads: int) -> None:
    """Serve until standard input ends. Prints one line of JSON with the URL when it is ready."""
    import xllamacpp  # noqa: PLC0415 - an extra, and only the child loads 100 MB of it

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print(json.dumps({"url": server.listening_address}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
