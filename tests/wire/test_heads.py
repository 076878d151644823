"""What a request head may not be: one raw case per row of the fault table, sent over a real socket."""

from __future__ import annotations

import pytest

from gateway.wire.errors import BadMessage
from gateway.wire.heads import HeadLimits, Recall, RequestHead

from .rig import OWN, answers, exchange, run, serving

OK = b"POST /v1/x HTTP/1.1\r\nHost: own.test\r\n"
HELLO = bytes.fromhex("1603010200010001fc0303") + bytes(range(60))


def case(name: str, data: bytes, status: int, reason: str) -> object:
    """One row: what is sent, and the status and reason it gets."""
    return pytest.param(data, status, reason, id=name)


FRAMING = [
    case(
        "a1_length_then_coding",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    case(
        "a1_coding_then_length",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
        "framing",
    ),
    *(
        case(f"a2_{name}", OK + b"".join(b"Content-Length: %b\r\n" % v for v in values) + b"\r\nab", 400, "framing")
        for name, values in {
            "equal": (b"2", b"2"),
            "different": (b"2", b"3"),
            "list": (b"2, 2",),
            "plus": (b"+2",),
            "minus": (b"-1",),
            "underscore": (b"1_0",),
            "huge": (b"99999999999999999999999",),
            "nineteen": (b"1" * 19,),
            "arabic": ("\u0662".encode(),),
            "hex": (b"0x2",),
            "empty": (b"",),
            "space": (b"1 2",),
            "point": (b"2.0",),
        }.items()
    ),
    *(
        case(f"a3_{name}", OK + line + b"\r\n\r\n0\r\n\r\n", 400, "framing")
        for name, line in {
            "xchunked": b"Transfer-Encoding: xchunked",
            "chunked_identity": b"Transfer-Encoding: chunked, identity",
            "identity": b"Transfer-Encoding: identity",
            "gzip_alone": b"Transfer-Encoding: gzip",
            "unknown_chunked": b"Transfer-Encoding: cow, chunked",
            "twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "twice_list": b"Transfer-Encoding: chunked, chunked",
            "twice_cases": b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity",
            "space_colon": b"Transfer-Encoding : chunked",
            "quoted": b'Transfer-Encoding: "chunked"',
            "semicolon": b"Transfer-Encoding: chunked;q=1",
            "comma": b"Transfer-Encoding: chunked,",
            "empty": b"Transfer-Encoding:",
        }.items()
    ),
    case("a3_old", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "framing"),
    case("a4_gzip_chunked", OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "te"),
    case("a4_two_lines", OK + b"Transfer-Encoding: gzip\r\nX: y\r\n\r\n", 400, "framing"),
]

SYNTAX = [
    case("a5_fold", OK + b"X: a\r\n b\r\n\r\n", 400, "syntax"),
    case("a5_fold_tab", OK + b"X: a\r\n\tb\r\n\r\n", 400, "syntax"),
    case("a5_fold_first", b"GET / HTTP/1.1\r\n X: a\r\nHost: own.test\r\n\r\n", 400, "syntax"),
    case("a5_bare_lf", OK + b"X: a\nY: b\r\n\r\n", 400, "syntax"),
    case("a5_all_lf", b"GET / HTTP/1.1\nHost: own.test\n\n", 400, "syntax"),
    case("a5_lf_end", OK + b"X: a\n\r\n\r\n", 400, "syntax"),
    case("a5_bare_cr", OK + b"X: a\rY: b\r\n\r\n", 400, "syntax"),
    case("a5_cr_cr_lf", OK + b"X: a\r\r\n\r\n", 400, "syntax"),
    case("a5_nul", OK + b"X: a\x00b\r\n\r\n", 400, "syntax"),
    case("a5_01", OK + b"X: a\x01b\r\n\r\n", 400, "syntax"),
    case("a5_del", OK + b"X: a\x7fb\r\n\r\n", 400, "syntax"),
    case("a5_space_in_name", OK + b"X Y: a\r\n\r\n", 400, "syntax"),
    case("a5_space_before_colon", OK + b"X : a\r\n\r\n", 400, "syntax"),
    case("a5_no_colon", OK + b"Xa\r\n\r\n", 400, "syntax"),
    case("a5_empty_name", OK + b": a\r\n\r\n", 400, "syntax"),
    case("a5_high_name", OK + b"X\xe9: a\r\n\r\n", 400, "syntax"),
    case("a5_two_spaces", b"GET  / HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "syntax"),
    case("a5_tab", b"GET\t/ HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "syntax"),
    case("a5_trailing_space", b"GET / HTTP/1.1 \r\nHost: own.test\r\n\r\n", 400, "syntax"),
    case("a5_leading_space", b" GET / HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "version"),
    case("a17_secret", OK + b"Authorization: Bearer SECRET\x01\r\n\r\n", 400, "syntax"),
    case("a17_secret_lf", OK + b"Authorization: Bearer SECRET\nX: y\r\n\r\n", 400, "syntax"),
    case("a17_secret_name", OK + b"Authorization SECRET\r\n\r\n", 400, "syntax"),
]

HOSTS = [
    case("a7_none", b"GET / HTTP/1.1\r\n\r\n", 400, "host"),
    case("a7_two", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host"),
    case("a7_two_cases", b"GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n", 400, "host"),
    *(
        case(f"a7_{number}", b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host, 400, "host")
        for number, host in enumerate(
            (b"", b"a/admin?", b"a#x", b"u@b", b"u@b:80", b"a b", b"a,b", b"a:b", b"a:123456", b"a:", b"[::1", b"a\\b", b"-a",
             b".", b"a%00b", b"a\xe9", b"[::1]x", b"http://a")
        )
    ),
]  # fmt: skip

TARGETS = [
    case("a8_foreign", b"GET http://evil.test/x HTTP/1.1\r\nHost: own.test\r\n\r\n", 421, "target"),
    case("a8_foreign_port", b"GET http://evil.test:8080/x HTTP/1.1\r\nHost: own.test\r\n\r\n", 421, "target"),
    case("a8_https", b"GET https://own.test/x HTTP/1.1\r\nHost: own.test\r\n\r\n", 421, "target"),
    case("a8_user", b"GET http://own.test@evil.test/x HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "target"),
    case("a8_ftp", b"GET ftp://own.test/x HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "target"),
    case("a8_connect", b"CONNECT own.test:443 HTTP/1.1\r\nHost: own.test\r\n\r\n", 405, "target"),
    case("a8_options_star", b"OPTIONS * HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "target"),
    case("a8_authority", b"GET own.test:80 HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "target"),
    case("a8_trace", b"TRACE / HTTP/1.1\r\nHost: own.test\r\n\r\n", 405, "method"),
    case("a8_lower", b"get / HTTP/1.1\r\nHost: own.test\r\n\r\n", 405, "method"),
    case("a8_unknown", b"BREW / HTTP/1.1\r\nHost: own.test\r\n\r\n", 405, "method"),
]

ABUSED = (
    b"..", b"%2e%2e", b"%2E.", b".%2e", b".", b"%2f", b"%2F..%2f", b"%5c", b"%5C", b"\\", b"#f", b"%0d%0a", b"%0a", b"%00",
    b"%1f", b"%7f", b"%zz", b"%2", b"%", b"%252e", b"%252F", b"..;a", b"%23", b"%3f", b"a//b",
)  # fmt: skip
PATHS = [
    *(
        case(
            f"a9_{slot}_{number}", b"GET %b HTTP/1.1\r\nHost: own.test\r\n\r\n" % path.replace(b"*", part), 400, "path"
        )
        for slot, path in (
            ("first", b"/*/x"),
            ("middle", b"/v1/*/y"),
            ("last", b"/v1/*"),
            ("absolute", b"http://own.test/v1/*"),
        )
        for number, part in enumerate(ABUSED)
    ),
    case("a9_double", b"GET //h/x HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "path"),
    case("a9_double_end", b"GET /v1// HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "path"),
    case("a9_only_double", b"GET // HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "path"),
    case("a9_high", b"GET /v1/\xe9 HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "syntax"),
    case("a9_query_fragment", b"GET /v1?a#b HTTP/1.1\r\nHost: own.test\r\n\r\n", 400, "path"),
]

VERSIONS = [
    case("a10_0.9", b"GET /\r\n\r\n", 505, "version"),
    case("a10_0.9_short", b"GET /\r\n", 505, "version"),
    case("a10_0.9_line", b"GET / HTTP/0.9\r\nHost: own.test\r\n\r\n", 505, "version"),
    case("a10_2.0", b"GET / HTTP/2.0\r\nHost: own.test\r\n\r\n", 505, "version"),
    case("a10_2", b"GET / HTTP/2\r\nHost: own.test\r\n\r\n", 505, "version"),
    case("a10_1.2", b"GET / HTTP/1.2\r\nHost: own.test\r\n\r\n", 505, "version"),
    case("a10_1.10", b"GET / HTTP/1.10\r\nHost: own.test\r\n\r\n", 505, "version"),
    case("a10_preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 505, "version"),
    case("a10_tls", HELLO, 400, "version"),
    case("a10_socks", b"\x05\x01\x00", 400, "version"),
    case("a10_proxy", b"\r\n\r\n\x00\r\nQUIT\n", 400, "version"),
    case("a10_lower", b"GET / http/1.1\r\nHost: own.test\r\n\r\n", 400, "syntax"),
]

REPEATED = [
    case("a11_underscore", OK + b"X_Api_Key: a\r\n\r\n", 400, "header_dup"),
    case("a11_authorization", OK + b"Authorization: a\r\nAuthorization: b\r\n\r\n", 400, "header_dup"),
    case("a11_authorization_cases", OK + b"Authorization: a\r\nauthorization: a\r\n\r\n", 400, "header_dup"),
    case("a11_key", OK + b"x-api-key: a\r\nx-api-key: a\r\n\r\n", 400, "header_dup"),
    case("a11_own", OK + b"x-trivet-run: a\r\nX-Trivet-Run: b\r\n\r\n", 400, "header_dup"),
    case("a11_type", OK + b"content-type: a\r\ncontent-type: b\r\n\r\n", 400, "header_dup"),
]

SIZES = [
    case("a12_target", b"GET /%b HTTP/1.1\r\nHost: own.test\r\n\r\n" % (b"a" * 9000), 431, "header_size"),
    case("a12_header", OK + b"X: %b\r\n\r\n" % (b"a" * 9000), 431, "header_size"),
    case("a12_header_endless", OK + b"X: %b" % (b"a" * 9000), 431, "header_size"),
    case("a12_line_endless", b"GET /%b" % (b"a" * 9000), 431, "header_size"),
    case("a12_headers", OK + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n", 431, "header_size"),
    case(
        "a12_total", OK + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(80)) + b"\r\n", 431, "header_size"
    ),
    case("a12_total_endless", OK + b"".join(b"X-%d: %b\r\n" % (n, b"a" * 1000) for n in range(80)), 431, "header_size"),
]

REST = [
    case("a14_gzip", OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nab", 415, "content_encoding"),
    case("a14_br", OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\nab", 415, "content_encoding"),
    case("a14_unknown", OK + b"Content-Encoding: cow\r\nContent-Length: 2\r\n\r\nab", 415, "content_encoding"),
    case("a14_two", OK + b"Content-Encoding: identity, gzip\r\nContent-Length: 2\r\n\r\nab", 415, "content_encoding"),
    case("a14_twice", OK + b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n\r\n", 415, "content_encoding"),
    case("a19_expect", OK + b"Expect: junk\r\nContent-Length: 2\r\n\r\nab", 417, "expect"),
    case("a21_websocket", OK + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", 426, "upgrade"),
]


@pytest.mark.parametrize(
    ("data", "status", "reason"),
    FRAMING + SYNTAX + HOSTS + TARGETS + PATHS + VERSIONS + REPEATED + SIZES + REST,
)
def test_row(data: bytes, status: int, reason: str) -> None:
    """Each bad head gets its status, is counted by its reason, closes the connection, and nothing of it is handled or
    quoted; a request behind it is not read."""

    async def main() -> None:
        async with serving() as stage:
            got = await exchange(stage.port, data + b"GET /behind HTTP/1.1\r\nHost: own.test\r\n\r\n")
            ((seen, headers, body),) = answers(got)
            assert seen == status
            assert body.split()[1] == reason.encode()
            assert headers[b"connection"] == b"close"
            assert b"SECRET" not in got
            assert stage.asked == []
            assert stage.counters.rejected == {reason: 1}
            assert answers(await exchange(stage.port, OK + b"Connection: close\r\n\r\n"))[0][0] == 200

    run(main)


def obfuscations() -> list[bytes]:
    """Spellings of Transfer-Encoding that some parser somewhere reads as chunked."""
    marks = (0x01, 0x04, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1F, 0x20, 0x7F, 0xA0, 0xFF)
    places = (
        b"%cTransfer-Encoding: chunked",
        b"Transfer-Encoding%c: chunked",
        b"Transfer-Encoding:%cchunked",
        b"Transfer-Encoding: chunked%c",
        b"Transfer%cEncoding: chunked",
        b"Transfer-Encoding: chunk%ced",
        b"Transfer-Encoding: %cchunked%c",
        b"X: y\r\n%cTransfer-Encoding: chunked",
        b"X: y%c\r\nTransfer-Encoding: cow",
        b"Transfer-Encoding:%c\r\n chunked",
    )
    spelled = [place.replace(b"%c", bytes((mark,))) for place in places for mark in marks]
    fixed = [
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow",
        b"Transfer-Encoding: cow\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: 'chunked'",
        b"Transfer_Encoding: chunked",
    ]
    return spelled + fixed


def test_a3_transfer_encoding_obfuscations() -> None:
    """Of the 134 spellings only optional white space around the exact word is taken as chunked; all others are refused
    before a handler runs, and none is read as a request without a body."""
    spellings = obfuscations()
    assert len(spellings) == 134

    def fine(spelling: bytes) -> bool:
        name, _, value = spelling.partition(b":")
        return name == b"Transfer-Encoding" and value.strip(b" \t") == b"chunked"

    async def main() -> None:
        async with serving() as stage:
            for spelling in spellings:
                stage.asked.clear()
                data = OK + spelling + b"\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                got = await exchange(stage.port, data)
                status = answers(got)[0][0]
                if status == 200:
                    assert fine(spelling), spelling
                    assert [a.body for a in stage.asked] == [b"abc"], spelling
                else:
                    assert status == 400, spelling
                    assert stage.asked == [], spelling

    run(main)


def test_a8_own_absolute_form() -> None:
    """A target in absolute form with our own authority is the path it names, whatever Host says."""

    async def main() -> None:
        async with serving() as stage:
            for target in (
                b"http://own.test/v1/x?a=b",
                b"HTTP://OWN.test:8080/v1/x?a=b",
                b"http://own.test:99/v1/x?a=b",
            ):
                got = await exchange(stage.port, b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" % target)
                assert answers(got)[0][0] == 200
                assert (stage.asked[-1].path, stage.asked[-1].query) == ("/v1/x", "a=b")
            got = await exchange(stage.port, b"GET http://own.test HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
            assert stage.asked[-1].path == "/"

    run(main)


def test_a12_split_over_segments() -> None:
    """A head over its limit is refused too when it drips in, and one under it is read whole from any split."""

    async def main() -> None:
        async with serving() as stage:
            line = b"GET /%b" % (b"a" * 9000)
            pieces = [line[n : n + 450] for n in range(0, len(line), 450)]
            assert answers(await exchange(stage.port, *pieces, pause=0.001))[0][0] == 431
            whole = b"POST /v1/x?q HTTP/1.1\r\nHost: own.test\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
            got = await exchange(stage.port, *(whole[n : n + 1] for n in range(len(whole))), pause=0.0005)
            assert answers(got)[0][0] == 200
            assert stage.asked[-1].body == b"abc"

    run(main)


def test_a16_connection_names_and_hop_by_hop() -> None:
    """Hop-by-hop fields and those Connection names are not handed on; a credential named so is still seen for admission."""
    head = (
        b"GET / HTTP/1.1\r\nHost: own.test\r\nConnection: x-tenant, authorization, close\r\nX-Tenant: t\r\nX-Stay: s\r\n"
        b"Authorization: Bearer k\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n"
        b"Proxy-Authorization: p\r\nHTTP2-Settings: AAA\r\nAccept: a\r\nAccept: b\r\n\r\n"
    )

    async def main() -> None:
        async with serving() as stage:
            assert answers(await exchange(stage.port, head))[0][0] == 200
            (asked,) = stage.asked
            assert asked.headers == [(b"X-Stay", b"s"), (b"Accept", b"a"), (b"Accept", b"b")]
            assert asked.fields == {
                b"host": b"own.test",
                b"x-stay": b"s",
                b"authorization": b"Bearer k",
                b"accept": b"a",
            }

    run(main)


def test_a21_h2c_is_ignored() -> None:
    """An offer to upgrade to h2c is dropped, and the request answered."""

    async def main() -> None:
        async with serving() as stage:
            head = OK + b"Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n"
            assert answers(await exchange(stage.port, head))[0][0] == 200
            assert stage.asked[0].headers == []

    run(main)


def test_methods_that_pass() -> None:
    """Every usual method reaches the handler, body or not."""

    async def main() -> None:
        async with serving() as stage:
            for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"):
                got = await exchange(
                    stage.port, f"{method} /v1/x HTTP/1.1\r\nHost: own.test\r\nConnection: close\r\n\r\n".encode()
                )
                assert answers(got, method)[0][0] == 200
            assert [a.method for a in stage.asked] == ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]

    run(main)


def test_empty_line_before_a_request() -> None:
    """A stray CRLF before a request is refused: strict parsers do not agree on it."""

    async def main() -> None:
        async with serving() as stage:
            got = await exchange(
                stage.port, b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n"
            )
            assert [a[0] for a in answers(got, "GET", "GET")] == [200, 400]
            assert [a.path for a in stage.asked] == ["/a"]

    run(main)


def test_recalled_line_is_compared_whole() -> None:
    """A head is spared the look at its request line only when it begins with exactly the line that passed before."""
    recall = Recall()
    limits = HeadLimits(8190, 65536, 128, OWN, secure=False)
    head = RequestHead()
    head.read(b"GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", recall, limits)
    head.read(b"GET /v1/a?x=%2f HTTP/1.1\r\nHost: h\r\n\r\n", recall, limits)
    assert (head.path, head.query) == ("/v1/a", "x=%2f")
    for target in (b"/v1/a/..", b"/v1/a#", b"/v1/a\\"):
        with pytest.raises(BadMessage):
            head.read(b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n" % target, recall, limits)
    head.read(b"GET /v1/a HTTP/1.1\r\nHost: h\r\n\r\n", recall, limits)
    assert head.query == ""
    with pytest.raises(BadMessage):
        head.read(b"GET /v1/a HTTP/1.1\r\nHost: h/..\r\n\r\n", recall, limits)


def test_recalled_head_is_compared_around_the_length() -> None:
    """A head that repeats but for its length reads the same; any other byte, and anything but digits, is looked at."""
    limits = HeadLimits(8190, 65536, 128, OWN, secure=False)
    form = b"POST /v1/a?q HTTP/1.1\r\nHost: h\r\nContent-Length: %b\r\nX-A: b\r\nconnection: keep-alive, x-a\r\n\r\n"
    recall = Recall()
    memos = []
    for length in (b"5", b"7", b"123456", b"0", b"007"):
        head = RequestHead()
        memos.append(head.read(form % length, recall, limits))
        fresh = RequestHead()
        fresh.read(form % length, Recall(), limits)
        for name in RequestHead.__slots__:
            assert getattr(head, name) == getattr(fresh, name)
        head.fields[b"x"] = b"changed"
        head.headers.append((b"x", b"changed"))
    assert recall.before.endswith(b"Content-Length: ")
    # Remembered at its second time, and so the same from its third on.
    assert memos[:2] == [None, None] and memos[2] is memos[3] is memos[4] is not None
    for value in (b"", b"-1", b"+1", b"1_0", b"1 1", b"0x1", b"1, 1", b"1\r\nContent-Length: 1", b"1\r\nHost: h",
                  b"1\r\nTransfer-Encoding: chunked", b"1\n", b"1" * 19):  # fmt: skip
        with pytest.raises(BadMessage):
            RequestHead().read(form % value, recall, limits)
    other = RequestHead()
    other.read(b"POST /v1/b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", recall, limits)
    again = RequestHead()
    again.read(form % b"9", recall, limits)
    assert (other.path, again.path, again.length) == ("/v1/b", "/v1/a", 9)
