"""Rows G1 to G4 and G6: processes that are killed, a log that is torn, a disk that fails, a drain, descriptors that run out.

What must hold: a run whose provider saw a byte has its stamp, and goes on with the same release ever after.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from gateway.store.logfile import path_of, segments
from tests.faults import load
from tests.faults.load import ALIAS, ALIASES, FIRST, SECOND, STAMP_KEYS, Load
from tests.gateway_process import Gateway, port_of, running
from tests.provider import STREAM_HEAD, Provider, Received, Reply, completion, events, head, stream
from tests.store.servers import RealRedis

CAREFUL = {"careful": {"first_release": {"model": FIRST}, "stakes": "high"}}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider that answers at once."""
    with Provider() as provider:
        yield provider


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealRedis]:
    """A Redis of the test's own."""
    with RealRedis(tmp_path / "redis") as server:
        yield server


def gateway_on(url: str, provider: Provider, **more: Any) -> contextlib.AbstractContextManager[Gateway]:
    """A gateway over a Redis of the test's own."""
    settings = {"aliases": ALIASES, "stamp_keys": STAMP_KEYS, **more}
    return running({"openai": provider.url}, store={"redis": url}, **settings)


def resumed(gateway: Gateway, runs: dict[str, str]) -> list[str]:
    """Ask once more for each run: what is wrong with those that do not go on with their model."""
    wrong = []
    for run, model in runs.items():
        call = load.ask(gateway, run)
        if (call.status, call.model, call.headers.get("x-trivet-bound")) != (200, model, "resumed"):
            wrong.append(f"{run}: {call.status} {call.model} {call.headers.get('x-trivet-bound')}, not {model}")
    return wrong


# --- G1 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(20, marks=pytest.mark.timeout(170)),
        pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(5400)]),
    ],
)
def test_g1_kill_9_at_random_points(provider: Provider, kills: int) -> None:
    """Workers, supervisor and store killed at random points under load: every run whose provider saw a byte has its stamp."""
    chance = random.Random(kills)
    targets = (FIRST, SECOND)
    with running({"openai": provider.url}, aliases=ALIASES, serve={"workers": 3, "drain": 1.0}) as gateway:
        with Load(gateway, rate=150 if kills < 100 else 60, lanes=12) as work:
            for number in range(1, kills + 1):
                time.sleep(chance.uniform(0.05, 0.35))
                if number % 15 == 0:
                    load.promote(gateway, targets[number // 15 % 2])
                kill(gateway, number, chance)
            load.until(
                lambda: all(part["state"] == "ready" for part in gateway.parts().values()), 20, "the last restart"
            )
            time.sleep(0.3)
        assert Counter(call.status for call in work.calls)[200] > kills
        assert {call.status for call in work.calls} <= {0, 200}
        load.settled(gateway)
        assert {call.model for call in work.calls if call.status == 200} == set(targets)
        url = f"unix://{gateway.data_dir}/store/redis.sock"
        assert load.kept(provider, gateway.data_dir, url, work.calls) == []
        models = {run: next(iter(found)) for run, found in load.seen(provider).items()}
        struck = {call.run: models[call.run] for call in work.calls if call.status == 0 and call.run in models}
        assert struck
        chosen = chance.sample(sorted(models.items()), min(60, len(models)))
        assert resumed(gateway, dict([*struck.items(), *chosen])) == []
        # And with the store frozen: the host log knows them all.
        gateway.kill("store", signal.SIGSTOP)
        try:
            assert resumed(gateway, dict([*list(struck.items())[:20], *chosen[:20]])) == []
        finally:
            gateway.kill("store", signal.SIGCONT)


def kill(gateway: Gateway, number: int, chance: random.Random) -> None:
    """kill -9 of a worker; of the store at every seventh turn, of the supervisor at every tenth."""
    if number % 10 == 0:
        assert gateway.process is not None
        gateway.parts()
        gateway.process.kill()
        gateway.process.wait(10)
        gateway.start()
        return
    if number % 7 == 0:
        old = gateway.pid("store")
        gateway.kill("store")
        load.until(lambda: gateway.pid("store") not in (0, old), 10, "the store's restart")
        return
    while True:
        ready = [name for name, part in gateway.parts().items() if name.startswith("live") and part["state"] == "ready"]
        if ready:
            break
        time.sleep(0.02)
    with contextlib.suppress(ProcessLookupError):
        gateway.kill(chance.choice(ready))


def test_g1_resume_anywhere(provider: Provider, server: RealRedis) -> None:
    """A run goes on with its release after a pointer flip, on another worker, after a restart, and with Redis down at that."""
    with gateway_on(server.url, provider, serve={"workers": 2}) as gateway:
        runs = {f"r-{number}": FIRST for number in range(30)}
        for run in runs:
            assert load.ask(gateway, run).model == FIRST
        load.promote(gateway)
        assert load.ask(gateway, "new").model == SECOND
        assert resumed(gateway, runs) == []
        gateway.kill_all()
        gateway.start()
        assert resumed(gateway, runs) == []
        server.kill()
        assert resumed(gateway, runs) == []
        gateway.kill_all()
        gateway.start()
        # New processes, no store: 40 connections reach both workers, and one binds what the other resumes.
        assert resumed(gateway, runs) == []
        offline = {f"offline-{number}": SECOND for number in range(10)}
        assert {load.ask(gateway, run).model for run in offline} == {SECOND}
        assert resumed(gateway, offline) == []
        server.start()
        load.settled(gateway)
        assert load.kept(provider, gateway.data_dir, server.url) == []
        shutil.rmtree(gateway.data_dir / "stamps")
        assert resumed(gateway, {**runs, **offline}) == []


# --- G2 ------------------------------------------------------------------------------------------------------------------


def test_g2_torn_log(provider: Provider, server: RealRedis) -> None:
    """A log with a torn end, flipped bits and records twice is read for all that is whole in it, and the rest is counted."""
    with gateway_on(server.url, provider) as gateway:
        runs = {f"r-{number}": FIRST for number in range(20)}
        for run in runs:
            assert load.ask(gateway, run).model == FIRST
        second = load.promote(gateway)
        load.until(lambda: second in (gateway.data_dir / "pointers.json").read_text(), 5, "the pointer copy")
        gateway.kill_all()
        server.kill()
        file = path_of(gateway.data_dir / "stamps", segments(gateway.data_dir / "stamps")[-1])
        data = bytearray(file.read_bytes())
        at = data.index(b'"run":"r-7"')
        data[at + 8] ^= 0x40
        first = data[: data.index(b"\n", data.index(b'"run":"r-0"')) + 1]
        file.write_bytes(bytes(data) + bytes(first) + bytes(first) + bytes(first[: len(first) // 2]))
        gateway.start()
        damaged = {"r-7": runs.pop("r-7")}
        assert resumed(gateway, runs) == []
        refused = load.ask(gateway, "r-7", x_trivet_resume="required")
        assert (refused.status, refused.code) == (503, "stamp_unavailable")
        assert load.ask(gateway, "new").model == SECOND
        time.sleep(1.1)
        assert load.numbers(gateway)["wal_bad_records_total"] >= 2
        server.start()
        load.settled(gateway)
        assert resumed(gateway, {**runs, **damaged}) == []
        assert load.total(load.numbers(gateway), "stamp_conflicts_total") == 0
        stored = load.stored(server.url)
        assert {run: stored[run].model for run in {**runs, **damaged}} == {**runs, **damaged}


# --- G3 ------------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """A file system of 256 KiB at a path. Skips where this user may not mount one."""
    path.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(path)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_g3_disk_full_or_read_only(provider: Provider, server: RealRedis) -> None:
    """With the log's disk full: all is well while Redis answers; without it, high stakes get 503 and others go by ticket."""
    if shutil.which("mount") is None or os.geteuid() != 0:
        pytest.skip("only root can mount the small disk that this test fills")
    with (
        gateway_on(server.url, provider, aliases={**ALIASES, **CAREFUL}, start=False) as gateway,
        small_disk(gateway.data_dir / "stamps"),
    ):
        gateway.start()
        assert load.ask(gateway, "bound", "careful").status == 200
        with Streaming(gateway, provider) as flowing:
            fill(gateway.data_dir / "stamps" / "ballast")
            assert load.ask(gateway, "with-store", "careful").status == 200
            server.kill()
            # The last page of the log's file still takes a few records.
            taken = 0
            while load.ask(gateway, f"last-{taken}", "careful").status == 200:
                taken += 1
            assert taken < 30
            assert {f"last-{number}" for number in range(taken)} <= set(load.logged(gateway.data_dir))
            refused = load.ask(gateway, "without", "careful")
            assert (refused.status, refused.code) == (503, "stamp_unavailable")
            assert refused.headers["x-should-retry"] == "true"
            by_ticket = load.ask(gateway, "by-ticket")
            assert (by_ticket.status, by_ticket.model) == (200, FIRST)
            ticket = by_ticket.headers["x-trivet-ticket"]
            assert load.ask(gateway, "", x_trivet_ticket=ticket).model == FIRST
            assert load.ask(gateway, "bound", "careful").status == 200
            assert not [r for r in provider.requests if r.json["messages"][0]["content"] == "without"]
            time.sleep(1.1)
            assert load.total(load.numbers(gateway), "wal_errors_total") > 0
        assert flowing.whole
        (gateway.data_dir / "stamps" / "ballast").unlink()
        assert load.ask(gateway, "without", "careful").status == 200
        assert "without" in load.logged(gateway.data_dir)
        gateway.stop()
        subprocess.run(["mount", "-o", "remount,ro", str(gateway.data_dir / "stamps")], check=True)
        gateway.start()
        assert load.ask(gateway, "unseen", "careful").code == "stamp_unavailable"
        assert load.ask(gateway, "without", "careful").headers["x-trivet-bound"] == "resumed"
        assert load.ask(gateway, "unseen").status == 200
        server.start()
        load.until(lambda: load.ask(gateway, "unseen", "careful").status == 200, 5, "an answer")
        gateway.stop()


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 512)


class Streaming:
    """A stream that is open while a test does its mischief; `whole` says how it ended."""

    def __init__(self, gateway: Gateway, provider: Provider) -> None:
        self.whole = False
        provider.then(stream(events(["a"] * 30), gap=0.05))
        self._link = http.client.HTTPConnection("127.0.0.1", port_of(gateway.base), timeout=20)

    def __enter__(self) -> Self:
        body = {"model": ALIAS, "stream": True, "messages": [{"role": "user", "content": "stream"}]}
        fields = {"content-type": "application/json", "x-trivet-run": "stream"}
        self._link.request("POST", "/v1/chat/completions", json.dumps(body), fields)
        self._answer = self._link.getresponse()
        assert self._answer.status == 200
        return self

    def __exit__(self, *_exc: object) -> None:
        self.whole = self._answer.read().endswith(b"data: [DONE]\n\n")
        self._link.close()


SLOW_FSYNC = """
import os, time
def slow(descriptor, _fsync=os.fsync):
    if os.path.exists({switch!r}):
        time.sleep(1.0)
    _fsync(descriptor)
os.fsync = slow
"""


def test_g3_slow_fsync(provider: Provider, server: RealRedis, tmp_path: Path) -> None:
    """A disk that takes a second to sync holds nobody up while Redis answers, and nobody for longer than its limit without."""
    switch = tmp_path / "slow"
    (tmp_path / "sitecustomize.py").write_text(SLOW_FSYNC.format(switch=str(switch)))
    with gateway_on(server.url, provider, aliases={**ALIASES, **CAREFUL}, start=False) as gateway:
        gateway.environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{gateway.environment['PYTHONPATH']}"
        gateway.start()
        assert load.ask(gateway, "a", "careful").status == 200
        switch.touch()
        assert load.ask(gateway, "b", "careful").took < 0.4
        server.kill()
        with Load(gateway, rate=50, lanes=10) as work:
            first = load.ask(gateway, "c", "careful")
            time.sleep(1.5)
        assert (first.status, first.code) == (503, "stamp_unavailable")
        assert {call.status for call in work.calls} == {200}
        assert max(call.took for call in [first, *work.calls]) < 1.5
        switch.unlink()
        load.until(lambda: load.ask(gateway, "c", "careful").status == 200, 5, "the log's return")
        server.start()
        load.settled(gateway)
        assert {"a", "b", "c"} <= set(load.logged(gateway.data_dir))


# --- G4 ------------------------------------------------------------------------------------------------------------------


async def short_or_long(received: Received, reply: Reply) -> None:
    """A stream of a second and a half, or one without end, as the request's text says."""
    text = received.json["messages"][0]["content"]
    if text.startswith("short"):
        await stream(events(["a"] * 5), gap=0.15)(received, reply)
        return
    if not text.startswith("long"):
        await completion()(received, reply)
        return
    await reply.write(head(200, STREAM_HEAD))
    piece = events(["a"])[1]
    while True:
        await reply.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        await asyncio.sleep(0.3)


async def one_stream(port: int, run: str, begun: list[str]) -> bytes:
    """Everything that comes back for a stream, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(load.request(run, stream=True))
    data = await reader.readuntil(b"\r\n\r\n")
    data += await reader.readuntil(b"\n\n")
    begun.append(run)
    while piece := await reader.read(65536):
        data += piece
        if data.endswith(b"0\r\n\r\n"):
            break
    writer.close()
    return data


async def hundred(port: int, begun: list[str]) -> dict[str, bytes]:
    """A hundred streams at once."""
    runs = [f"{kind}-{number}" for number in range(50) for kind in ("short", "long")]
    return dict(zip(runs, await asyncio.gather(*(one_stream(port, run, begun) for run in runs)), strict=True))


def readiness(port: int, seen: list[str], stop: threading.Event) -> None:
    """Look at /readyz again and again: its status, or `refused`."""
    while not stop.is_set():
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            link.request("GET", "/readyz")
            seen.append(str(link.getresponse().status))
        except OSError:
            seen.append("refused")
        link.close()
        time.sleep(0.03)


def test_g4_sigterm_with_a_hundred_streams() -> None:
    """Told to end: readiness turns red first, streams end in their time, the rest get an error event and an unclean close."""
    with (
        Provider(short_or_long) as provider,
        running({"openai": provider.url}, aliases=ALIASES, serve={"drain": 3.0, "notice": 0.6}) as gateway,
    ):
        port, begun, seen = port_of(gateway.base), list[str](), list[str]()
        found: dict[str, bytes] = {}
        stop = threading.Event()
        threads = [
            threading.Thread(target=lambda: found.update(asyncio.run(hundred(port, begun)))),
            threading.Thread(target=readiness, args=(port, seen, stop)),
        ]
        for thread in threads:
            thread.start()
        load.until(lambda: len(begun) == 100, 15, "the streams' begin")
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGTERM)
        load.until(lambda: load.numbers(gateway).get("draining") == 1, 3, "the metric")
        assert gateway.process.wait(20) == 0
        stop.set()
        for thread in threads:
            thread.join(10)
        order = list(dict.fromkeys(seen))
        assert order == ["200", "503", "refused"]
        assert len(found) == 100
        for run, data in found.items():
            if run.startswith("short"):
                assert data.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"), run
            else:
                assert not data.endswith(b"0\r\n\r\n"), run
                last = data.rstrip().rpartition(b"data: ")[2].partition(b"\n")[0]
                assert json.loads(last)["error"]["code"], run
        load.until(lambda: provider.open == 0, 5, "the end of the provider's calls")
        assert load.kept(provider, gateway.data_dir) == []
        gateway.start()
        cut = load.ask(gateway, "long-0", x_trivet_resume="required", text="go on")
        assert (cut.status, cut.model, cut.headers["x-trivet-bound"]) == (200, FIRST, "resumed")


# --- G6 ------------------------------------------------------------------------------------------------------------------


def test_g6_descriptors_run_out() -> None:
    """With 256 descriptors, connections over the cap get 503 in OpenAI's shape; nothing ends with EMFILE; afterwards all is well."""
    release = threading.Event()

    async def held(received: Received, reply: Reply) -> None:
        while not release.is_set() and received.json["messages"][0]["content"].startswith("held"):
            await asyncio.sleep(0.02)
        await completion()(received, reply)

    with Provider(held) as provider, running({"openai": provider.url}, aliases=ALIASES) as gateway:
        resource.prlimit(gateway.pid("supervisor"), resource.RLIMIT_NOFILE, (256, 256))
        worker = gateway.wait_restarted("live-0", gateway.kill("live-0"))
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (256, 256)
        links = [socket.create_connection(("127.0.0.1", port_of(gateway.base)), 10) for _ in range(120)]
        highest = 0
        for number, link in enumerate(links):
            with contextlib.suppress(ConnectionError):
                link.sendall(load.request(f"held-{number}"))
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            highest = max(highest, len(list(Path(f"/proc/{worker}/fd").iterdir())))
            time.sleep(0.02)
        refused = load_refusals(links)
        assert len(refused) == 120 - 96
        for answer in refused:
            assert b"HTTP/1.1 503" in answer
            assert b'"type":"server_error"' in answer.replace(b": ", b":")
        # A storm: some get no answer at all, but nobody inside runs out of descriptors.
        storm = [socket.create_connection(("127.0.0.1", port_of(gateway.base)), 10) for _ in range(150)]
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            highest = max(highest, len(list(Path(f"/proc/{worker}/fd").iterdir())))
            time.sleep(0.02)
        assert highest < 256
        for link in storm:
            link.close()
        release.set()
        answered = 0
        for link in links:
            link.settimeout(10)
            with contextlib.suppress(ConnectionError):
                answered += b"HTTP/1.1 200" in link.recv(65536)
            link.close()
        assert answered == 96
        assert load.ask(gateway, "after").status == 200
        assert gateway.pid("live-0") == worker
        assert "Too many open files" not in gateway.log
        time.sleep(1.1)
        assert load.numbers(gateway)["conn_rejected_total"] >= 24 + 100
        assert load.kept(provider, gateway.data_dir) == []


def load_refusals(links: list[socket.socket]) -> list[bytes]:
    """What came back on connections that have an answer already; they are taken out of the list."""
    found = []
    for link in list(links):
        link.settimeout(0.02)
        try:
            answer = link.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            answer = b"reset"
        found.append(answer)
        links.remove(link)
        link.close()
    return found
