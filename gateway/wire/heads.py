"""Request heads: two opinions, and both must accept.

llhttp splits and checks the head; what it lets pass is closed here on the raw bytes (bare line ends, folding, control
bytes, versions, names with '_', repeated fields that carry rights or framing). Refusals never quote the bytes refused.
"""

from __future__ import annotations

import re

import httptools

from gateway.wire.errors import BadMessage
from gateway.wire.targets import check_host, split_target

Fields = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
     b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings")
)  # fmt: skip
"""Fields that end at a hop (RFC 9110 section 7.6.1); fields named in Connection are added per message."""
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"host", b"expect"))
CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"x-goog-api-key", b"api-key", b"x-trivet-key"))
"""Fields that carry rights: never repeated, and still seen in `fields` when Connection names them."""

_SPECIAL = HOP_BY_HOP | FRAMING
_RARE = frozenset((b"connection", b"expect"))
_SINGLE = CREDENTIALS | {b"content-type", b"content-encoding", b"cookie", b"user-agent"}
_OWN_PREFIX = b"x-trivet-"

_CONTROL = bytes((*range(32), 127))
_LINE = re.compile(rb"([A-Za-z][!#$%&'*+.^_`|~0-9A-Za-z-]*+) ([!-~]++) HTTP/([0-9])\.([0-9])\r\n").match
_ANY_VERSION = re.compile(rb"[^\r\n]* HTTP/[0-9.]+[ \t]*\Z").match
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"))
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch
_CODINGS = frozenset((b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"br", b"zstd"))
_FRAMING_LINE = re.compile(rb"content.{0,3}length|transfer.{0,3}encoding|chunked", re.IGNORECASE | re.DOTALL).search
_PLAIN_FIELD = re.compile(
    rb"(?:content-length:[ \t]*[0-9]+|transfer-encoding:[ \t]*chunked)[ \t]*", re.IGNORECASE
).fullmatch


class HeadLimits:
    """What a head may weigh, and which authorities are ours; one object per server."""

    __slots__ = ("count", "line", "own_hosts", "secure", "total")

    def __init__(self, line: int, total: int, count: int, own_hosts: frozenset[str], *, secure: bool) -> None:
        self.line = line
        self.total = total
        self.count = count
        self.own_hosts = frozenset(host.lower() for host in own_hosts)
        self.secure = secure


class Found(dict[bytes, bytes]):
    """Collects fields for llhttp without a Python frame per field. A name that comes twice is kept once, so the size
    tells whether any did (and whether a line was folded into the one before)."""

    __slots__ = ()
    on_header = dict.setdefault


class Every(Fields):
    """Collects fields for llhttp, all of them: the slow way round."""

    __slots__ = ()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, as llhttp gives it."""
        self.append((name, value.strip(b" \t")))


class Memo:
    """What the rooms above made of a head, beside its Content-Length; it lasts as long as a connection repeats that head.

    Only what the head alone decides belongs here, with whatever else it was decided by, so that its owner can tell whether it
    still holds. `standing` is the live room's, `lines` the upstream room's.
    """

    __slots__ = ("lines", "standing")

    def __init__(self) -> None:
        self.standing: object = None
        self.lines: tuple[object, bool, bytes] | None = None


class Recall:
    """What passed last on a connection: an agent repeats itself, and equal bytes pass again without another look.

    `line` is the request line; `before` and `after` are a whole head around the digits of its Content-Length, with the
    `headers` and `fields` read from it. A head that differs in those digits alone reads the same, and shares a `memo`.
    """

    __slots__ = (
        "after",
        "before",
        "fields",
        "headers",
        "host",
        "line",
        "memo",
        "method",
        "old",
        "path",
        "query",
        "target",
    )

    headers: Fields
    fields: dict[bytes, bytes]

    def __init__(self) -> None:
        self.line = self.before = b"\n"  # matches no head
        self.after = b""
        self.memo: Memo | None = None
        self.host = b"\n"
        self.method = ""
        self.target = b""
        self.path = ""
        self.query = ""
        self.old = False


class RequestHead:
    """The head of one accepted request."""

    __slots__ = (
        "chunked",
        "expects",
        "fields",
        "headers",
        "keep",
        "length",
        "method",
        "old",
        "path",
        "query",
        "target",
    )

    method: str
    target: bytes
    path: str
    query: str
    headers: Fields
    fields: dict[bytes, bytes]
    length: int | None
    chunked: bool
    keep: bool  # the client lets the connection live on
    old: bool  # HTTP/1.0
    expects: bool  # it waits for 100 Continue

    def read(self, head: bytes, recall: Recall, limits: HeadLimits) -> Memo | None:
        """Fill in from the bytes of a head up to and with its empty line. Raises BadMessage; then nothing holds.

        Returns the memo of a head that repeats an earlier one.
        """
        if head.startswith(recall.before) and head.endswith(recall.after):
            digits = head[len(recall.before) : -len(recall.after)]
            if _LENGTH(digits) is not None:
                self._repeat(int(digits), recall)
                return recall.memo
        if not self._look(head, recall, limits) or not self.keep or self.expects or self.length is None:
            return None
        # The second time that a connection sends this request line: remember the head.
        start = head.lower().find(b"\r\ncontent-length: ") + 18
        end = head.find(b"\r\n", start)
        if start > 18 and _LENGTH(head[start:end]) is not None:
            recall.before, recall.after = head[:start], head[end:]
            recall.headers, recall.fields = self.headers.copy(), self.fields.copy()
            recall.memo = Memo()
        return None

    def _repeat(self, length: int, recall: Recall) -> None:
        self.method, self.target, self.path, self.query = recall.method, recall.target, recall.path, recall.query
        self.headers, self.fields = recall.headers.copy(), recall.fields.copy()
        self.length = length
        self.chunked = self.expects = self.old = False
        self.keep = True

    def _look(self, head: bytes, recall: Recall, limits: HeadLimits) -> bool:
        """Read every byte of a head; whether its request line is the one before."""
        lines = head.count(b"\r\n")
        # Every CR and LF belongs to a pair, and no other control byte is there but the tab.
        beside = len(head) - len(head.translate(None, _CONTROL)) - 2 * lines
        if beside and beside != head.count(b"\t"):
            check_line(head, limits)
            raise bad_syntax(head)
        again = head.startswith(recall.line)
        if not again:
            _read_line(head, recall, limits)
        self.method, self.target, self.path, self.query = recall.method, recall.target, recall.path, recall.query
        old = self.old = recall.old
        count = lines - 2
        if count > limits.count or len(head) > limits.line:
            check_size(head, count, limits)
        found = Found()
        parse_request(head, found)
        headers: Fields = []
        fields: dict[bytes, bytes] = {}
        special: dict[bytes, bytes] = {}
        for pair in found.items():
            name = pair[0].lower()
            if name in _SPECIAL:
                special[name] = pair[1]
            else:
                headers.append(pair)
                fields[name] = pair[1]
        # llhttp leaves white space at the end of a value.
        if len(fields) + len(special) != count or beside or b" \r\n" in head:
            headers, fields, special = _repeated(head, count)
        if b"_" in head and any(b"_" in name for name in found):
            raise ambiguous()
        self.headers, self.fields = headers, fields
        host = special.get(b"host")
        if host is not None:
            if host != recall.host:
                check_host(host)
                recall.host = host
            fields[b"host"] = host
        elif not old:
            check_host(b"")
        length = special.get(b"content-length")
        self.chunked = False
        self.length = None
        if b"transfer-encoding" in special:
            self._coded(special[b"transfer-encoding"], length)
        elif length is not None:
            if _LENGTH(length) is None:
                raise bad_framing()
            self.length = int(length)
        self.keep, self.expects = not old, False
        if special.keys() & _RARE or b"content-encoding" in fields:
            self._rare(special)
        return again

    def _coded(self, coding: bytes, length: bytes | None) -> None:
        """Accept a chunked body, of HTTP/1.1 and with no length beside it."""
        if length is not None or self.old:
            raise bad_framing()
        if coding.lower() != b"chunked":
            raise _bad_coding(coding)
        self.chunked = True

    def _rare(self, special: dict[bytes, bytes]) -> None:
        """Fields most requests do not bring, or bring in their default form."""
        connection = special.get(b"connection")
        if connection is not None and connection.lower() != b"keep-alive":
            self._connection(connection, special)
        expect = special.get(b"expect")
        if expect is not None:
            if expect.lower() != b"100-continue":
                raise BadMessage(417, "expectation_failed", "expect", "The only expectation met here is 100-continue.")
            self.expects = not self.old
        coding = self.fields.get(b"content-encoding")
        if coding is not None and coding.lower() != b"identity":
            raise BadMessage(415, "unsupported_content_encoding", "content_encoding", "Send the body without coding.")

    def _connection(self, value: bytes, special: dict[bytes, bytes]) -> None:
        """Obey Connection: close, and drop what it names; credentials stay readable in `fields`."""
        named = {token.strip(b" \t") for token in value.lower().split(b",")}
        if b"close" in named:
            self.keep = False
        if b"upgrade" in named and special.get(b"upgrade", b"").lower().startswith(b"websocket"):
            raise BadMessage(426, "upgrade_refused", "upgrade", "Protocol upgrades are not offered.")
        named -= _SPECIAL
        if named & self.fields.keys():
            self.headers = [pair for pair in self.headers if pair[0].lower() not in named]
            for name in named - CREDENTIALS:
                self.fields.pop(name, None)


def path_of(head: bytes) -> str:
    """The path that a refused head, or the beginning of one, asked for; empty where that is not told beyond doubt. It says in
    whose words to refuse, and nothing else."""
    match = _LINE(head)
    if match is None or not match[2].startswith(b"/"):
        return ""
    try:
        return split_target(match[2], (), secure=False)[0]
    except BadMessage:
        return ""


def parse_request(head: bytes, into: Found | Every) -> None:
    """Run llhttp over a whole head. Raises BadMessage."""
    try:
        httptools.HttpRequestParser(into).feed_data(head)
    except httptools.HttpParserUpgrade:
        return  # asked for, not granted: the field is dropped or refused by who reads it
    except httptools.HttpParserError as error:
        if "length" in str(error).lower() or "encoding" in str(error).lower():
            raise bad_framing() from None
        raise bad_syntax(head) from None


def _repeated(head: bytes, count: int) -> tuple[Fields, dict[bytes, bytes], dict[bytes, bytes]]:
    """The slow way round, for a head with a name that comes twice or space to trim: refuse repetition where that is
    ambiguous, keep the first else."""
    pairs = Every()
    parse_request(head, pairs)
    if len(pairs) != count:  # a folded line
        raise bad_syntax(head)
    headers: Fields = []
    fields: dict[bytes, bytes] = {}
    special: dict[bytes, bytes] = {}
    for pair in pairs:
        name, value = pair[0].lower(), pair[1]
        if name in FRAMING and name in special:
            if name == b"host":
                check_host(b"")
            raise bad_framing()
        if name in special:
            special[name] += b"," + value
        elif name in _SPECIAL:
            special[name] = value
        else:
            if name in fields:
                if name == b"content-encoding":
                    value = b"repeated"  # two codings are never identity
                elif name in _SINGLE or name.startswith(_OWN_PREFIX):
                    raise ambiguous()
                else:
                    value = fields[name]
            headers.append(pair)
            fields[name] = value
    return headers, fields, special


def _read_line(head: bytes, recall: Recall, limits: HeadLimits) -> None:
    match = _LINE(head)
    if match is None:
        check_line(head, limits)
        raise bad_syntax(head)
    method, target, major, minor = match.groups()
    if major != b"1" or minor not in b"01":
        raise bad_version()
    if method not in _METHODS:
        raise BadMessage(
            405, "method_not_allowed", "target" if method == b"CONNECT" else "method", "Method not allowed."
        )
    if len(target) > limits.line:
        raise too_large()
    recall.path, recall.query = split_target(target, limits.own_hosts, secure=limits.secure)
    recall.method = method.decode("ascii")
    recall.target = target
    recall.old = minor == b"0"
    recall.line = match[0]
    recall.before = b"\n"


def check_line(head: bytes, limits: HeadLimits) -> None:
    """Refuse what is not even a request line of HTTP/1: the rest of such a head needs no look (A10)."""
    line = head.split(b"\n", 1)[0].rstrip(b"\r")
    if len(line) > limits.line:
        raise too_large()
    first = line[:1]
    if not first.isalpha() or not first.isascii():
        raise BadMessage(400, "not_http", "version", "This is not an HTTP/1.1 request.")
    if _LINE(line + b"\r\n") is None and (_ANY_VERSION(line) is not None or line.count(b" ") == 1):
        version = line.rpartition(b" HTTP/")[2].strip()
        if version not in {b"1.1", b"1.0"}:
            raise bad_version()


def check_size(head: bytes, count: int, limits: HeadLimits) -> None:
    """Refuse a head over its limits (A12)."""
    if len(head) > limits.total or count > limits.count:
        raise too_large()
    if any(len(line) > limits.line for line in head.split(b"\r\n")):
        raise too_large()


def check_partial(head: bytes, limits: HeadLimits) -> None:
    """Refuse the beginning of a head that can no longer become a good one, so that nobody waits for its end."""
    if b"\n" in head:
        check_line(head, limits)
        complete = head[: head.rfind(b"\n") + 1]
        if complete.count(b"\n") != complete.count(b"\r\n"):
            raise bad_syntax(head)
        if len(head) - len(complete) > limits.line:
            raise too_large()
    elif len(head) > limits.line:
        raise too_large()
    elif not head[:1].isalpha() or not head[:1].isascii():
        raise BadMessage(400, "not_http", "version", "This is not an HTTP/1.1 request.")
    if len(head) > limits.total:
        raise too_large()


def _bad_coding(value: bytes) -> BadMessage:
    codings = [coding.strip(b" \t") for coding in value.lower().split(b",")]
    if codings[-1] == b"chunked" and len(codings) > 1 and all(coding in _CODINGS for coding in codings[:-1]):
        return BadMessage(501, "unsupported_transfer_coding", "te", "The only transfer coding taken is chunked.")
    return bad_framing()


def bad_framing() -> BadMessage:
    """Where the body ends cannot be told beyond doubt (A1, A2, A3)."""
    return BadMessage(400, "bad_framing", "framing", "Content-Length or Transfer-Encoding is not acceptable.")


def bad_syntax(head: bytes) -> BadMessage:
    """A head that is not well-formed; counted as framing where the crooked line is about framing."""
    for line in head.split(b"\n"):
        if _FRAMING_LINE(line) is not None and _PLAIN_FIELD(line.removesuffix(b"\r")) is None:
            return bad_framing()
    return BadMessage(400, "bad_syntax", "syntax", "The request head is not well-formed HTTP/1.1.")


def bad_version() -> BadMessage:
    """HTTP, but not 1.1 or 1.0 (A10)."""
    return BadMessage(505, "unsupported_version", "version", "Only HTTP/1.1 is spoken here.")


def too_large() -> BadMessage:
    """A head over its limits (A12)."""
    return BadMessage(431, "header_too_large", "header_size", "The request line or the header fields are too large.")


def ambiguous() -> BadMessage:
    """A field that parsers would pick or merge differently (A11)."""
    return BadMessage(400, "ambiguous_header", "header_dup", "A header field is repeated or its name holds '_'.")
