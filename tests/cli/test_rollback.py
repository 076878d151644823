"""`trivet rollback`: one write, measured; with the background process dead; with the store dead."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.cli.conftest import MODEL, call
from tests.gateway_process import Gateway, running
from tests.provider import Provider

NEW = "openai/gpt-4o-2024-11-20"


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Two workers; `support` starts on MODEL."""
    with Provider() as provider:
        aliases = {"support": {"first_release": {"model": MODEL}}}
        with running({"openai": provider.url}, aliases=aliases, serve={"workers": 2}) as made:
            yield made


@pytest.fixture
def promoted(gateway: Gateway) -> Gateway:
    """The alias was promoted from MODEL to NEW; run `r-old` was bound before that, `r-new` after it."""
    new = gateway.json("release", "create", "--model", NEW)["id"]
    call(gateway, "support", "r-old")
    gateway.cli("rollout", "promote", "support", "--release", new, "--reason", "t", "--override", "me")
    call(gateway, "support", "r-new")
    return gateway


def model(gateway: Gateway, run: str) -> str:
    """Which model answers a run."""
    return call(gateway, "support", run).headers["x-trivet-model"]


def test_i5_running_runs_stay_and_new_ones_go_back(promoted: Gateway) -> None:
    """I5: new runs get the old release within a second on every worker, running ones stay on their stamp."""
    for number in range(50):
        call(promoted, "support", f"running-{number}")
    moved = promoted.json("rollback", "support", "--reason", "worse answers")
    assert moved["changed"]
    assert len(moved["acknowledged"]["milliseconds"]) == 2
    assert max(moved["acknowledged"]["milliseconds"].values()) < 1000
    assert moved["acknowledged"]["silent"] == []
    assert {model(promoted, f"running-{number}") for number in range(50)} == {NEW}
    assert {model(promoted, f"fresh-{number}") for number in range(20)} == {MODEL}


def test_prints_before_after_and_time(promoted: Gateway) -> None:
    """For a person: both releases, and how long all workers took. Twice is harmless (I4)."""
    done = promoted.shell("rollback", "support", "--reason", "worse")
    assert "before" in done.stdout
    assert "2 workers confirmed within" in done.stdout
    assert "nothing to do" in promoted.cli("rollback", "support", "--reason", "worse").stdout


def test_i4_only_to_what_was_stable(promoted: Gateway) -> None:
    """I4: a release that was never stable there is refused with the list of those that were."""
    stranger = promoted.json("release", "create", "--model", "openai/gpt-4o-2024-05-13")["id"]
    old = promoted.json("alias", "show", "support")["state"]["lanes"]["*"]["previous"][0]
    done = promoted.cli("rollback", "support", "--to", stranger, "--reason", "x", status=1)
    assert old in done.stderr


def test_stop_runs(promoted: Gateway) -> None:
    """With --stop-runs the bad release's runs end with 409, never another model."""
    bad = promoted.json("alias", "show", "support")["state"]["lanes"]["*"]["release"]
    promoted.cli("rollback", "support", "--reason", "dangerous", "--stop-runs")
    body = {"model": "support", "messages": []}
    answer = httpx.post(f"{promoted.base}/v1/chat/completions", json=body, headers={"x-trivet-run": "r-new"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "release_blocked")
    assert model(promoted, "r-old") == MODEL
    promoted.cli("release", "unblock", bad, "--reason", "for the next test")


def test_works_with_the_background_process_dead(promoted: Gateway) -> None:
    """The command says that the admin port is away, works on the store, and still measures every worker."""
    pid = promoted.kill("control", signal.SIGKILL)
    done = promoted.cli("rollback", "support", "--reason", "worse", "--direct")
    assert "2 workers confirmed within" in done.stdout
    assert model(promoted, "fresh") == MODEL
    assert promoted.json("alias", "history", "support", "--direct")[0]["actor"].startswith("local")
    promoted.wait_restarted("control", pid)


def test_silent_worker_is_named(promoted: Gateway) -> None:
    """A worker that does not confirm is named and the exit code is 6; it follows when it wakes."""
    promoted.kill("live-1", signal.SIGSTOP)
    try:
        done = promoted.cli("rollback", "support", "--reason", "worse", status=6)
        assert "live-1" in done.stderr
        assert "1 worker confirmed" in done.stdout
    finally:
        promoted.kill("live-1", signal.SIGCONT)


def test_local_with_the_store_dead(promoted: Gateway) -> None:
    """With the store dead, --local moves the workers of this host by file within a second; while it answers it is refused."""
    assert "without --local" in promoted.cli("rollback", "support", "--local", "--reason", "x", status=1).stderr
    promoted.kill("store", signal.SIGSTOP)
    try:
        # An operator's shell may name the admin port for good; that must not be in the way.
        done = promoted.cli(
            "rollback", "support", "--local", "--reason", "store is down", TRIVET_ADMIN_URL=promoted.admin
        )
        assert "this host" in done.stdout
        until = time.monotonic() + 3
        while model(promoted, f"fresh-{time.monotonic()}") != MODEL:
            assert time.monotonic() < until
    finally:
        promoted.kill("store", signal.SIGCONT)
    until = time.monotonic() + 15
    while promoted.json("alias", "history", "support")[0]["action"] != "local":
        assert time.monotonic() < until, promoted.log[-2000:]
        time.sleep(0.1)


def test_local_excludes_the_rest(promoted: Gateway) -> None:
    """--local is this host's file alone."""
    promoted.cli("rollback", "support", "--local", "--stop-runs", "--reason", "x", status=2)
    promoted.cli("rollback", "support", "--local", "--admin", promoted.admin, "--reason", "x", status=2)
