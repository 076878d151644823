"""`trivet serve` as a whole: up in order, what dies comes back, down in order; a broken file never stops what runs."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.gateway_process import Gateway, running
from tests.provider import Provider, hang
from tests.store.servers import RealRedis

BODY = {"model": "support", "messages": [{"role": "user", "content": "hi"}]}
ALIASES = {"support": {"first_release": {"model": "openai/gpt-4o-2024-08-06"}}}


@pytest.fixture(scope="module")
def started() -> Iterator[Gateway]:
    """One gateway for the tests that leave it as it was, or ended."""
    with Provider() as provider, running({"openai": provider.url}, aliases=ALIASES) as gateway:
        yield gateway


@pytest.fixture
def gateway(started: Gateway) -> Gateway:
    """The same, up."""
    if started.process is None:
        started.start()
    return started


def ask(gateway: Gateway, run: str = "r", timeout: float = 10) -> httpx.Response:
    """One chat completion of a run."""
    url = f"{gateway.base}/v1/chat/completions"
    return httpx.post(url, json=BODY, headers={"x-trivet-run": run}, timeout=timeout)


def wait_for(gateway: Gateway, event: str, seconds: float = 5.0) -> None:
    """Wait until the log has the event."""
    until = time.monotonic() + seconds
    while event not in gateway.log:
        assert time.monotonic() < until, gateway.log[-3000:]
        time.sleep(0.02)


def test_first_request_after_the_banner_finds_its_alias(gateway: Gateway) -> None:
    """Whoever waits for the banner can send at once: first releases are made before workers start."""
    answer = ask(gateway)
    assert (answer.status_code, answer.headers["x-trivet-alias"]) == (200, "support")
    wait_for(gateway, "is ready.")
    assert gateway.log.index("first release made") < gateway.log.index("worker ready")


def test_what_dies_comes_back_and_requests_go_on(gateway: Gateway) -> None:
    """kill -9 of the store and of the background process: not one request fails, and both are back with their data."""
    assert ask(gateway).status_code == 200
    for part in ("store", "control"):
        pid = gateway.kill(part)
        for number in range(5):
            assert ask(gateway, f"{part}-{number}").status_code == 200
        gateway.wait_restarted(part, pid)
    assert ask(gateway).headers["x-trivet-bound"] == "resumed"
    assert gateway.json("run", "show", "r")["steps"]
    wait_for(gateway, "the embedded store ended and is started again")


def test_killed_supervisor_takes_its_processes_along(gateway: Gateway) -> None:
    """kill -9 of the supervisor: workers drain and end by themselves; the next start finds all data, run on its stamp."""
    assert ask(gateway).status_code == 200
    live = gateway.pid("live-0")
    gateway.kill("supervisor")
    assert gateway.process is not None
    gateway.process.wait(5)
    until = time.monotonic() + 5
    while Path(f"/proc/{live}/cmdline").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    gateway.start()
    assert ask(gateway).headers["x-trivet-bound"] == "resumed"
    assert gateway.stop() == 0


def test_power_cut_and_resume(gateway: Gateway) -> None:
    """kill -9 of everything at once, store too: the run is on its release again after the next start."""
    release = ask(gateway).headers["x-trivet-release"]
    gateway.kill_all()
    gateway.start()
    answer = ask(gateway)
    assert (answer.headers["x-trivet-bound"], answer.headers["x-trivet-release"]) == ("resumed", release)


def test_i1_broken_file_stops_no_running_gateway(gateway: Gateway) -> None:
    """I1: a file gone bad is refused and named; a worker that dies meanwhile comes back with the last good one."""
    text = gateway.config.read_text()
    gateway.config.write_text(text + "lissten: nowhere\n")
    wait_for(gateway, "configuration refused")
    assert "lissten" in gateway.log
    pid = gateway.kill("live-0")
    gateway.wait_restarted("live-0", pid)
    assert ask(gateway).status_code == 200
    wait_for(gateway, "started with the last good one")
    gateway.config.write_text(text)
    gateway.kill("supervisor", signal.SIGHUP)
    assert gateway.json("config", "show")["version"]


def test_reload_is_one_swap_in_every_process() -> None:
    """I10: a changed file is in force in all processes within a second or two, and its version shows in metrics and readiness."""
    with Provider() as provider, running({"openai": provider.url}, serve={"workers": 2}) as gateway:
        assert ask(gateway).status_code in (400, 404, 200)
        before = gateway.json("config", "show")["version"]
        gateway.write_config({"aliases": ALIASES})
        until = time.monotonic() + 6
        while gateway.json("config", "show")["version"] == before:
            assert time.monotonic() < until
        after = gateway.json("config", "show")["version"]
        while ask(gateway, f"r{time.monotonic()}").headers.get("x-trivet-release") is None:
            assert time.monotonic() < until + 6, gateway.log[-2000:]
        text = ""
        while f'trivet_config_version{{version="{after}"}} 1.0' not in text:
            assert time.monotonic() < until + 6, text
            text = gateway.get(gateway.admin + "/metrics")[1].decode()
            time.sleep(0.1)
        assert gateway.log.count("configuration in force") == 3


def test_i2_refused_first_release_is_in_the_banner() -> None:
    """I2: a first release that floats is not made; banner and log name the alias and the way out, the rest serves."""
    with Provider() as provider:
        floating = {"chat": {"first_release": {"model": "openai/gpt-4o"}}}
        with running({"openai": provider.url}, aliases=floating, unmanaged="refuse") as gateway:
            wait_for(gateway, "WARNING")
            warning = next(line for line in gateway.log.splitlines() if "WARNING" in line)
            assert "chat" in warning
            assert gateway.json("alias", "list") == []


def test_bad_file_at_start_is_2_and_starts_nothing(tmp_path: Path) -> None:
    """I1: exit with file, line and key; nothing was started."""
    with running(start=False) as gateway:
        gateway.config.write_text(gateway.config.read_text() + "serve: {workers: x}\n")
        with pytest.raises(RuntimeError, match="ended with 2"):
            gateway.start()
        assert not (gateway.data_dir / "store").exists()


def test_two_gateways_do_not_share_a_data_dir(gateway: Gateway) -> None:
    """The second one is refused with the first one's process id and what to do; the first goes on."""
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", str(gateway.config)],
        cwd=gateway.folder,
        env=gateway.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "another gateway" in done.stderr
    assert gateway.get(gateway.base + "/readyz")[0] == 200
    assert any(beat["alive"] for beat in gateway.json("status", status=None)["workers"])


def test_second_signal_ends_at_once() -> None:
    """SIGTERM waits for streams; a second one does not."""
    with (
        Provider(hang) as provider,
        running({"openai": provider.url}, aliases=ALIASES, serve={"drain": 30.0}) as gateway,
    ):
        thread = threading.Thread(target=lambda: _ignored(gateway))
        thread.start()
        provider.wait_for(1)
        assert gateway.process is not None
        gateway.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert gateway.process.poll() is None
        begun = time.monotonic()
        assert gateway.stop(signal.SIGINT) == 0
        assert time.monotonic() - begun < 5
        thread.join(10)


def _ignored(gateway: Gateway) -> None:
    try:
        ask(gateway, timeout=20)
    except httpx.HTTPError:
        pass


def test_roles_split_over_containers(tmp_path: Path) -> None:
    """One supervisor with the workers, one with the background process, one store: they make one gateway."""
    server = RealRedis(tmp_path / "redis")
    shared = {"store": {"redis": server.url}, "stamp_keys": ["k" * 40], "aliases": ALIASES}
    try:
        with (
            Provider() as provider,
            running({"openai": provider.url}, arguments=("--roles", "control"), **shared) as control,
            running({"openai": provider.url}, arguments=("--roles", "live"), **shared) as live,
        ):
            assert set(control.parts()) == {"supervisor", "control"}
            assert set(live.parts()) == {"supervisor", "live-0"}
            assert ask(live).status_code == 200
            assert [beat["alive"] for beat in control.json("status")["workers"]] == [True]
    finally:
        server.stop()


def test_f1_redis_dead_from_start(tmp_path: Path) -> None:
    """F1: without the store and without a copy new runs of aliases get 503; with this host's copy they are served."""
    server = RealRedis(tmp_path / "redis")
    with (
        Provider() as provider,
        running(
            {"openai": provider.url}, store={"redis": server.url}, stamp_keys=["k" * 40], aliases=ALIASES, start=False
        ) as gateway,
    ):
        server.kill()
        gateway.start()
        assert gateway.get(gateway.base + "/readyz")[0] == 503
        assert ask(gateway).status_code == 503
        gateway.stop()
        server.start()
        gateway.start()
        assert ask(gateway).status_code == 200
        gateway.stop()
        server.kill()
        gateway.start()
        assert gateway.get(gateway.base + "/readyz")[0] == 200
        answer = ask(gateway, "new-run")
        assert (answer.status_code, answer.headers["x-trivet-alias"]) == (200, "support")


def test_i7_no_secret_in_log_or_files(gateway: Gateway) -> None:
    """I7: neither log nor the files for other processes hold a provider's key, but the owner's copy of the file itself."""
    ask(gateway)
    assert "sk-provider-test-key" not in gateway.log
    for path in gateway.data_dir.rglob("*"):
        if path.is_file() and b"sk-provider-test-key" in path.read_bytes():
            assert path.name == "last-good.yaml"
            assert path.stat().st_mode & 0o077 == 0
    assert yaml.safe_load(gateway.config.read_text())
