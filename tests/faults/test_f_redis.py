"""Rows F1 to F4 and F6 to F10: a Redis that is dead, frozen, slow, garbled, unsafe, full, demoted, rolled back or emptied.

Through all of it live requests are answered, in time, and no run is served by two models.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Lane
from gateway.store.records import alias_state
from tests.faults import load
from tests.faults.load import ALIAS, ALIASES, FIRST, SECOND, STAMP_KEYS, Call, Load, ProxyThread
from tests.gateway_process import Gateway, running
from tests.ports import free_port
from tests.provider import Provider
from tests.store.lives import Command
from tests.store.servers import RealRedis

BOUND = 0.1
"""Seconds that the first calls after a fault may be slower: the limit of the stamps line."""
SLACK = 0.25
"""Seconds that a busy machine may add to a call by itself."""


@dataclass
class Stage:
    """One gateway that goes through one fault after the other, over a Redis behind a proxy that does nothing until told."""

    gateway: Gateway
    provider: Provider
    server: RealRedis
    mangling: ProxyThread
    before: dict[str, float] = field(default_factory=dict)

    def unharmed(self, work: Load, fault: float, back: float, *, quiet: float = 0.8) -> None:
        """No error, in time, and afterwards every stamp is in the log and in the store. Waits for the replay."""
        unharmed(work.calls, fault, back, quiet=quiet)
        load.settled(self.gateway)
        wrong = load.kept(self.provider, self.gateway.data_dir, self.server.url, work.calls)
        assert wrong == []

    def errors(self, kind: str) -> float:
        """How often the store's errors of a kind were counted in this test."""
        found = load.numbers(self.gateway)
        names = [name for name in found if name.startswith("redis_errors_total") and f'kind="{kind}"' in name]
        return sum(found[name] - self.before.get(name, 0) for name in names)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One gateway for the tests that only break what is behind it."""
    options = {"enable_protected_configs": "local"}
    with RealRedis(tmp_path_factory.mktemp("redis"), **options) as server, Provider() as provider:
        mangling = ProxyThread(server.port)
        with mangling as proxy, gateway_on(proxy.url, provider) as gateway:
            yield Stage(gateway, provider, server, mangling)


@pytest.fixture
def stage(staged: Stage) -> Stage:
    """The stage, its recorder empty."""
    staged.provider.requests.clear()
    staged.before = load.numbers(staged.gateway)
    return staged


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
    """A gateway with the alias, over a Redis of the test's own."""
    return running({"openai": provider.url}, store={"redis": url}, aliases=ALIASES, stamp_keys=STAMP_KEYS, **more)


def unharmed(calls: list[Call], fault: float, back: float, *, quiet: float = 1.0) -> None:
    """No error at all; the first calls after the fault wait no longer than the bound; after that nothing is added."""
    assert [call for call in calls if call.status != 200] == []
    before = load.during(calls, 0, fault)
    first = load.during(calls, fault, fault + quiet)
    later = load.during(calls, fault + quiet, back)
    # Only calls that begin a run ask the store, and each that waits for it waits the whole bound, while a busy machine
    # makes some calls slow, never all: so no percentile near the end says anything about the store.
    assert load.percentile(bound(first), 0.75) <= load.percentile(bound(before), 0.75) + BOUND + SLACK
    assert load.percentile(bound(later), 0.25) <= load.percentile(bound(before), 0.25) + BOUND / 2
    assert max(call.took for call in calls) < 2.0


def bound(calls: list[Call]) -> list[Call]:
    """The calls that began a run."""
    found = [call for call in calls if call.headers["x-trivet-bound"] == "new"]
    assert found
    return found


# --- F1 ------------------------------------------------------------------------------------------------------------------


def test_f1_dead_from_start_with_a_pointer_copy(provider: Provider, server: RealRedis) -> None:
    """With a copy of the pointers on this host, a gateway whose Redis is dead from the start serves, and keeps stamps in its log."""
    with gateway_on(server.url, provider) as gateway:
        old = load.ask(gateway, "before")
        assert (old.status, old.model) == (200, FIRST)
        load.promote(gateway)
        load.until((gateway.data_dir / "pointers.json").exists, 5, "the pointer copy")
        assert gateway.stop() == 0
        server.kill()
        gateway.start()
        assert gateway.get(gateway.base + "/readyz")[0] == 200
        new = load.ask(gateway, "after")
        assert (new.status, new.model, new.headers["x-trivet-bound"]) == (200, SECOND, "new")
        assert load.ask(gateway, "after").headers["x-trivet-bound"] == "resumed"
        again = load.ask(gateway, "before")
        assert (again.model, again.headers["x-trivet-bound"]) == (FIRST, "resumed")
        time.sleep(1.1)
        found = load.numbers(gateway)
        assert load.total(found, "redis_up") == 0
        assert found["pointer_age_seconds"] > 0
        assert load.kept(provider, gateway.data_dir) == []
        server.start()
        load.settled(gateway)
        assert load.kept(provider, gateway.data_dir, server.url) == []


def test_f1_dead_from_start_without_a_pointer_copy(provider: Provider, server: RealRedis) -> None:
    """Without any copy an alias is 503, never a floating model; the gateway lives and serves as soon as Redis is there."""
    server.kill()
    with gateway_on(server.url, provider) as gateway:
        refused = load.ask(gateway, "r")
        assert refused.status == 503
        assert refused.headers["x-should-retry"] == "true"
        # A floating name may be an alias that was learned: without pointers nobody knows.
        assert load.ask(gateway, "r", alias="gpt-4o").status == 503
        assert gateway.get(gateway.base + "/livez")[0] == 200
        assert gateway.get(gateway.base + "/readyz")[0] == 503
        assert provider.requests == []
        server.start()
        load.until(lambda: load.ask(gateway, "r").status == 200, 10, "an answer")
        assert gateway.get(gateway.base + "/readyz")[0] == 200
        assert load.kept(provider, gateway.data_dir, server.url) == []


# --- F2, F3 --------------------------------------------------------------------------------------------------------------


def test_f2_killed_under_load(stage: Stage) -> None:
    """Redis killed under 200 requests a second: no error, the bound kept, and on return it has every stamp of the log."""
    with Load(stage.gateway, name="f2") as work:
        time.sleep(1.0)
        fault = time.monotonic()
        stage.server.kill()
        time.sleep(2.2)
        back = time.monotonic()
        assert load.total(load.numbers(stage.gateway), "stamp_wal_pending") > 0
        stage.server.start()
        time.sleep(1.0)
    stage.unharmed(work, fault, back)
    runs = {call.run for call in work.calls}
    assert runs <= set(load.stored(stage.server.url))
    # A run may be recorded again when its next step comes before the replay, but never with another release.
    log = load.logged(stage.gateway.data_dir)
    assert {len({stamp.release for stamp in log[run]}) for run in runs} == {1}
    assert load.total(load.numbers(stage.gateway), "stamp_conflicts_total") == 0


@pytest.mark.parametrize("seconds", [2.2, pytest.param(60.0, marks=[pytest.mark.slow, pytest.mark.timeout(180)])])
def test_f3_frozen_under_load(stage: Stage, seconds: float) -> None:
    """A Redis that takes connections and answers nothing is no worse than a dead one."""
    with Load(stage.gateway, name=f"f3-{seconds}") as work:
        time.sleep(1.0)
        fault = time.monotonic()
        stage.server.signal(signal.SIGSTOP)
        time.sleep(seconds)
        assert load.total(load.numbers(stage.gateway), 'redis_breaker_state{line="stamps"}') > 0
        back = time.monotonic()
        stage.server.signal(signal.SIGCONT)
        time.sleep(1.0)
    stage.unharmed(work, fault, back)
    assert stage.errors("timeout") > 0


# --- F4 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mischief", ["latency", "slices", "resets", "hole"])
def test_f4_mangled_connection(stage: Stage, mischief: str) -> None:
    """Half a second of latency, replies byte by byte, resets, a black hole: no error, no reply taken for another's."""
    proxy = stage.mangling.proxy
    with Load(stage.gateway, name=f"f4-{mischief}") as work:
        time.sleep(0.8)
        fault = time.monotonic()
        proxy.delay = 0.5 if mischief == "latency" else 0.0
        proxy.slice = 1 if mischief == "slices" else 0
        proxy.hole = mischief == "hole"
        for _ in range(8):
            if mischief == "resets":
                stage.mangling.reset()
            time.sleep(0.2)
        back = time.monotonic()
        proxy.delay, proxy.slice, proxy.hole = 0.0, 0, False
        if mischief == "hole":
            stage.mangling.reset()
        time.sleep(0.8)
    stage.unharmed(work, fault, back)
    assert stage.errors("desync") == 0
    kinds = {"latency": "timeout", "hole": "timeout", "resets": "reset"}
    if mischief in kinds:
        assert stage.errors(kinds[mischief]) + stage.errors("closed") > 0


# --- F6 ------------------------------------------------------------------------------------------------------------------


def test_f6_unsafe_policy(provider: Provider, tmp_path: Path) -> None:
    """A Redis that evicts, or forgets when it is killed, is said so by the command, the metric and the admin port's readiness."""
    options = {"maxmemory_policy": "allkeys-lru", "appendonly": "no"}
    with RealRedis(tmp_path / "redis", **options) as server, gateway_on(server.url, provider) as gateway:
        told = gateway.cli("store", status=None)
        assert told.returncode != 0
        load.until(lambda: load.numbers(gateway).get("redis_unsafe_config") == 1, 5, "the metric")
        readiness = gateway.get(gateway.admin + "/readyz")[1].decode()
        for word in ("allkeys-lru", "appendonly is off"):
            assert word in told.stdout + told.stderr
            assert word in readiness
        assert load.ask(gateway, "r").status == 200


# --- F7, F8 --------------------------------------------------------------------------------------------------------------


def test_f7_misconf(stage: Stage, tmp_path: Path) -> None:
    """A Redis that refuses writes because its disk fails is as good as away; when it writes again it gets what it missed."""
    doomed, server, command = tmp_path / "doomed", stage.server, Command(stage.server)
    doomed.mkdir()
    with Load(stage.gateway, rate=100, name="f7") as work:
        time.sleep(0.8)
        command("CONFIG", "SET", "dir", str(doomed), "save", "3600 1000000")
        doomed.rmdir()
        command("BGSAVE")
        load.until(lambda: b"MISCONF" in server.ask("SET x 1"), 5, "the refusal")
        fault = time.monotonic()
        time.sleep(2.2)
        back = time.monotonic()
        assert stage.errors("misconf") > 0
        command("CONFIG", "SET", "dir", str(server.directory), "save", "")
        load.until(lambda: b"OK" in server.ask("SET x 1"), 5, "the recovery")
        time.sleep(0.8)
    stage.unharmed(work, fault, back)


@pytest.mark.parametrize("kind", ["readonly", "noauth", "loading", "moved"])
def test_f8_not_the_server_to_talk_to(stage: Stage, kind: str) -> None:
    """READONLY after a failover, NOAUTH, LOADING, MOVED: the log takes over, and within a second of the end Redis is back in use."""
    server, command = stage.server, Command(stage.server)
    with Load(stage.gateway, rate=100, name=f"f8-{kind}") as work:
        time.sleep(0.8)
        fault = time.monotonic()
        _begin(kind, server, command)
        time.sleep(1.2)
        back = time.monotonic()
        _end(kind, server, command)
        over = time.monotonic()
        time.sleep(1.5)
    stage.unharmed(work, fault, back)
    assert stage.errors(kind) > 0
    # Runs that began a second after the end went to the store at once: their plans were not written by a replay.
    late = {
        call.run for call in load.during(work.calls, over + 1.0, over + 1.5) if call.headers["x-trivet-bound"] == "new"
    }
    records = load.flags(stage.gateway.data_dir)
    assert late
    assert not [run for run in late if records[run]]


def _begin(kind: str, server: RealRedis, command: Command) -> None:
    if kind == "readonly":
        command("REPLICAOF", "127.0.0.1", "1")
    elif kind == "noauth":
        command("CONFIG", "SET", "requirepass", "secret")
        server.ask("AUTH secret\r\nCLIENT KILL TYPE normal SKIPME yes")
    elif kind == "loading":
        for number in range(40):
            command("SET", f"ballast:{number}", b"x" * 4096)
        command("BGREWRITEAOF")
        load.until(lambda: b"aof_rewrite_in_progress:0" in server.ask("INFO persistence"), 5, "the rewrite")
        keys = int(command("DBSIZE"))
        server.kill()
        server.options.update(key_load_delay=str(1_500_000 // keys), loading_process_events_interval_bytes="1024")
        threading.Thread(target=server.start).start()
    else:
        server.kill()
        server.options.update(cluster_enabled="yes", cluster_port=str(free_port()))
        server.start()


def _end(kind: str, server: RealRedis, command: Command) -> None:
    if kind == "readonly":
        command("REPLICAOF", "NO", "ONE")
    elif kind == "noauth":
        server.ask('AUTH secret\r\nCONFIG SET requirepass ""')
    elif kind == "loading":
        load.until(lambda: b"PONG" in server.ask("PING"), 15, "the end of loading")
        del server.options["key_load_delay"]
        command("CONFIG", "SET", "key-load-delay", "0")
    else:
        server.kill()
        del server.options["cluster_enabled"], server.options["cluster_port"]
        server.start()


# --- F9, F10 -------------------------------------------------------------------------------------------------------------


def test_f9_failover_that_loses_acknowledged_stamps(provider: Provider, server: RealRedis, tmp_path: Path) -> None:
    """Stamps that Redis acknowledged and lost are found by ticket and by log, though the pointer has moved, and put back."""
    earlier = tmp_path / "earlier"
    with gateway_on(server.url, provider) as gateway:
        second = load.promote(gateway)
        load.promote(gateway, FIRST)
        with Load(gateway, rate=100) as work:
            time.sleep(1.0)
            shutil.copytree(server.directory, earlier)
            time.sleep(1.5)
        runs = {call.run: call for call in work.calls if call.status == 200}
        by_ticket = load.ask(gateway, "by-ticket")
        acknowledged = set(load.stored(server.url))
        assert set(runs) <= acknowledged
        server.kill()
        shutil.rmtree(server.directory)
        shutil.copytree(earlier, server.directory)
        with _elsewhere(server):
            lost = acknowledged - set(load.stored(server.url))
            assert len(lost) > 20
            _move(Command(server), second)
        server.start()
        # Nobody waits for the replay: whichever comes first must find the same binding.
        again = load.ask(gateway, "", x_trivet_ticket=by_ticket.headers["x-trivet-ticket"])
        assert (again.status, again.model, again.headers["x-trivet-run"]) == (200, FIRST, "by-ticket")
        for run in sorted(lost & set(runs))[:20]:
            found = load.ask(gateway, run)
            assert (found.status, found.model, found.headers["x-trivet-bound"]) == (200, FIRST, "resumed"), run
        load.until(lambda: load.ask(gateway, f"new-{time.monotonic()}").model == SECOND, 5, "the new pointer")
        load.settled(gateway)
        assert load.total(load.numbers(gateway), "stamp_repaired_total") >= len(lost)
        assert acknowledged <= set(load.stored(server.url))
        after = load.stored(server.url)
        assert [run for run in runs if after[run].model != runs[run].model] == []


@contextlib.contextmanager
def _elsewhere(server: RealRedis) -> Iterator[None]:
    """Run the server on another port, where the gateway does not see it: the new primary before anybody is sent to it."""
    port = server.port
    server.port = free_port()
    server.start()
    try:
        yield
    finally:
        server.ask("SHUTDOWN NOSAVE")
        assert server.process is not None
        server.process.wait(10)
        server.port = port


def _move(command: Command, release: str) -> None:
    """Move the pointer as the control side does."""
    fields = command("HGETALL", f"trivet:alias:{{{ALIAS}}}") or command("HGETALL", f"trivet:alias:{ALIAS}")
    state = alias_state({k.decode(): v.decode() for k, v in zip(fields[::2], fields[1::2], strict=True)})
    lane = Lane(release, previous=(state.lanes["*"].release,))
    moved = msgspec.structs.replace(state, version=state.version + 1, lanes={"*": lane})
    assert command.move(moved, with_release=False)[0] == b"ok"


def test_f10_emptied(provider: Provider, server: RealRedis) -> None:
    """FLUSHALL under load: last-known pointers serve, nothing is re-seeded until an operator says so, stamps come back."""
    with gateway_on(server.url, provider) as gateway, load.connected(server.url) as client:
        load.promote(gateway)
        old = load.ask(gateway, "old")
        with Load(gateway, rate=100) as work:
            time.sleep(1.0)
            client.flushall()
            time.sleep(2.0)
            client.delete(*client.scan_iter("trivet:steps:*"), *client.scan_iter("trivet:journal:*"))
            time.sleep(0.5)
        assert [call for call in work.calls if call.status != 200] == []
        assert {call.model for call in work.calls} == {SECOND}
        load.settled(gateway)
        assert load.numbers(gateway)["store_lost"] == 1
        assert client.keys("trivet:alias:*") == []
        again = load.ask(gateway, "old")
        assert (again.model, again.headers["x-trivet-bound"]) == (old.model, "resumed")
        assert load.kept(provider, gateway.data_dir, server.url, work.calls) == []
        gateway.cli("store", "restore", "--reason", "test", "--yes")
        load.until(lambda: load.numbers(gateway)["store_lost"] == 0, 5, "the restored store")
        assert load.ask(gateway, "restored").model == SECOND
        client.flushall()
        load.until(lambda: load.numbers(gateway)["store_lost"] == 1, 5, "the loss")
        assert load.ask(gateway, "lost").model == SECOND
        gateway.cli("store", "bootstrap", "--reason", "test", "--yes")
        load.until(lambda: load.ask(gateway, f"b-{time.monotonic()}").model == FIRST, 10, "the first release again")
        load.until(lambda: load.numbers(gateway)["store_lost"] == 0, 5, "the end of the loss")
        # Runs that were bound keep what they are bound to, also by the store that forgot them.
        assert load.ask(gateway, "lost").model == SECOND
        assert load.ask(gateway, "old").model == SECOND
