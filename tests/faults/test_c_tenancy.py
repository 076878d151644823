"""Rows C1 to C7: who is asking, and that nobody ever gets anything of somebody else."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import pytest
import redis
import yaml

from tests.faults.watch import House, Raw, Watch, is_openai_error
from tests.gateway_process import ROOT, running
from tests.provider import Provider, Received, Reply, answer, chat_body, completion, events, head, stream

KEYS = {"a": "tk-tenant-a-0123456789abcdef", "b": "tk-tenant-b-0123456789abcdef"}
ADMIN_TOKEN = "ta-operator-0123456789abcdef"
MODEL = "gpt-4o-2024-08-06"
CREDENTIALS = {"a": "sk-credential-of-a", "b": "sk-credential-of-b"}
REQUESTS, REQUESTS_SLOW = 300, 10_000
CHAT = "/v1/chat/completions"


def key_settings(tenants: str = "ab") -> list[dict[str, Any]]:
    """The `keys` of the configuration for these tenants."""
    return [{"sha256": sha256(KEYS[t].encode()).hexdigest(), "tenant": t, "rights": ["pass-through"]} for t in tenants]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """Two tenants, each calling the provider with its own credential; an admin port with a token."""
    aliases = {f"agent-{t}": {"first_release": {"model": f"openai/{MODEL}"}} for t in "ab"}
    tokens = [{"name": "op", "sha256": sha256(ADMIN_TOKEN.encode()).hexdigest(), "rights": ["read"]}]
    with (
        Provider() as provider,
        running(
            {"openai": {"base_url": provider.url, "api_key": "client", "allow_private": True}},
            auth="keys",
            keys=key_settings(),
            aliases=aliases,
            unmanaged="pass",
            admin={"tokens": tokens},
            environment={"TRIVET_ADMIN_TOKEN": ADMIN_TOKEN},
        ) as gateway,
        House(gateway, provider, KEYS["a"], secrets=(*KEYS.values(), ADMIN_TOKEN, *CREDENTIALS.values())) as house,
    ):
        yield house


@pytest.fixture
def watch(house: House, request: pytest.FixtureRequest) -> Iterator[Watch]:
    """The same, watched during one test."""
    with house.watch(request.node.name) as watch:
        yield watch


def almost(key: str) -> str:
    """A key that differs in its last character only."""
    return key[:-1] + ("0" if key[-1] != "0" else "1")


WRONG = [
    "wrong",
    almost(KEYS["a"]),
    "' OR 1=1 --",
    "x" * 8000,
    KEYS["a"] + " ",
    KEYS["a"].upper(),
    "%00",
    "é".encode().decode("latin-1"),
]


def test_c1_wrong_keys(watch: Watch) -> None:
    """Without a good key there is one answer, in every header, and the provider is not called."""
    bodies = set()
    got = watch.chat(key="")
    assert (got.status, got.code) == (401, "invalid_api_key")
    for wrong in WRONG:
        for name in ("authorization", "x-api-key", "x-goog-api-key", "api-key", "x-trivet-key"):
            value = f"Bearer {wrong}" if name == "authorization" else wrong
            if wrong.endswith(" "):
                continue  # white space around a value is no part of it
            got = watch.ask("POST", CHAT, {"model": MODEL}, {name: value}, key="")
            assert got.status == 401, (name, wrong)
            assert is_openai_error(got)
            bodies.add(got.body)
    assert len(bodies) == 1
    assert watch.ask("GET", "/trivet/runs/x", key="").status == 401
    assert watch.ask("GET", "/openai/files", key="").status == 401
    assert watch.no_calls()
    lines = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a\r\nx-y: %b\r\n\r\n"
    assert watch.raw(lines % b"\r\n\r\nz").status == 401
    watch.expect("auth_total", 1 + 5 * (len(WRONG) - 1) + 3, result="refused")


def test_c1_takes_the_same_time(watch: Watch) -> None:
    """A key that differs in its last character costs as long as one that is wrong from the first."""
    spent: dict[str, list[float]] = {almost(KEYS["a"]): [], "completely-different-key-012": []}
    for _ in range(60):
        for key, times in spent.items():
            began = time.perf_counter()
            assert watch.chat(key=key).status == 401
            times.append(time.perf_counter() - began)
    first, last = (statistics.median(times) for times in spent.values())
    assert abs(first - last) < 0.5 * max(first, last)
    watch.expect("auth_total", 120, result="refused")


async def mixed(received: Received, reply: Reply) -> None:
    """Answer with the prompt and the credential that came, sometimes slowly, as a stream, or not to the end."""
    asked = received.json
    said = f"{asked['messages'][0]['content']}|{received.fields['authorization']}"
    mood = int(sha256(received.body).hexdigest(), 16) % 10
    await asyncio.sleep(0.002 * (mood % 4))
    if asked.get("stream"):
        await stream(events([said], asked["model"]), end="cut" if mood == 9 else "clean")(received, reply)
    elif mood == 9:
        await reply.write(head(200, {"content-type": "application/json", "content-length": "500"}) + said.encode())
        reply.close()
    else:
        await answer(chat_body(said, asked["model"]))(received, reply)


def one(watch: Watch, number: int, seed: int) -> str:
    """One request of a tenant; what became of it."""
    dice = random.Random(f"{seed}-{number}")
    tenant = dice.choice("ab")
    tag = f"tenant-{tenant}-{number}"
    body = {"model": f"agent-{tenant}", "messages": [{"role": "user", "content": tag}], "stream": dice.random() < 0.4}
    data = json.dumps(body).encode()
    lines = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nx-trivet-key: {KEYS[tenant]}\r\nAuthorization: Bearer {CREDENTIALS[tenant]}\r\n"
    lines += (
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\nx-trivet-run: shared-{number % 40}\r\n\r\n"
    )
    with Raw(watch.port, 20) as link:
        link.send(lines.encode() + data)
        if dice.random() < 0.15:
            time.sleep(dice.random() * 0.01)
            return "cancelled"
        try:
            got = link.answer()
        except EOFError:
            got = None
        seen = link.data if got is None else got.raw
    other = "b" if tenant == "a" else "a"
    assert CREDENTIALS[other].encode() not in seen
    assert f"tenant-{other}".encode() not in seen
    assert f"agent-{other}".encode() not in seen
    if got is None or got.status == 502:
        return "cut"
    assert got.status == 200, got.body
    assert got.headers["x-trivet-alias"] == f"agent-{tenant}"
    assert tag.encode() + b"|Bearer " + CREDENTIALS[tenant].encode() in got.body
    return "whole"


def interleave(watch: Watch, count: int, seed: int) -> None:
    """Many requests of two tenants at once, some cancelled, some cut, while the store stalls now and then."""
    watch.secrets -= {secret.encode() for secret in CREDENTIALS.values()}  # the provider says them back here
    ended = threading.Event()

    def stall() -> None:
        while not ended.wait(0.3):
            watch.gateway.kill("store", signal.SIGSTOP)
            ended.wait(0.12)
            watch.gateway.kill("store", signal.SIGCONT)

    before, watch.provider.default = watch.provider.default, mixed
    stalls = threading.Thread(target=stall)
    stalls.start()
    try:
        with ThreadPoolExecutor(12) as pool:
            became = list(pool.map(lambda number: one(watch, number, seed), range(count)))
    finally:
        ended.set()
        stalls.join()
        watch.provider.default = before
    assert became.count("whole") > count // 2
    assert became.count("cancelled") > 0 < became.count("cut")
    for received in watch.provider.requests[watch.calls :]:
        tenant = received.json["messages"][0]["content"].split("-")[1]
        assert received.fields["authorization"] == f"Bearer {CREDENTIALS[tenant]}"


def stamps(watch: Watch) -> dict[tuple[str, str], dict[str, Any]]:
    """Every stamp in the store by tenant and run."""
    found = {}
    store = redis.Redis(unix_socket_path=str(watch.gateway.data_dir / "store" / "redis.sock"))
    with store:
        for key in store.scan_iter("trivet:run:*"):
            for name, value in store.hgetall(key).items():  # type: ignore[union-attr]
                if name.startswith(b"stamp:"):
                    stamp = json.loads(value)
                    assert name == b"stamp:" + stamp["alias"].encode()
                    found[stamp["tenant"], stamp["run"]] = stamp
    return found


def nothing_mixed(watch: Watch, count: int) -> None:
    """Stamps, journals and counters are each of one tenant."""
    until = time.monotonic() + 10
    while len({run for _, run in stamps(watch) if run.startswith("shared-")}) < min(40, count):
        assert time.monotonic() < until, "the log was not replayed"
        time.sleep(0.1)
    for (tenant, run), stamp in stamps(watch).items():
        if run.startswith("shared-"):
            assert stamp["alias"] == f"agent-{tenant}"
    for tenant in "ab":
        shown = watch.ask("GET", "/trivet/runs/shared-1", key=KEYS[tenant])
        if shown.status == 200:
            assert shown.json["aliases"].keys() == {f"agent-{tenant}"}
    sent = [r.json["messages"][0]["content"].split("-")[1] for r in watch.provider.requests[watch.calls :]]
    for tenant in "ab":
        watch.expect("requests_total", sent.count(tenant), at_least=True, alias=f"agent-{tenant}")


def test_c2_two_tenants(watch: Watch) -> None:
    """Two tenants that use the same run ids at once never see, bind or count anything of each other."""
    interleave(watch, REQUESTS, 1)
    nothing_mixed(watch, REQUESTS)
    watch.seen.clear()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_c2_two_tenants_ten_thousand(watch: Watch) -> None:
    """The same ten thousand times."""
    interleave(watch, REQUESTS_SLOW, 2)
    nothing_mixed(watch, REQUESTS_SLOW)
    watch.seen.clear()


def test_c3_runs_of_others(watch: Watch) -> None:
    """A run of another tenant is a run nobody knows: one and the same 404 for reading, reporting and restarting."""
    assert watch.chat("agent-a", {"x-trivet-run": "private"}).status == 200
    known = watch.ask("GET", "/trivet/runs/private")
    assert (known.status, list(known.json["aliases"])) == (200, ["agent-a"])
    calls = len(watch.provider.requests)
    for method, action, body in (("GET", "", None), ("POST", "/outcome", {"good": 1}), ("POST", "/restart", {})):
        answers = [
            watch.ask(method, f"/trivet/runs/{run}{action}", body, key=KEYS["b"])
            for run in ("private", "nobody-has-it")
        ]
        assert {got.status for got in answers} == {404}
        assert answers[0].body == answers[1].body
    for wild in (
        "%25",
        "*",
        "?",
        "%3F",
        "[a-z]rivate",
        "priv%2A",
        "priva*",
        "private%20",
        "..",
        "%2e%2e",
        "private%00",
        "private/x",
    ):
        got = watch.ask("GET", f"/trivet/runs/{wild}")
        assert got.status in (400, 404, 405), (wild, got.status)
        assert b"agent-a" not in got.body
    assert (
        watch.chat("agent-a", {"x-trivet-resume": "required", "x-trivet-run": "private"}, key=KEYS["b"]).code
        == "run_stamp_missing"
    )
    assert len(watch.provider.requests) == calls
    watch.expect("stamp_missing_total", 1)


def test_c3_tool_calls_of_others(watch: Watch) -> None:
    """A tool-call id that another tenant was given links to nothing."""
    call = {"id": "call_secret0001", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    watch.provider.then(completion("", tool_calls=[call]))
    first = watch.chat("agent-a")
    messages = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_secret0001", "content": "x"},
    ]
    foreign = watch.chat("agent-b", key=KEYS["b"], messages=messages)
    own = watch.chat("agent-a", messages=messages)
    assert (foreign.status, foreign.headers["x-trivet-bound"]) == (200, "new")
    assert foreign.headers["x-trivet-run"] != first.headers["x-trivet-run"]
    assert (own.headers["x-trivet-run"], own.headers["x-trivet-bound"]) == (first.headers["x-trivet-run"], "resumed")


def test_c4_admin_routes(watch: Watch) -> None:
    """The admin API is not on the data port, and on its own port takes its own tokens only."""
    for path in ("/api/v1/status", "/metrics", "/api/v1/aliases", "/console", "/admin", "/openapi.json"):
        for key in ("", KEYS["a"], ADMIN_TOKEN):
            got = watch.ask("GET", path, key=key)
            assert got.status in (401, 404), (path, got.status)
    assert watch.ask("GET", "//api/v1/status").status == 400
    line = (
        b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1/api/v1/status?\r\nAuthorization: Bearer %b\r\n\r\n"
        % KEYS["a"].encode()
    )
    assert watch.raw(line).status == 400
    assert watch.no_calls()
    admin = watch.gateway.admin
    for token in ("", KEYS["a"], almost(ADMIN_TOKEN)):
        status, body = watch.gateway.get(
            admin + "/api/v1/status", {"authorization": f"Bearer {token}"} if token else None
        )
        assert status == 401
        watch.seen.append(body)
    assert watch.gateway.get(admin + "//api/v1/status")[0] in (401, 404)
    assert watch.gateway.get(admin + "/api/v1/status", {"host": "evil.example"})[0] in (401, 421)
    good = {"authorization": f"Bearer {ADMIN_TOKEN}"}
    assert watch.gateway.get(admin + "/api/v1/status", good)[0] == 200
    audit = [event for event in watch.gateway.events if event.get("room") == "audit"]
    assert any(event["result"] == "invalid_admin_token" for event in audit)


def test_c4_rights(watch: Watch) -> None:
    """A token without the right is told so and leaves an audit line; the pointer stays."""
    done = watch.gateway.cli("rollback", "agent-a", "--reason", "no right to", status=None)
    assert done.returncode == 4, done
    assert "rollback" in done.stderr
    audit = [event for event in watch.gateway.events if event.get("room") == "audit"]
    assert any((event["actor"], event["result"]) == ("op", "right_missing") for event in audit)


def test_c5_revoked_key(watch: Watch) -> None:
    """A key revoked in mid-stream lets its stream finish; the next request is refused within the second."""
    pieces = events([f"{i} " for i in range(30)], MODEL)
    watch.provider.then(stream(pieces, gap=0.1))
    body = json.dumps({"model": "agent-b", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    lines = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEYS['b']}\r\nContent-Length: {len(body)}\r\nx-trivet-run: streamed\r\n\r\n"
    with Raw(watch.port) as link:
        link.send(lines.encode() + body)
        assert link.more()
        watch.gateway.write_config({"keys": key_settings("a")})
        changed = time.monotonic()
        while watch.chat(key=KEYS["b"]).status != 401:
            assert time.monotonic() - changed < 2.5, "the key still works"
            time.sleep(0.05)
        assert watch.chat(key=KEYS["a"]).status == 200
        assert link.answer().body == b"".join(pieces)
    assert stamps(watch)["b", "streamed"]["alias"] == "agent-b"
    watch.gateway.write_config({"keys": key_settings("ab")})
    until = time.monotonic() + 3
    while watch.chat(key=KEYS["b"]).status != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    watch.expect("auth_total", 1, at_least=True, result="refused")
    watch.expect("config_reload_total", 2, at_least=True, result="applied")


def test_c6_cookies(watch: Watch) -> None:
    """A provider's cookies reach no client, and a client's no provider: one tenant's session is never another's."""
    watch.provider.then(
        answer(chat_body("x", MODEL), headers={"set-cookie": "session=tenant-a; Path=/", "x-kept": "1"})
    )
    first = watch.chat(key=KEYS["a"])
    assert (first.status, first.headers["x-kept"]) == (200, "1")
    assert "set-cookie" not in first.headers
    assert watch.chat(headers={"cookie": "mine=1"}, key=KEYS["b"]).status == 200
    assert "cookie" not in watch.provider.requests[-1].fields


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_c6_redirects(watch: Watch, status: int) -> None:
    """A redirect to another origin is an error of the provider's, and nobody connects there."""
    with Provider() as target:
        watch.provider.then(answer(b"", status, {"location": f"{target.url}/v1/chat/completions"}))
        got = watch.chat(headers={"authorization": f"Bearer {CREDENTIALS['a']}", "x-trivet-key": KEYS["a"]}, key="")
        assert (got.status, got.code) == (502, "upstream_redirect")
        assert target.url.encode() not in got.body
        assert target.connections == 0
    watch.expect("upstream_errors_total", 1, kind="redirect")


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0", ":8080", "gateway.example:80"])
def test_c7_open_without_auth(tmp_path: Any, listen: str) -> None:
    """Listening beyond this machine without auth is refused at the start, with what to do."""
    config = tmp_path / "gateway.yaml"
    settings = {"listen": listen, "admin": {"listen": "127.0.0.1:0"}, "store": {"data_dir": str(tmp_path / "data")}}
    config.write_text(yaml.safe_dump({**settings, "providers": {"openai": {"base_url": "https://api.openai.com"}}}))
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "serve", "--config", str(config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2, done
    assert "gateway.yaml:2: listen" in done.stderr or "listen" in done.stderr
    if not listen.startswith(":"):
        assert "auth: keys" in done.stderr
        assert "auth: open" in done.stderr
    assert not (tmp_path / "data" / "store").exists()
