"""A live worker as a process: what it is made of, what it counts, how it ends."""

from __future__ import annotations

import concurrent.futures
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx

from gateway.settings.model import Settings
from gateway.wiring.live import limits, own_hosts, raise_descriptors, raise_thresholds, request_ids, worker_id
from gateway.wiring.process import Assignment
from tests.gateway_process import ROOT, running
from tests.provider import Provider, events, stream

BODY = {"model": "gpt-4o-2024-08-06", "messages": [{"role": "user", "content": "hi"}]}


def test_request_ids_are_unique_and_ordered() -> None:
    """Within a worker they sort by time, over workers they never meet."""
    one, two = request_ids(), request_ids()
    ids = [one() for _ in range(100)]
    assert ids == sorted(ids)
    assert not {two() for _ in range(100)} & set(ids)


def test_worker_keeps_its_name_over_a_restart() -> None:
    """Nobody waits for a dead worker whose successor serves: both have one name under their supervisor."""
    assert worker_id(Assignment("live", 1, "", "")) == worker_id(Assignment("live", 1, "x", "y"))
    assert worker_id(Assignment("live", 1, "", "")) != worker_id(Assignment("live", 2, "", ""))


def test_own_hosts_hold_the_address() -> None:
    """Absolute-form targets may name the listener, with and without its port."""
    names = own_hosts("127.0.0.2:8080")
    assert {"127.0.0.2", "127.0.0.2:8080", "localhost:8080"} <= names


def test_connections_stay_below_half_of_the_descriptors() -> None:
    """G6: the cap leaves room for one call to a provider per client, and for the store."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert limits(Settings()).connections <= max(16, soft // 2)
    raise_thresholds()
    raise_descriptors()


BURST = """
import asyncio, psutil
from gateway.wiring.live import raise_thresholds, trim

def resident():
    return psutil.Process().memory_info().rss >> 20

raise_thresholds()
bodies = [b"x" * 65_536 for _ in range(1000)]
full = resident()
bodies.clear()
kept = resident()
async def main():
    work = asyncio.create_task(trim(0.01))
    await asyncio.sleep(0.1)
    work.cancel()

asyncio.run(main())
print(full - kept, full - resident())
"""


def test_a_burst_does_not_stay_in_memory() -> None:
    """What long bodies took is kept between requests, and given back a moment later."""
    told = subprocess.run([sys.executable, "-c", BURST], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    at_once, later = map(int, told.split())
    assert at_once < 10 and later > 50


def test_g6_refused_before_descriptors_run_out() -> None:
    """G6: with 256 descriptors, more clients than fit get 503 in the API's shape; afterwards it serves as before."""
    with Provider() as provider, running({"openai": provider.url}, start=False) as gateway:
        starter = [sys.executable, "-c", LOWER, "-m", "gateway", "serve", "--config", str(gateway.config)]
        log = (gateway.folder / "log").open("ab")
        with log:
            gateway.process = subprocess.Popen(
                starter, cwd=gateway.folder, env=gateway.environment, stdout=log, stderr=log
            )
        until = time.monotonic() + 30
        while not gateway._up():
            assert time.monotonic() < until, gateway.log
            time.sleep(0.05)
        port = int(gateway.base.rpartition(":")[2])
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
        answers = []
        for client in held[::-1][:40]:
            client.settimeout(2)
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            try:
                answers.append(client.recv(100)[:12])
            except OSError:
                answers.append(b"")
        for client in held:
            client.close()
        assert b"HTTP/1.1 503" in answers, answers
        time.sleep(0.2)
        assert httpx.post(f"{gateway.base}/v1/chat/completions", json=BODY).status_code == 200


LOWER = (
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)


def test_g4_drain() -> None:
    """G4: on SIGTERM readiness is red first, streams finish within the grace, the rest gets the error event and a cut."""
    pieces = events([f"word {n} " for n in range(20)])
    with (
        Provider(stream(pieces, gap=0.05)) as provider,
        running({"openai": provider.url}, serve={"drain": 5.0, "notice": 0.5}) as gateway,
    ):
        whole: list[bytes] = []

        def read() -> None:
            with httpx.stream(
                "POST", f"{gateway.base}/v1/chat/completions", json={**BODY, "stream": True}, timeout=20
            ) as answer:
                whole.extend(answer.iter_raw())

        threads = [threading.Thread(target=read) for _ in range(10)]
        for thread in threads:
            thread.start()
        provider.wait_for(10)
        gateway.process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
        time.sleep(0.15)
        assert httpx.get(f"{gateway.base}/readyz").status_code == 503
        time.sleep(0.7)
        try:
            httpx.get(f"{gateway.base}/readyz", timeout=2)
            raise AssertionError("the listener still accepts")
        except httpx.HTTPError:
            pass
        for thread in threads:
            thread.join(20)
        assert b"".join(whole).count(b"data: [DONE]") == 10
        assert gateway.process.wait(15) == 0  # type: ignore[union-attr]


def test_g4_grace_ends() -> None:
    """G4: a stream longer than the grace ends with an error event and without a clean end; the gateway ends in time."""
    with (
        Provider(stream(events(["x"] * 400), gap=0.05)) as provider,
        running({"openai": provider.url}, serve={"drain": 0.5, "notice": 0.0}) as gateway,
    ):
        got: list[bytes] = []
        failed: list[type[BaseException]] = []

        def read() -> None:
            try:
                with httpx.stream(
                    "POST", f"{gateway.base}/v1/chat/completions", json={**BODY, "stream": True}, timeout=20
                ) as answer:
                    got.extend(answer.iter_raw())
            except httpx.HTTPError as error:
                failed.append(type(error))

        thread = threading.Thread(target=read)
        thread.start()
        provider.wait_for(1)
        time.sleep(0.3)
        begun = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - begun < 6
        thread.join(10)
        assert failed == [httpx.RemoteProtocolError]
        assert b'"error"' in b"".join(got)


def test_g5_second_instance_takes_over() -> None:
    """G5: a second gateway joins the port and the first one drains: not one request is refused."""
    with Provider() as provider, running({"openai": provider.url}) as first:
        port = int(first.base.rpartition(":")[2])
        with running({"openai": provider.url}, listen=f"127.0.0.1:{port}", start=False) as second:
            second.arguments = ("--share-port",)
            refused: list[str] = []
            served = 0
            ending = threading.Event()

            def load() -> int:
                count = 0
                while not ending.is_set():
                    try:
                        status = httpx.post(
                            f"http://127.0.0.1:{port}/v1/chat/completions", json=BODY, timeout=10
                        ).status_code
                        if status != 200:
                            refused.append(str(status))
                    except httpx.ConnectError as error:
                        refused.append(repr(error))
                    except httpx.RemoteProtocolError as error:
                        refused.append(repr(error))
                    count += 1
                    time.sleep(0.02)
                return count

            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                loads = [pool.submit(load) for _ in range(2)]
                second.start()
                time.sleep(0.2)
                first.stop()
                time.sleep(0.3)
                ending.set()
                served = sum(each.result() for each in loads)
            assert refused == []
            assert served > 10


def test_workers_share_the_port_and_metrics_add_up() -> None:
    """Three workers on one port; the scrape is their sum, and what a killed worker counted stays."""
    with Provider() as provider, running({"openai": provider.url}, serve={"workers": 3}) as gateway:

        def counted() -> int:
            text = gateway.get(gateway.admin + "/metrics")[1].decode()
            rows = [line for line in text.splitlines() if line.startswith("trivet_requests_total{")]
            return int(sum(float(row.rpartition(" ")[2]) for row in rows))

        for _ in range(40):
            assert httpx.post(f"{gateway.base}/v1/chat/completions", json=BODY).status_code == 200
        until = time.monotonic() + 5
        while counted() < 40:
            assert time.monotonic() < until, counted()
            time.sleep(0.1)
        pid = gateway.kill("live-1")
        gateway.wait_restarted("live-1", pid)
        assert counted() == 40
        text = gateway.get(gateway.admin + "/metrics")[1]
        assert b'trivet_processes{role="live"} 3.0' in text or b'trivet_processes{role="live"} 2.0' in text


def test_killed_worker_costs_its_own_requests_only() -> None:
    """kill -9 of one of two workers: the other serves on, and the dead one is back within a second or two."""
    with Provider() as provider, running({"openai": provider.url}, serve={"workers": 2}) as gateway:
        pid = gateway.kill("live-0")
        for _ in range(10):
            try:
                assert httpx.post(f"{gateway.base}/v1/chat/completions", json=BODY).status_code == 200
            except httpx.TransportError:
                continue  # in the accept queue of the dead one
        gateway.wait_restarted("live-0", pid)
        assert gateway.parts()["live-0"]["restarts"] == 1


def test_worker_is_small() -> None:
    """A live worker's own memory after start stays below 35 MB."""
    with running() as gateway:
        text = Path(f"/proc/{gateway.pid('live-0')}/smaps_rollup").read_text()
        pss = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        assert pss < 35 * 1024, f"{pss} KiB"


def test_imports_are_lean() -> None:
    """None of the control side's libraries is loaded."""
    code = "import sys, gateway.wiring.live; print(*[m for m in ('aiohttp', 'redis', 'rich', 'cyclopts', 'prometheus_client') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.strip() == ""
