"""Rows A1 to A10: HTTP that is not acceptable, sent as bytes; nobody behind the gateway may see any of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.messages import (
    BODY,
    CHUNKED,
    GOOD,
    HEAD,
    KEY,
    head,
    keyed_house,
    refused,
    rss,
)
from tests.faults.watch import House, Raw, Watch, is_openai_error


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


def test_a1_length_and_chunked_together(watch: Watch) -> None:
    """A request with both framings is refused, whichever comes first."""
    length, chunked = b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked"
    cases = [
        head(length, chunked) + CHUNKED,
        head(chunked, length) + CHUNKED,
        head(chunked, b"Content-Length: 0") + CHUNKED,
    ]
    cases += [
        head(length, b"X: y", chunked) + BODY,
        head(b"content-length: 5", b"transfer-encoding: Chunked") + CHUNKED,
    ]
    refused(watch, cases, 400, "bad_framing", "framing")


LENGTHS = [b"2, 2", b"+2", b"-1", b"1_0", b"9" * 40, "٢".encode(), b"0x2", b"2 2", b"2;", b"", b"2\x0b", b"1e1", b"2.0"]


def test_a2_lengths_that_are_none(watch: Watch) -> None:
    """Two lengths, equal or not, and every length that is not plain digits, are refused."""
    cases = [
        head(b"Content-Length: 2", b"Content-Length: 2") + b"{}",
        head(b"Content-Length: 2", b"Content-Length: 3") + b"{}",
    ]
    cases += [head(b"Content-Length: " + value) + b"{}" for value in LENGTHS]
    refused(watch, cases, 400, "bad_framing", "framing")


MUTATIONS = [b"\x01", b"\x04", b"\x08", b"\t", b"\n", b"\x0b", b"\x0c", b"\r", b"\x1f", b" ", b"\x7f", b"\xa0", b"\xff"]
PLACES = [
    b"%bTransfer-Encoding: chunked",
    b"Trans%bfer-Encoding: chunked",
    b"Transfer-Encoding%b: chunked",
    b"Transfer-Encoding:%bchunked",
    b"Transfer-Encoding: chun%bked",
    b"Transfer-Encoding: chunked%b",
    b"Transfer-Encoding: %bchunked%b",
    b"X: y\r\n%bTransfer-Encoding: chunked",
    b"X: y\r%bTransfer-Encoding: chunked",
    b"X%b: y\r\nTransfer-Encoding: xchunked",
]
FIXED = [
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding: chunked, identity",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
    b"Transfer-Encoding: 'chunked'",
    b'Transfer-Encoding: "chunked"',
    b"Transfer-Encoding: chunked;q=1",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding:",
    b"Transfer_Encoding: chunked\r\nTransfer-Encoding: cow",
]


PLAIN = re.compile(rb"Transfer-Encoding:[ \t]*chunked[ \t]*").fullmatch


def obfuscations() -> list[bytes]:
    """Every mutation in every place; white space that the grammar allows around a value is not one."""
    made = []
    for place in PLACES:
        for byte in MUTATIONS:
            case = place.replace(b"%b", byte)
            if PLAIN(case.rpartition(b"\r\n")[2]) is None:
                made.append(case)
    return made + FIXED


def test_a3_obfuscated_transfer_encoding(watch: Watch) -> None:
    """Of about 134 spellings of Transfer-Encoding that some parser somewhere reads, none is accepted."""
    cases = [head(case) + CHUNKED for case in obfuscations()]
    assert len(cases) > 125
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda case: watch.raw(case + GOOD), cases))
    odd = [
        (case, got.status, got.body)
        for case, got in zip(cases, answers, strict=True)
        if got.status != 400 or not got.closed
    ]
    assert not odd
    assert all(is_openai_error(got) and not got.rest for got in answers)
    assert watch.no_calls()
    codes = Counter(got.code for got in answers)
    assert codes.keys() <= {"bad_framing", "bad_syntax", "ambiguous_header"}
    assert codes["bad_framing"] > 100
    for code, reason in (("bad_framing", "framing"), ("bad_syntax", "syntax"), ("ambiguous_header", "header_dup")):
        watch.expect("rejected_total", codes[code], reason=reason)


def test_a4_coded_transfer(watch: Watch) -> None:
    """A transfer coding besides chunked gets 501, and the connection ends."""
    cases = [
        head(b"Transfer-Encoding: " + v) + CHUNKED
        for v in (b"gzip, chunked", b"deflate, chunked", b"gzip,gzip, chunked")
    ]
    refused(watch, cases, 501, "unsupported_transfer_coding", "te")


def test_a5_syntax(watch: Watch) -> None:
    """Folded lines, bare line ends and control bytes in a head are refused."""
    plain = b"Content-Type: application/json\r\n"
    odd = [
        b"X: a\r\n b\r\n",
        b"X: a\r\n\tb\r\n",
        b"X: a\nY: b\r\n",
        b"X: a\rY: b\r\n",
        b"X: a\0b\r\n",
        b"X: a\x01b\r\n",
    ]
    odd += [b"X : a\r\n", b"X\r\n", b": a\r\n", b"X: a\x7f\r\n", b"\x80: a\r\n", b"X(: a\r\n"]
    cases = [HEAD + line + plain + b"\r\n" for line in odd]
    cases.append(b"POST /v1/chat/completions HTTP/1.1\nHost: gateway\n\n")
    refused(watch, cases, 400, "bad_syntax", "syntax")


def test_a6_chunks(watch: Watch) -> None:
    """Broken chunks, lengths in trailers and floods of trailers end the request."""
    body = b"%x\r\n%b\r\n" % (len(BODY), BODY)
    bodies = [
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\nhello\n0\n\n",
        b"5\r\nhello\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        body + b"0\r\nContent-Length: 5\r\n\r\n",
        body + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
        body + b"0\r\n" + b"".join(b"T%d: x\r\n" % i for i in range(500)) + b"\r\n",
        body + b"0\r\nT: a\nb\r\n\r\n",
    ]
    refused(watch, [head(b"Transfer-Encoding: chunked") + b for b in bodies], 400, "bad_framing", "chunk")


def test_a6_endless_extension(watch: Watch) -> None:
    """50 MB of chunk extensions cost the sender its connection, and the gateway no memory."""
    before = rss(watch)
    piece = b";" + b"e" * 65536
    with Raw(watch.port) as link:
        link.send(head(b"Transfer-Encoding: chunked") + b"5")
        sent = 0
        while sent < 50 << 20 and link.send(piece):
            sent += len(piece)
        got = link.answer()
    assert got.status == 400
    assert rss(watch) - before < 4 << 20
    assert watch.no_calls()
    watch.expect("rejected_total", 1, reason="chunk")


def test_a7_hosts(watch: Watch) -> None:
    """A request names exactly one host, and that is a host name."""
    first, auth = b"GET /v1/models HTTP/1.1\r\n", b"Authorization: Bearer " + KEY.encode() + b"\r\n"
    hosts = [
        b"a/admin?",
        b"a#x",
        b"u@b",
        b"u@b:80",
        b"a b",
        b"a,b",
        b"",
        b"a:b",
        b"a:99999999",
        b"[::1",
        b"a\\b",
        b"a%2f",
    ]
    cases = [
        first + auth + b"\r\n",
        first + b"Host: a\r\nHost: b\r\n" + auth + b"\r\n",
        first + b"Host: a\r\nHost: a\r\n" + auth + b"\r\n",
    ]
    cases += [first + b"Host: " + host + b"\r\n" + auth + b"\r\n" for host in hosts]
    refused(watch, cases, 400, "bad_host", "host")


def test_a8_own_authority(watch: Watch) -> None:
    """A target in absolute form for our own authority is an ordinary request."""
    own = b"127.0.0.1:%d" % watch.port
    got = watch.raw(GOOD.replace(b"POST /v1", b"POST http://" + own + b"/v1"))
    assert got.status == 200
    assert watch.provider.requests[-1].target == "/v1/chat/completions"
    watch.expect("rejected_total", 0, reason="target")


def test_a8_foreign_targets(watch: Watch) -> None:
    """A target of another authority gets 421, a tunnel 405, and no connection leaves the gateway."""
    urls = [
        b"http://example.com",
        b"http://example.com:80",
        b"https://127.0.0.1:%d" % watch.port,
        b"http://169.254.169.254",
    ]
    connections = watch.provider.connections
    cases = [head(first=b"GET " + url + b"/v1/models HTTP/1.1") for url in urls]
    refused(watch, cases, 421, "misdirected", "target")
    tunnel = watch.raw(b"CONNECT %b HTTP/1.1\r\nHost: gateway\r\n\r\n" % watch.provider.url[7:].encode() + GOOD)
    assert (tunnel.status, tunnel.closed, tunnel.rest) == (405, True, b"")
    star = watch.raw(head(first=b"OPTIONS * HTTP/1.1") + GOOD)
    assert (star.status, star.closed, star.rest) == (400, True, b"")
    assert watch.provider.connections == connections
    watch.expect("rejected_total", 2, reason="target")


PARTS = [
    b"..",
    b".",
    b"%2e%2e",
    b"%2E.",
    b".%2e",
    b"%2f",
    b"a%2fb",
    b"%5c",
    b"a\\b",
    b"\\..\\",
    b"a#f",
    b"%0d%0a",
    b"a%0ab",
]
PARTS += [
    b"%00",
    b"%7f",
    b"%23",
    b"%3f",
    b"a%",
    b"a%2",
    b"a%zz",
    b"%252e%252e",
    b"%252f",
    b"..;",
    b"..;a=b",
    b"",
    b"a\xc3\xa9",
]
SLOTS = [
    b"/%b/chat/completions",
    b"/v1/%b/completions",
    b"/v1/chat/%b/x",
    b"/openai/%b/files",
    b"/openai/deployments/%b/chat/completions",
    b"/v1/responses/%b/cancel",
    b"/v1beta/models/%b/x:generateContent",
]


def test_a9_paths(watch: Watch) -> None:
    """A path that two parsers could read differently is refused in every slot, and never forwarded."""
    cases = [head(first=b"POST %b HTTP/1.1" % slot.replace(b"%b", part)) for slot in SLOTS for part in PARTS]
    cases += [head(first=b"POST //evil.example/v1/chat/completions HTTP/1.1")]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda case: watch.raw(case + GOOD), cases))
    odd = [
        (case[:60], got.status)
        for case, got in zip(cases, answers, strict=True)
        if got.status != 400 or not got.closed or got.rest
    ]
    assert not odd
    codes = Counter(got.code for got in answers)
    assert codes.keys() <= {"bad_path", "bad_syntax"}
    assert all(is_openai_error(got) for got in answers)
    assert watch.no_calls()
    watch.expect("rejected_total", codes["bad_path"], reason="path")
    watch.expect("rejected_total", codes["bad_syntax"], reason="syntax")


def test_a10_versions(watch: Watch) -> None:
    """What is not HTTP/1.1 or 1.0 is told so and closed."""
    other = [
        b"GET /v1/models HTTP/0.9\r\n\r\n",
        b"GET /v1/models HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /v1/models\r\n\r\n",
    ]
    other += [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/3.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    ]
    refused(watch, other, 505, "unsupported_version", "version")
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64))
    refused(watch, [hello, b"\x80\x2e\x01", b"\0\0\0\0"], 400, "not_http", "version")
