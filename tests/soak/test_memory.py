"""An hour of new runs, links and streams: what a live worker remembers of them must not add up.

`bench.soak` loads one run as hard as it can; here every second request begins a run that nobody has seen, so everything
that a worker keeps per run, per link or per connection is filled to its bound, many times over.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from bench.soak import GROWTH, LIMIT, growth_per_hour
from tests.gateway_process import Gateway, port_of, running
from tests.provider import Provider, Received, Reply, answer, chat_body, events, stream, tool_call

SECONDS = float(os.environ.get("TRIVET_SOAK_SECONDS", "3600"))
RATE = float(os.environ.get("TRIVET_SOAK_RATE", "150"))
"""Requests a second."""
LANES = 12
ALIASES = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
TEXT = "x" * 2000


async def turns(received: Received, reply: Reply) -> None:
    """A tool call for a question, a text for its result, a stream where one is asked for."""
    asked = received.json
    if asked.get("stream"):
        await stream(events(["a"] * 8))(received, reply)
        return
    last = asked["messages"][-1]
    calls = None if last["role"] == "tool" else [tool_call("call_" + last["content"][:24].strip())]
    body = chat_body("done", asked["model"], **({"tool_calls": calls} if calls else {}))
    await answer(body)(received, reply)


def bodies(lane: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Requests of a lane: run header or none, and the body. Named runs, runs found by their tool calls, nameless streams."""
    number = 0
    while True:
        number += 1
        name = f"{lane}-{number}-{time.time_ns():x}"
        first = {"role": "user", "content": name.ljust(24) + TEXT}
        call = {"role": "assistant", "content": None, "tool_calls": [tool_call("call_" + name[:24])]}
        result = {"role": "tool", "tool_call_id": "call_" + name[:24], "content": TEXT}
        yield (f"run-{name}" if number % 2 else ""), {"model": "support", "messages": [first]}
        yield "", {"model": "support", "messages": [first, call, result]}
        if number % 4 == 0:
            yield "", {"model": "support", "stream": True, "messages": [first]}


class Work:
    """Lanes at a fixed rate in a thread of their own; counts, keeps nothing."""

    def __init__(self, gateway: Gateway) -> None:
        self.done = 0
        self.wrong: list[str] = []
        self._port = port_of(gateway.base)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(30)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lane in range(LANES):
                group.create_task(self._lane(lane))

    async def _lane(self, lane: int) -> None:
        due = time.monotonic() + lane / RATE
        requests = bodies(lane)
        while not self._stop.is_set():
            # A connection serves a hundred requests, so that connections come and go too.
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            for _ in range(100):
                if self._stop.is_set():
                    break
                await asyncio.sleep(due - time.monotonic())
                due = max(due + LANES / RATE, time.monotonic() - 1)
                await self._one(reader, writer, *next(requests))
            writer.close()

    async def _one(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: str, body: dict[str, Any]
    ) -> None:
        data = json.dumps(body).encode()
        header = f"x-trivet-run: {run}\r\n" if run else ""
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: t\r\ncontent-type: application/json\r\n{header}"
        writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)
        got = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", got, re.IGNORECASE)
        if length is not None:
            await reader.readexactly(int(length[1]))
        else:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        if not got.startswith(b"HTTP/1.1 200"):
            self.wrong.append(got.decode("latin-1"))
        elif len(body["messages"]) == 3 and b"x-trivet-bound: resumed" not in got:
            self.wrong.append("a tool result did not find its run")
        self.done += 1


def megabytes(pid: int) -> tuple[float, float]:
    """Proportional set size of a process, and what of its memory is no file's: the latter cannot change with who else runs."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {name: int(kilo) / 1024 for name, kilo in re.findall(r"^(\w+): +(\d+) kB", text, re.MULTILINE)}
    return sizes["Pss"], sizes["Anonymous"]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
def test_memory_of_a_live_worker_is_flat() -> None:
    """At most 35 MB, and no growth: TRIVET_SOAK_SECONDS and TRIVET_SOAK_RATE set another length and rate."""
    times: list[float] = []
    sizes: list[tuple[float, float]] = []
    with Provider(turns) as provider, running({"openai": provider.url}, aliases=ALIASES) as gateway:
        provider.requests = deque(maxlen=10)  # type: ignore[assignment]
        pid = gateway.pid("live-0")
        with Work(gateway) as work:
            begun = time.monotonic()
            while (now := time.monotonic() - begun) < SECONDS:
                time.sleep(min(5.0, SECONDS / 40))
                times.append(now)
                sizes.append(megabytes(pid))
            count, wrong = work.done, work.wrong
            assert gateway.pid("live-0") == pid
    whole, own = ([size[at] for size in sizes] for at in (0, 1))
    growth = growth_per_hour(times, own)
    print(f"{count} requests, {whole[0]:.1f} to {max(whole):.1f} MB, own memory {growth:+.2f} MB an hour")  # noqa: T201
    for row in (whole, own):
        print(" ".join(f"{size:.1f}" for size in row[:: max(1, len(row) // 20)]))  # noqa: T201
    assert wrong == []
    assert count > SECONDS * RATE * 0.7
    # In a short run a page more or less is a steep slope: what counts then is the whole of it.
    assert growth * SECONDS / 2 / 3600 <= max(GROWTH * SECONDS / 2 / 3600, 0.5)
    assert max(whole) <= LIMIT
