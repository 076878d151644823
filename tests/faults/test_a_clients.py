"""Rows A11 to A19 and A21: fields, sizes, slowness and features that clients use to get further than they should."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.faults.messages import (
    BODY,
    BODY_CAP,
    GOOD,
    KEY,
    MODEL,
    OTHER_KEY,
    cpu,
    head,
    keyed_house,
    refused,
    rss,
)
from tests.faults.watch import Answer, House, Raw, Watch


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """One gateway for the module."""
    with keyed_house() as house:
        yield house


@pytest.fixture
def watch(house: House, request: pytest.FixtureRequest) -> Iterator[Watch]:
    """The same, watched during one test."""
    with house.watch(request.node.name) as watch:
        yield watch


def test_a11_ambiguous_fields(watch: Watch) -> None:
    """A credential that stands twice, names with an underscore, and keys of two tenants are refused."""
    bearer, other = b"Authorization: Bearer " + KEY.encode(), OTHER_KEY.encode()
    cases = [head(b"X_Api_Key: x"), head(bearer), head(b"x-api-key: a", b"x-api-key: b"), head(b"X-Api_Key: " + other)]
    cases += [
        head(b"x-trivet-run: a", b"X-Trivet-Run: b"),
        head(b"x-trivet-key: a", b"X-TRIVET-KEY: a"),
        head(b"api-key: a", b"api-key: a"),
    ]
    refused(watch, cases, 400, "ambiguous_header", "header_dup")
    both = watch.ask("POST", "/v1/chat/completions", BODY, {"x-api-key": OTHER_KEY, "content-type": "application/json"})
    assert (both.status, both.code) == (400, "ambiguous_header")
    assert watch.no_calls()
    watch.expect("rejected_total", 1, reason="header_dup")


def test_a12_sizes(watch: Watch) -> None:
    """Heads over their limits get 431, also when they come in many small segments."""
    cases = [
        head(first=b"GET /v1/" + b"a" * 9000 + b" HTTP/1.1"),
        head(b"X: " + b"a" * 9000),
        head(*(b"X%d: y" % i for i in range(200))),
    ]
    cases += [head(*(b"X%d: " % i + b"y" * 8000 for i in range(9)))]
    refused(watch, cases, 431, "header_too_large", "header_size")
    with Raw(watch.port) as link:
        link.send(b"GET /v1/" + b"a" * 9000, pieces=450, gap=0.002)
        got = link.answer()
        assert (got.status, link.to_end()) == (431, b"")
    watch.expect("rejected_total", 1, reason="header_size")


def test_a13_large_bodies(watch: Watch) -> None:
    """A body over the cap gets 413: before reading when its length says so, while reading when it comes in chunks."""
    before = rss(watch)
    declared = watch.raw(head(b"Content-Type: application/json", b"Content-Length: %d" % (BODY_CAP + 1)))
    assert (declared.status, declared.code, declared.closed) == (413, "body_too_large", True)
    gemini = head(b"Content-Length: %d" % (BODY_CAP + 1), first=b"POST /v1beta/models/m:generateContent HTTP/1.1")
    assert watch.raw(gemini).json["error"]["code"] == 413
    with Raw(watch.port) as link:
        link.send(head(b"Content-Type: application/json", b"Transfer-Encoding: chunked"))
        sent, piece = 0, b"%x\r\n%b\r\n" % (65536, b" " * 65536)
        while sent < 16 << 20 and link.send(piece):
            sent += 65536
        assert link.answer().status == 413  # and the body has not ended yet
    assert rss(watch) - before < 2 * BODY_CAP + (1 << 20)
    assert watch.no_calls()
    watch.expect("rejected_total", 3, reason="body_size")


def test_a13_large_uploads(watch: Watch) -> None:
    """An upload over its own cap gets 413 as well, and what the provider was sent of it never ends as if it were whole."""
    first = b"POST /openai/files HTTP/1.1"
    declared = watch.raw(head(b"Content-Type: x/y", b"Content-Length: %d" % (2 * BODY_CAP + 1), first=first))
    assert (declared.status, declared.code, declared.closed) == (413, "body_too_large", True)
    with Raw(watch.port) as link:
        link.send(head(b"Content-Type: x/y", b"Transfer-Encoding: chunked", first=first))
        sent, piece = 0, b"%x\r\n%b\r\n" % (65536, b" " * 65536)
        while sent < 16 << 20 and link.send(piece):
            sent += 65536
        assert link.answer().status == 413
    assert watch.no_calls(), "the provider took the cut upload for a request"
    watch.expect("rejected_total", 2, reason="body_size")


def test_a14_coded_bodies(watch: Watch) -> None:
    """A coded body is refused by its head: no byte of a bomb is decoded."""
    used = cpu(watch)
    bomb = b"\x1f\x8b\x08" + b"\0" * 500_000
    with Raw(watch.port) as link:
        link.send(
            head(b"Content-Type: application/json", b"Content-Encoding: gzip", b"Content-Length: %d" % len(bomb)) + bomb
        )
        got = link.answer()
    assert (got.status, got.code) == (415, "unsupported_content_encoding")
    assert cpu(watch) - used <= 0.05
    coded = [
        [b"Content-Encoding: gzip"],
        [b"Content-Encoding: br"],
        [b"Content-Encoding: nonsense"],
        [b"Content-Encoding: gzip, gzip"],
    ]
    coded += [[b"Content-Encoding: identity", b"Content-Encoding: gzip"], [b"content-encoding: GZIP"]]
    refused(
        watch,
        [head(*lines, b"Content-Length: 5") + b"hello" for lines in coded],
        415,
        "unsupported_content_encoding",
        "content_encoding",
    )
    watch.expect("rejected_total", 1, reason="content_encoding")


def ended(link: Raw, seconds: float) -> tuple[float, bytes]:
    """Seconds until the gateway closed, and what it said."""
    link.socket.settimeout(seconds)
    began = time.monotonic()
    data = link.to_end()
    return time.monotonic() - began, data


def test_a15_slow_clients(watch: Watch) -> None:
    """Who stalls, in a head or in a body, is closed within its deadline; a stalled body is told 408."""
    links = {name: Raw(watch.port) for name in ("idle", "line", "drip", "stall", "trickle", "second")}
    start = head(b"Content-Type: application/json", b"Content-Length: 100000")
    links["line"].send(b"POST /v1/chat")
    links["drip"].send(b"POST /v1/chat/completions HTTP/1.1\r\n")
    links["stall"].send(start + b"{")
    links["trickle"].send(start)
    links["second"].send(GOOD)
    assert links["second"].answer().status == 200
    links["second"].send(b"POST /v1")
    began = time.monotonic()
    open_still = dict(links)
    told: dict[str, bytes] = {}
    while open_still and time.monotonic() - began < 8:
        for name, link in list(open_still.items()):
            if name in ("drip", "trickle"):
                link.send(b"x")
            link.socket.settimeout(0.05)
            try:
                if not link.more():
                    told[name] = link.data
                    del open_still[name]
            except TimeoutError:
                pass
    for link in links.values():
        link.socket.close()
    assert not open_still, f"still open after 8 s: {sorted(open_still)}"
    assert told["idle"] == told["line"] == told["drip"] == told["second"] == b""
    assert told["stall"].startswith(b"HTTP/1.1 408 "), told["stall"]
    assert told["trickle"].startswith(b"HTTP/1.1 408 "), told["trickle"]
    watch.expect("client_timeout_total", 2, phase="body")
    watch.expect("client_timeout_total", 3, phase="head", at_least=True)


def test_a15_many_slow_clients(watch: Watch) -> None:
    """A thousand connections that drip do not delay a normal call by 50 ms."""
    alone = sorted(timed(watch) for _ in range(40))
    links = []
    try:
        for _ in range(1000):
            link = Raw(watch.port)
            link.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost")
            links.append(link)
        crowded = sorted(timed(watch) for _ in range(40))
    finally:
        for link in links:
            link.socket.close()
    assert crowded[-2] - alone[len(alone) // 2] < 0.05, (alone, crowded)


def timed(watch: Watch) -> float:
    """Seconds that a normal call takes."""
    began = time.monotonic()
    assert watch.chat().status == 200
    return time.monotonic() - began


def test_a16_named_in_connection(watch: Watch) -> None:
    """Fields that Connection names, and those of a hop, end here; a key cannot be stripped this way, and the run is bound."""
    lines = [
        b"Connection: x-tenant, authorization, x-trivet-step, close",
        b"X-Tenant: someone-else",
        b"X-Kept: yes",
        b"TE: trailers",
        b"Trailer: X-After",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Proxy-Authorization: Basic eDp5",
        b"Proxy-Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"x-trivet-run: named-run",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(BODY),
    ]
    got = watch.raw(head(*lines) + BODY)
    assert got.status == 200, got.body
    assert got.headers["x-trivet-run"] == "named-run"
    assert got.headers["x-trivet-bound"] == "new"
    sent = watch.provider.requests[-1].fields
    assert sent["x-kept"] == "yes"
    assert sent["authorization"] == "Bearer sk-provider-test-key"
    gone = {
        "x-tenant",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
    }
    assert not gone & sent.keys()
    assert not [name for name in sent if name.startswith("x-trivet-")]
    assert watch.ask("GET", "/trivet/runs/named-run").json["aliases"].keys() <= {MODEL}
    watch.expect("requests_total", 1, alias="other", status_class="2xx", at_least=True)


def test_a17_secret_in_a_bad_head(watch: Watch) -> None:
    """A malformed Authorization is refused without a trace of the secret in it."""
    secret = "sk-very-secret-value-4711"
    watch.secrets.add(secret.encode())
    first = b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + secret.encode()
    refused(
        watch,
        [first + end + b"\r\n\r\n" for end in (b"\x01", b"\n", b"\0", b"\r x", b"\nX: y", b"\x7f")],
        400,
        "bad_syntax",
        "syntax",
    )


def test_a18_values_that_are_reflected(watch: Watch) -> None:
    """Nothing a client sends comes back in a header: ids are our own, a run id outside its grammar is refused."""
    plain = [b"Connection: close", b"Content-Type: application/json", b"Content-Length: %d" % len(BODY)]
    fields = (b"x-request-id", b"request-id", b"traceparent", b"x-trivet-request")
    for field in fields:
        got = watch.raw(head(field + b": \xff\xfe-from-the-client", *plain) + BODY)
        assert got.status == 200, (field, got.body)
        assert b"from-the-client" not in got.raw
        assert got.headers["x-trivet-request"].startswith("req_")
    names = set(got.headers)
    assert names == {
        "content-type",
        "content-length",
        "connection",
        *(
            f"x-trivet-{n}"
            for n in ("request", "run", "bound", "ticket", "alias", "model", "pin", "arm", "attempts", "endpoint")
        ),
    }
    calls = len(watch.provider.requests)
    for value in (b"\xff\xfe", b"a b", b"a/b", b"\xc3\xa9", b"x" * 129, b"a%0d%0ab"):
        got = watch.raw(head(b"x-trivet-run: " + value, *plain) + BODY)
        assert (got.status, got.code) == (400, "bad_run_id")
        assert value not in got.raw
    for field in (*fields, b"x-trivet-run"):
        for value in (b"a\r\n b", b"a\nb", b"a\0b", b"a\rb"):
            got = watch.raw(head(field + b": " + value, *plain) + BODY)
            assert (got.status, got.code, got.closed) == (400, "bad_syntax", True)
    assert len(watch.provider.requests) == calls
    watch.expect("rejected_total", 6, reason="run_id")
    watch.expect("rejected_total", 20, reason="syntax")


def numbered(index: int, *lines: bytes) -> bytes:
    """A good request that says its number and names a run of its own."""
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": f"number {index}"}]}).encode()
    return (
        head(
            b"Content-Type: application/json",
            b"Content-Length: %d" % len(body),
            b"x-trivet-run: pipe-%d" % index,
            *lines,
        )
        + body
    )


def text(got: Answer) -> str:
    """What the model said."""
    return str(got.json["choices"][0]["message"]["content"])


def test_a19_pipelining(watch: Watch) -> None:
    """Forty pipelined requests are answered in order, none lost or doubled, each with its stamp."""
    with Raw(watch.port) as link:
        link.send(b"".join(numbered(i) for i in range(40)))
        answers = [link.answer() for _ in range(40)]
    assert [text(got) for got in answers] == [f"number {i}" for i in range(40)]
    assert [got.headers["x-trivet-run"] for got in answers] == [f"pipe-{i}" for i in range(40)]
    assert {got.headers["x-trivet-bound"] for got in answers} == {"new"}
    assert len(watch.provider.requests) == watch.calls + 40
    watch.expect("requests_total", 40, alias="other", status_class="2xx", at_least=True)


def test_a19_behind_an_expectation(watch: Watch) -> None:
    """A request behind a POST that expects 100-continue is answered after it; the body was asked for first."""
    first = numbered(100, b"Expect: 100-continue")
    top, _, body = first.partition(b"\r\n\r\n")
    with Raw(watch.port) as link:
        link.send(top + b"\r\n\r\n")
        while b"\r\n\r\n" not in link.data:
            assert link.more()
        assert link.data == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.send(body + numbered(101))
        assert [text(link.answer()), text(link.answer())] == ["number 100", "number 101"]
    with Raw(watch.port) as link:  # a client that does not wait gets no 100 out of order
        link.send(numbered(102, b"Expect: 100-continue") + numbered(103))
        assert [text(link.answer()), text(link.answer())] == ["number 102", "number 103"]
    assert len(watch.provider.requests) == watch.calls + 4
    refused_calls = len(watch.provider.requests)
    got = watch.raw(numbered(104, b"Expect: a-miracle") + GOOD)
    assert (got.status, got.code, got.closed, got.rest) == (417, "expectation_failed", True, b"")
    assert len(watch.provider.requests) == refused_calls
    watch.expect("rejected_total", 1, reason="expect")


def test_a21_upgrades(watch: Watch) -> None:
    """A WebSocket is refused, h2c ignored and stripped; there is no tunnel."""
    websocket = [
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    ]
    got = watch.raw(head(*websocket, first=b"GET /v1/realtime HTTP/1.1") + b"\x81\x05hello")
    assert (got.status, got.code, got.closed, got.rest) == (426, "upgrade_refused", True, b"")
    assert watch.no_calls()
    lines = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"]
    got = watch.raw(head(*lines, b"Content-Type: application/json", b"Content-Length: %d" % len(BODY)) + BODY)
    assert got.status == 200
    assert not {"upgrade", "connection", "http2-settings"} & watch.provider.requests[-1].fields.keys()
    watch.expect("rejected_total", 1, reason="upgrade")
