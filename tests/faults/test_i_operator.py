"""Rows I1 to I3, I5 to I7 and I10: mistakes of those who run a gateway, and moves made while agents work."""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.core.binding.ticket import sign
from gateway.core.contract.run import Ticket
from tests.faults import load
from tests.faults.watch import House, Watch
from tests.gateway_process import ROOT, Gateway, running
from tests.provider import Provider, Received, Reply, completion
from tests.store.servers import RealRedis

OLD, NEW = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"
PROVIDER_KEY = "sk-operator-secret-0123456789"
STAMP_KEY = "stamp-key-of-two-nodes-0123456789abcdef"
RUNS = 100


def good(folder: Path, **changes: Any) -> dict[str, Any]:
    """A configuration that is fine."""
    return {
        "listen": "127.0.0.1:0",
        "admin": {"listen": "127.0.0.1:0"},
        "store": {"data_dir": str(folder / "data")},
        "providers": {"openai": {"base_url": "https://api.openai.com", "api_key": PROVIDER_KEY}},
        **changes,
    }


def trivet(
    folder: Path, *words: str, text: str = "", settings: dict[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb on a configuration file of its own."""
    config = folder / "gateway.yaml"
    config.touch(0o600)
    config.write_text(text or yaml.safe_dump(settings, sort_keys=False) if settings is not None or text else "")
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words, "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip


KEY_HASH = sha256(b"a key").hexdigest()
BROKEN = {
    "syntax": ("listen: [1, 2\n", "gateway.yaml:2"),
    "tabs": ("admin:\n\tlisten: x\n", "gateway.yaml:2"),
    "unknown": ("auth: none\nprovidres: {}\n", "gateway.yaml:2: providres"),
    "unknown-inside": ("admin:\n  listen: 127.0.0.1:0\n  port: 1\n", "gateway.yaml:3: admin.port"),
    "type": ("auth: none\nserve:\n  workers: many\n", "gateway.yaml:3: serve.workers"),
    "unit": ("serve:\n  drain: 3 parsecs\n", "gateway.yaml:2: serve.drain"),
    "word": ("auth: maybe\n", "gateway.yaml:1: auth"),
    "twice": ("auth: none\nlisten: 127.0.0.1:1\nauth: open\n", "gateway.yaml:3: auth"),
    "cycle": ("providers: &p\n  openai: *p\n", "providers.openai: refers to itself"),
    "key-twice": (
        f"auth: keys\nkeys:\n- {{sha256: {KEY_HASH}, tenant: a}}\n- {{sha256: {KEY_HASH}, tenant: b}}\n",
        "gateway.yaml:4: keys[1].sha256",
    ),
    "two-segments": ("segments:\n  x: [a]\n  y: [a]\n", "gateway.yaml:3: segments.y[0]"),
    "list": ("- a\n", "gateway.yaml:1"),
    "environment": (
        "providers:\n  openai:\n    base_url: ${NO_SUCH_VARIABLE}\n",
        "gateway.yaml:3: providers.openai.base_url",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_i1_start(tmp_path: Path, name: str) -> None:
    """A broken file is refused at the start with file, line and key, and nothing is started."""
    text, where = BROKEN[name]
    words = ("serve",) if name in ("unknown", "type") else ("check",)
    done = trivet(tmp_path, *words, text=text)
    assert done.returncode == 2, done
    assert where in done.stderr + done.stdout, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_i1_empty(tmp_path: Path) -> None:
    """An empty file is refused: it is more often a mishap than a wish."""
    done = trivet(tmp_path, "check")
    assert done.returncode == 2, done
    assert "gateway.yaml:1: is empty" in done.stderr


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A gateway with an alias whose pointer was moved once, so that a rollback has somewhere to go."""
    aliases = {
        "agent": {"first_release": {"model": f"openai/{OLD}"}},
        "careful": {"first_release": {"model": f"openai/{OLD}"}, "stakes": "high"},
    }
    with (
        Provider() as provider,
        running({"openai": provider.url}, aliases=aliases) as gateway,
        House(gateway, provider) as house,
    ):
        yield house


@pytest.fixture
def watch(house: House, request: pytest.FixtureRequest) -> Iterator[Watch]:
    """The same, watched during one test."""
    with house.watch(request.node.name) as watch:
        yield watch


def reloads(watch: Watch, text: str, word: str) -> None:
    """Put a new file in place and wait for the line that says what became of it."""
    before = sum(word in str(event.get("event")) for event in watch.gateway.events if event.get("room") == "reload")
    new = watch.gateway.config.with_suffix(".new")
    new.touch(0o600)
    new.write_text(text)
    new.replace(watch.gateway.config)
    until = time.monotonic() + 6
    while (
        sum(word in str(event.get("event")) for event in watch.gateway.events if event.get("room") == "reload")
        < before + 2
    ):
        assert time.monotonic() < until, watch.gateway.log[-2000:]
        time.sleep(0.02)


def test_i1_reload(watch: Watch) -> None:
    """A broken file changes nothing in a gateway that runs: the old configuration stays whole, and the refusal is logged."""
    before = watch.gateway.config.read_text()
    versions = [key for key, value in watch.settle().items() if key.startswith("config_version") and value]
    for text in ("", "auth: keys\nkeys: [", before.replace("127.0.0.1:0", "0.0.0.0:0", 1), before + "\nnonsense: 1\n"):
        reloads(watch, text, "configuration refused")
        assert watch.chat("agent").status == 200
    problems = [event.get("problem", "") for event in watch.gateway.events if event.get("room") == "reload"]
    assert any("nonsense" in problem for problem in problems)
    last = watch.settle()
    assert [key for key, value in last.items() if key.startswith("config_version") and value] == versions
    reloads(watch, before + "unmanaged: refuse\n", "configuration in force")
    assert watch.chat("gpt-4o").code == "unpinned_model"
    reloads(watch, before, "configuration in force")
    assert watch.chat("gpt-4o").status == 200
    watch.expect("config_reload_total", 4, at_least=True, result="refused")
    watch.expect("config_reload_total", 2, at_least=True, result="applied")


def create(gateway: Gateway, **ask: Any) -> Any:
    """Ask the admin API for a release; status and document."""
    words = json.dumps(ask)
    link = http.client.HTTPConnection(gateway.admin.removeprefix("http://"), timeout=10)
    link.request("POST", "/api/v1/releases", words, {"content-type": "application/json"})
    got = link.getresponse()
    document = json.loads(got.read())
    link.close()
    return got.status, document


def test_i2_bad_releases(watch: Watch, tmp_path: Path) -> None:
    """A release that floats, or whose parts are missing or broken, is refused with the part that is wrong; nothing is stored."""
    gateway = watch.gateway
    before = gateway.json("release", "list")
    fine = f"openai/{OLD}"
    cases: list[tuple[dict[str, Any], str]] = [
        ({"model": "openai/gpt-4o"}, "model:"),
        ({"model": "openai/gpt-4o", "alias": "careful"}, "model:"),
        ({"model": "gpt-4o"}, "model:"),
        ({"model": "nowhere/gpt-4o-2024-08-06"}, "model:"),
        ({"model": fine, "prompt": {"digest": "zz"}}, "prompt:"),
        ({"model": fine, "prompt": {"digest": "0" * 64}}, "prompt:"),
        ({"model": fine, "tools": {"digest": "0" * 64}}, "tools:"),
        ({"model": fine, "tools": {"content": "{not json"}}, "tools:"),
        ({"model": fine, "params": {"set": {"model": "gpt-4o"}}}, "param"),
    ]
    for ask, part in cases:
        status, document = create(gateway, **ask)
        assert status == 400, (ask, document)
        assert part in document["error"]["message"], (ask, document)
    assert create(gateway, model=fine, base="rel_0000000000000000")[0] == 404
    missing = gateway.cli("release", "create", "--model", fine, "--prompt", str(tmp_path / "missing.md"), status=2)
    assert "missing.md" in missing.stderr
    assert gateway.json("release", "list") == before
    assert watch.no_calls()
    audit = [event for event in gateway.events if event.get("room") == "audit" and event["action"] == "release.create"]
    assert len(audit) >= len(cases) + 1
    assert {event["result"] for event in audit} >= {"unpinned_model", "bad_release"}


def test_i2_high_stakes(watch: Watch) -> None:
    """At high stakes nothing is promoted without a gate, and the answer says so."""
    status, made = create(watch.gateway, model=f"openai/{NEW}")
    assert status == 200
    done = watch.gateway.cli(
        "rollout", "promote", "careful", "--release", made["id"], "--reason", "x", "--override", "me: sure", status=1
    )
    assert "high" in done.stderr or "gate" in done.stderr
    assert watch.chat("careful").headers["x-trivet-model"] == f"openai/{OLD}"


async def slowly(received: Received, reply: Reply) -> None:
    """An answer that takes a moment."""
    await asyncio.sleep(0.05)
    await completion()(received, reply)


def test_i5_rollback_under_runs(watch: Watch) -> None:
    """During a rollback a hundred running runs keep their release to their end; runs that start a second later have the old one."""
    gateway = watch.gateway
    _, made = create(gateway, model=f"openai/{NEW}")
    gateway.cli(
        "rollout", "promote", "agent", "--release", made["id"], "--reason", "better", "--override", "me: a test"
    )
    watch.provider.default, before = slowly, watch.provider.default
    started, turned = threading.Barrier(RUNS + 1), threading.Event()
    stem = secrets.token_hex(4)

    def agent(number: int) -> set[str]:
        name = {"x-trivet-run": f"during-{stem}-{number}"}
        seen = [watch.chat("agent", name)]
        started.wait(30)
        seen += [watch.chat("agent", name) for _ in range(2)]
        turned.wait(30)
        seen.append(watch.chat("agent", name))
        assert {got.status for got in seen} == {200}
        assert [got.headers["x-trivet-bound"] for got in seen] == ["new", *["resumed"] * 3]
        return {got.headers["x-trivet-release"] for got in seen}

    with ThreadPoolExecutor(RUNS) as pool:
        agents = [pool.submit(agent, number) for number in range(RUNS)]
        started.wait(30)
        moved = gateway.json("rollback", "agent", "--reason", "worse")
        turned.set()
        releases = [running_one.result() for running_one in agents]
    watch.provider.default = before
    assert releases == [{made["id"]}] * RUNS
    acknowledged = moved["acknowledged"]
    assert acknowledged["silent"] == []
    assert max(acknowledged["milliseconds"].values()) < 1000
    fresh = watch.chat("agent", {"x-trivet-run": "after"})
    assert fresh.headers["x-trivet-model"] == f"openai/{OLD}"
    assert watch.chat("agent", {"x-trivet-run": f"during-{stem}-7"}).headers["x-trivet-release"] == made["id"]
    asked = [r.json["model"] for r in watch.provider.requests[watch.calls :]]
    assert (asked.count(NEW), asked.count(OLD)) == (4 * RUNS + 1, 1)
    assert {r["run"] for r in gateway.json("release", "runs", made["id"])["runs"]} >= {
        f"during-{stem}-{n}" for n in range(RUNS)
    }

    def told() -> bool:
        active = {
            key: value
            for key, value in watch.settle().items()
            if key.startswith("active_release") and "alias=agent" in key
        }
        stable = [key for key in active if fresh.headers["x-trivet-release"] in key]
        return bool(stable) and [key for key, value in active.items() if value] == stable

    load.until(told, 5, "the metric of the release that is active")


def test_i3_promotion_without_a_go(watch: Watch) -> None:
    """Without a GO nothing is promoted but on a name, which stays in the history; at high stakes not on a name either. Audit log and
    metrics tell how each ended."""
    gateway = watch.gateway
    _, made = create(gateway, model=f"openai/{NEW}")
    words = ("--release", made["id"], "--reason", "hurry")
    refused = gateway.cli("rollout", "promote", "agent", *words, status=1)
    assert "aliases.agent.gate" in refused.stderr
    gateway.cli("rollout", "promote", "careful", *words, "--override", "me", status=1)
    assert watch.chat("agent").headers["x-trivet-model"] == f"openai/{OLD}"
    forced = gateway.json("rollout", "promote", "agent", *words, "--override", "me")
    assert "no GO" in forced["override"] and "me: hurry" in forced["override"]
    newest = gateway.json("alias", "history", "agent", "--limit", "1")[0]
    assert (newest["action"], newest["override"]) == ("promote", forced["override"])
    gateway.cli("rollback", "agent", "--reason", "tidy")
    audit = [event for event in gateway.events if event.get("room") == "audit" and event["action"] == "rollout.promote"]
    assert [event["result"] for event in audit][-3:] == ["gate_not_green", "gate_not_green", "done"]
    watch.expect("promotions_total", 2, at_least=True, result="gate_not_green")
    watch.expect("promotions_total", 1, at_least=True, result="done")


URLS = {
    "plain-http": "http://api.example.com",
    "private": "https://10.0.0.8",
    "loopback": "https://127.0.0.1:8443",
    "localhost": "https://localhost",
    "link-local": "https://169.254.1.1",
    "decimal": "https://2130706433",
    "hex": "https://0x7f000001",
    "short": "https://127.1",
    "octal": "https://0177.0.0.1",
    "mapped": "https://[::ffff:127.0.0.1]",
    "six": "https://[::1]",
    "internal": "https://llm.internal",
    "scheme": "ftp://api.example.com",
    "none": "api.example.com",
}
NEVER = {
    "metadata": "http://169.254.169.254",
    "metadata-name": "http://metadata.google.internal",
    "user": "https://me:hunter2-secret@api.example.com",
    "query": "https://api.example.com/?x=1",
    "dots": "https://api.example.com/a/../b",
}


def test_i6_provider_urls(tmp_path: Path) -> None:
    """A provider that is plain http, private, a metadata service, or oddly written is refused unless it is allowed by name."""
    given = {name: {"base_url": url, "api_key": "x"} for name, url in {**URLS, **NEVER}.items()}
    done = trivet(tmp_path, "check", settings=good(tmp_path, providers=given))
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for name in given:
        assert f"providers.{name}.base_url" in said, name
    assert "hunter2" not in said
    allowed = {
        name: {**given[name], "allow_private": True}
        for name in ("plain-http", "private", "loopback", "localhost", "internal", "six")
    }
    done = trivet(tmp_path, "check", settings=good(tmp_path, providers=allowed))
    assert done.returncode == 0, done.stderr
    never = {name: {**given[name], "allow_private": True} for name in NEVER}
    done = trivet(tmp_path, "serve", settings=good(tmp_path, providers=never))
    assert done.returncode == 2
    assert all(f"providers.{name}.base_url" in done.stderr for name in never)
    assert "hunter2" not in done.stderr


def test_i7_secrets_stay_secret(watch: Watch, tmp_path: Path) -> None:
    """A readable file with a key in it is warned about, and no verb, view or refusal ever prints the key."""
    settings = good(tmp_path, stamp_keys=[STAMP_KEY], auth="none")
    said = [trivet(tmp_path, "check", settings=settings)]
    (tmp_path / "gateway.yaml").chmod(0o644)
    exposed = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--config", str(tmp_path / "gateway.yaml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert exposed.returncode == 0
    assert "every user of this machine may read" in exposed.stdout + exposed.stderr
    said.append(exposed)
    for wrong in ({"api_key": [PROVIDER_KEY]}, {"apikey": PROVIDER_KEY}, {"timeouts": PROVIDER_KEY}, {PROVIDER_KEY: 1}):
        bad = {"openai": {"base_url": "https://api.openai.com", "api_key": PROVIDER_KEY, **wrong}}
        done = trivet(tmp_path, "check", settings={**settings, "providers": bad})
        assert done.returncode == 2
        if PROVIDER_KEY not in wrong:
            said.append(done)
    said += [
        watch.gateway.cli(*words, status=None) for words in (("--help",), ("serve", "--help"), ("status",), ("store",))
    ]
    for done in said:
        assert PROVIDER_KEY not in done.stdout + done.stderr, done.args
        assert STAMP_KEY not in done.stdout + done.stderr, done.args
    for path in ("/api/v1/config", "/api/v1/status", "/api/v1/openapi.json", "/readyz", "/metrics"):
        watch.seen.append(watch.gateway.get(watch.gateway.admin + path)[1])


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRedis]:
    """A store of two nodes."""
    with RealRedis(tmp_path_factory.mktemp("store")) as server:
        yield server


def test_i10_two_nodes(shared_store: RealRedis) -> None:
    """Two nodes with different configurations show their versions, and a run goes on on either, whatever their clocks say."""
    aliases = {"agent": {"first_release": {"model": f"openai/{OLD}"}}}
    common: dict[str, Any] = {"store": {"redis": shared_store.url}, "stamp_keys": [STAMP_KEY], "aliases": aliases}
    with (
        Provider() as provider,
        running({"openai": provider.url}, **common) as first,
        running({"openai": provider.url}, **common, unmanaged="refuse") as second,
    ):
        one, two = Watch(first, provider), Watch(second, provider)
        shown = [json.loads(node.get(node.admin + "/api/v1/config")[1])["version"] for node in (first, second)]
        assert shown[0] != shown[1]
        for node, version in ((one, shown[0]), (two, shown[1])):
            assert node.settle()[f"config_version{{version={version}}}"] == 1
        bound = one.chat("agent", {"x-trivet-run": "wanders"})
        made = first.cli("release", "create", "--model", f"openai/{NEW}").stdout.strip()
        first.cli("rollout", "promote", "agent", "--release", made, "--reason", "x", "--override", "me: a test")
        for node, headers in (
            (two, {"x-trivet-run": "wanders"}),
            (two, {"x-trivet-ticket": bound.headers["x-trivet-ticket"]}),
            (one, {"x-trivet-run": "wanders", "x-trivet-resume": "required"}),
        ):
            got = node.chat("agent", headers)
            assert (got.status, got.headers["x-trivet-bound"], got.headers["x-trivet-release"]) == (
                200,
                "resumed",
                bound.headers["x-trivet-release"],
            )
        assert two.chat("agent").headers["x-trivet-release"] == made
        now = time.time_ns() // 1_000_000
        for skew in (-2 * 3_600_000, -240_000, 240_000, 2 * 3_600_000):
            ticket = Ticket(
                "default", f"skewed{skew}", "agent", bound.headers["x-trivet-release"], f"openai/{OLD}", now + skew
            )
            got = two.chat("agent", {"x-trivet-ticket": sign(ticket, sha256(STAMP_KEY.encode()).digest())})
            assert (got.status, got.headers["x-trivet-release"]) == (200, bound.headers["x-trivet-release"]), (
                skew,
                got.body,
            )
        workers = json.loads(first.get(first.admin + "/api/v1/workers")[1])
        assert len({beat["worker"] for beat in workers}) == 2
        assert {beat["alive"] for beat in workers} == {True}
