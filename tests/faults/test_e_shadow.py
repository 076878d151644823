"""Rows E10 to E13: candidates that refuse, hang, drip, flood or lie, a shadow process that dies, and traffic that must not be repeated.

In every case the live answer is the same byte for byte and nobody waits for the shadow; each job ends once. How long live
requests take at a rate is shown by the bench (`python -m bench shadow`).
"""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults import load
from tests.faults.shadows import BACKGROUND, CALLER, CANDIDATE, JOBS, LIVE, STATE, Stage, late, send, stage
from tests.faults.watch import files
from tests.gateway_process import port_of
from tests.provider import Received, Reply, answer, hang, head, raw

PAIRS = 10
SLACK = 0.005
"""Seconds that a live request may take longer in the median; the bench holds it to far less."""


async def drips(_received: Received, reply: Reply) -> None:
    """A byte a second."""
    await reply.write(head(200, {"content-type": "application/json", "content-length": "1000"}))
    while True:
        await reply.write(b" ")
        await asyncio.sleep(1)


async def endless(_received: Received, reply: Reply) -> None:
    """A stream without an end."""
    await reply.write(head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked"}))
    while True:
        await reply.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await asyncio.sleep(0)


async def near_its_limit(received: Received, reply: Reply) -> None:
    """A good answer of a provider that will hardly take another request."""
    quota = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "1"}
    body = json.dumps({"choices": []}).encode()
    await answer(body, headers={**quota, "x-ratelimit-reset-requests": "30s"})(received, reply)


TARGETS = {
    "hangs": hang,
    "drips": drips,
    "endless": endless,
    "fails": answer({"error": {"message": "no", "type": "server_error", "param": None, "code": None}}, 500),
    "corrupt": raw(head(200, {"content-type": "application/json", "content-length": "5"}) + b'{"a":'),
    "broken": raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", close=True),
    "huge": answer(b"[" + b" " * (1 << 20) + b"]"),
    "late": late,
    "low": near_its_limit,
}


@pytest.fixture(scope="module")
def at() -> Iterator[Stage]:
    """One gateway for the rows: a candidate per mischief, and one that nobody can reach."""
    with stage(TARGETS, refuses="refuses", shadow={"job_bytes": 64 << 10, "slots": 16}) as made:
        made.ask("plain")
        yield made


@pytest.mark.parametrize("case", ["refuses", "hangs", "drips", "endless", "fails", "corrupt", "broken", "huge"])
def test_e10_live_is_as_without_a_shadow(at: Stage, case: str) -> None:
    """E10: whatever the candidate does, live bytes are the same, no request waits, and each job ends once, counted."""
    took: dict[str, list[float]] = {"plain": [], case: []}
    with at.link() as link:
        for number in range(PAIRS):
            said = {}
            for alias in ("plain", case):
                begun = time.monotonic()
                said[alias] = send(link, alias, stream=bool(number % 2))
                took[alias].append(time.monotonic() - begun)
            assert said[case] == said["plain"] and said[case][0] == 200
    assert statistics.median(took[case]) <= statistics.median(took["plain"]) + SLACK, took
    words = at.ended(case, PAIRS)
    allowed = {"skip:unreachable"} if case == "refuses" else {"pair:regression", "skip:unreachable"}
    assert set(words) <= allowed, words


def test_e11_a_killed_shadow_process(at: Stage) -> None:
    """E11: killed with calls at hand, live goes on meanwhile and every exchange becomes one pair."""
    for _ in range(4):
        assert at.ask("late")[0] == 200
    pid = at.gateway.kill("shadow")
    for _ in range(4):
        assert at.ask("late")[0] == 200
    at.gateway.wait_restarted("shadow", pid)
    assert at.ended("late", 8) == {"pair:identical": 8}


def test_e11_a_frozen_shadow_process(at: Stage) -> None:
    """E11: stopped in the middle, it holds up nothing; let go, it brings home what live finished long ago."""
    before = sum(at.counts("late").values())
    at.ask("late")
    at.gateway.kill("shadow", signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert [at.ask("late")[0] for _ in range(6)] == [200] * 6
        assert time.monotonic() - begun < 2.0
    finally:
        at.gateway.kill("shadow", signal.SIGCONT)
    assert at.ended("late", before + 7) == {"pair:identical": before + 7}


FILE = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]


@pytest.mark.parametrize(
    ("members", "word"),
    [
        ({"web_search_options": {}}, "hosted_tool"),
        ({"tools": [{"type": "web_search"}]}, "hosted_tool"),
        ({"messages": FILE}, "files"),
        ({"path": "/v1/responses", "background": True}, "background"),
        ({"path": "/v1/responses", "tools": [{"type": "mcp", "server_url": "https://mcp.example"}]}, "hosted_tool"),
    ],
)
def test_e12_what_acts_is_asked_once(at: Stage, members: dict[str, Any], word: str) -> None:
    """E12: a request that acts at the provider reaches it once, and no candidate; the skip says why."""
    before, live, asked = at.counts("late"), len(at.live.requests), len(at.target.requests)
    path = members.get("path", "/v1/chat/completions")
    what = {"input": "Hi."} if path == "/v1/responses" else {"messages": [{"role": "user", "content": "Hi."}]}
    body = {"model": "late", **what, **{name: value for name, value in members.items() if name != "path"}}
    link = http.client.HTTPConnection("127.0.0.1", port_of(at.gateway.base), timeout=20)
    link.request("POST", path, json.dumps(body), {"content-type": "application/json", "x-api-key": CALLER})
    assert link.getresponse().status == 200
    link.close()
    words = at.ended("late", sum(before.values()) + 1)
    assert words.get(f"skip:{word}", 0) == before.get(f"skip:{word}", 0) + 1, words
    assert (len(at.live.requests), len(at.target.requests)) == (live + 1, asked)


def test_e12_what_would_be_kept_is_not(at: Stage) -> None:
    """E12: an answer that live has stored at the provider is not stored there a second time."""
    before = sum(at.counts("late").values())
    assert at.ask("late", store=True)[0] == 200
    at.ended("late", before + 1)
    assert at.live.requests[-1].json["store"] is True
    assert at.target.requests[-1].json["store"] is False


def paused(at: Stage, provider: str) -> float:
    """Seconds that a provider is still left alone."""
    with load.connected(at.url) as client:
        return float(client.hget(STATE, f"pause:{provider}") or 0) / 1000 - time.time()


def test_e13_little_quota_left_stops_the_shadow(at: Stage) -> None:
    """E13: a candidate's provider that says it has little left gets no more shadow calls; live goes on."""
    assert at.ask("low")[0] == 200
    at.ended("low", 1)
    assert 20 < paused(at, "low") <= 30
    asked = len(at.target.requests)
    assert at.ask("low")[0] == 200
    time.sleep(0.3)
    assert len(at.target.requests) == asked and at.depth() == 1
    load.until(lambda: load.numbers(at.gateway).get('shadow_paused{provider="low"}') == 1, 4, "the gauge")
    with load.connected(at.url) as client:
        client.hdel(STATE, "pause:low")
    at.ended("low", 2)


def test_e13_a_live_refusal_stops_the_shadow_at_once(at: Stage) -> None:
    """E13: after a 429 to a live request no shadow call goes to that provider, though its run is in no shadow."""
    release = load.admin(at.gateway, "/releases", model=f"openai/{CANDIDATE}")["release"]
    candidate = release["id"] if isinstance(release, dict) else release
    words = ("--rate", "1", "--secondary", "0", "--reason", "test", "--yes")
    at.gateway.cli("shadow", "start", "plain", "--candidate", candidate, *words)
    refused = {"error": {"message": "slow down", "type": "rate_limit", "param": None, "code": "rate_limit_exceeded"}}
    at.live.then(answer(refused, 429, {"retry-after": "30", "x-should-retry": "false"}))
    out = {"x-trivet-capture": "none", "x-stainless-retry-count": "1"}
    assert at.ask("plain", out)[0] == 429
    load.until(lambda: paused(at, "openai") > 20, 1, "the pause")
    assert [at.ask("plain")[0] for _ in range(3)] == [200] * 3
    time.sleep(0.3)
    assert {each.json["model"] for each in at.live.requests} == {LIVE}, "the candidate at the same key was not asked"
    load.until(lambda: load.numbers(at.gateway).get('shadow_paused{provider="openai"}') == 1, 4, "the gauge")
    with load.connected(at.url) as client:
        client.hdel(STATE, "pause:openai")
    assert at.ended("plain", 3) == {"pair:identical": 3}


def test_i7_nothing_captured_holds_a_credential(at: Stage) -> None:
    """C2, I7: no key, wherever the caller put it, is in a job, a pair, a log or a number; candidates get the gateway's own."""
    before = sum(at.counts("late").values())
    link = http.client.HTTPConnection("127.0.0.1", port_of(at.gateway.base), timeout=20)
    at.gateway.kill("shadow", signal.SIGSTOP)
    try:
        for number, fields in enumerate(({"x-api-key": CALLER}, {"api-key": CALLER}, {"x-goog-api-key": CALLER}, {})):
            body = json.dumps({"model": "late", "messages": [{"role": "user", "content": f"leak {number}"}]})
            query = "" if fields else f"?key={CALLER}&a=b"
            head = {"content-type": "application/json", "cookie": f"s={CALLER}", **fields}
            link.request("POST", f"/v1/chat/completions{query}", body, head)
            got = link.getresponse()
            assert (got.status, got.read() != b"") == (200, True)
        link.close()
        load.until(lambda: at.depth() == 4, 3, "the jobs")
        waiting = at.stored()
    finally:
        at.gateway.kill("shadow", signal.SIGCONT)
    at.ended("late", before + 4)
    time.sleep(1.1)
    seen = [waiting, at.stored(), at.gateway.get(at.gateway.admin + "/metrics")[1]]
    seen += [data for _, data in files(at.gateway)]
    for secret in (CALLER.encode(), BACKGROUND.encode()):
        assert not [data[:80] for data in seen if secret in data]
    assert b"leak 3" in waiting and b"leak 3" in seen[1], "the scan sees what is captured"
    keys = {each.fields.get("authorization", "") for each in at.target.requests}
    assert keys == {f"Bearer {BACKGROUND}"} and JOBS.encode() in waiting


def test_what_the_rows_left(at: Stage) -> None:
    """Every exchange that was captured is counted as ended, none was dropped, and the gateway answers."""
    assert at.ask("plain")[0] == 200
    load.until(lambda: load.total(load.numbers(at.gateway), "shadow_depth") == 0, 4, "an empty queue")
    found = load.numbers(at.gateway)
    assert load.total(found, "shadow_dropped_total") == 0
    assert load.total(found, "handler_errors_total") == 0
