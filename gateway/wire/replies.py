"""Response heads of an upstream: split by llhttp, held to the same strictness as requests.

Anything that two parsers could frame differently raises UpstreamBroken, so that no answer can bleed into the next one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import httptools

from gateway.wire.errors import UpstreamBroken
from gateway.wire.heads import HOP_BY_HOP, Fields, Sink

HEAD_BYTES = 64 * 1024
"""Largest head of an answer."""
HEAD_FIELDS = 256

_SPECIAL = HOP_BY_HOP | {b"content-length"}
_CONTROL = bytes((*range(9), *range(10, 32), 127))
_FOLD = re.compile(rb"\n[ \t]").search
_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t -~\x80-\xff]*))?\r\n").match
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch


class ReplyHead:
    """The head of one answer, final or 1xx."""

    __slots__ = ("chunked", "fields", "headers", "keep", "length", "reason", "status")

    status: int
    reason: bytes
    headers: Fields  # end-to-end fields only, as sent
    fields: dict[bytes, bytes]  # lower-case name to first value of `headers`
    length: int | None  # of the body; None when it is chunked or ends with the connection
    chunked: bool
    keep: bool  # the upstream lets the connection live on

    def read(self, head: bytes, method: str) -> None:
        """Fill in from the bytes of a head up to and with its empty line. Raises UpstreamBroken."""
        lines = head.count(b"\r\n")
        if len(head) - len(head.translate(None, _CONTROL)) != 2 * lines or _FOLD(head) is not None:
            raise UpstreamBroken("syntax")
        match = _LINE(head)
        if match is None:
            raise UpstreamBroken("version" if not head.startswith(b"HTTP/1.") else "syntax")
        minor, status, reason = match.groups()
        self.status = int(status)
        self.reason = reason or b""
        count = lines - 2
        if count > HEAD_FIELDS:
            raise UpstreamBroken("head_size")
        special = self._split(head, count)
        connection = special.get(b"connection")
        self.keep = minor == b"1"
        if connection is not None and connection.lower() != b"keep-alive":
            self._connection(connection)
        bodiless = method == "HEAD" or self.status in {204, 304} or self.status < 200
        self._frame(special, bodiless=bodiless, old=minor == b"0")

    def _split(self, head: bytes, count: int) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        _parse(head, found.setdefault)
        pairs: Iterable[tuple[bytes, bytes]] = found.items()
        if len(found) != count:
            every: Fields = []
            _parse(head, lambda name, value: every.append((name, value)))
            if len(every) != count:
                raise UpstreamBroken("syntax")
            pairs = every
        headers: Fields = []
        fields: dict[bytes, bytes] = {}
        special: dict[bytes, bytes] = {}
        for pair in pairs:
            name = pair[0].lower()
            if name in _SPECIAL:
                if name in special:
                    if name in {b"content-length", b"transfer-encoding"}:
                        raise UpstreamBroken("framing")
                    special[name] += b"," + pair[1]
                else:
                    special[name] = pair[1]
            else:
                headers.append(pair)
                fields.setdefault(name, pair[1])
        self.headers = headers
        self.fields = fields
        return special

    def _connection(self, value: bytes) -> None:
        named = {token.strip(b" \t") for token in value.lower().split(b",")}
        if b"close" in named:
            self.keep = False
        named -= _SPECIAL
        if named & self.fields.keys():
            self.headers = [pair for pair in self.headers if pair[0].lower() not in named]
            for name in named:
                self.fields.pop(name, None)

    def _frame(self, special: dict[bytes, bytes], *, bodiless: bool, old: bool) -> None:
        length = special.get(b"content-length")
        coding = special.get(b"transfer-encoding")
        self.chunked = False
        self.length = None
        if coding is not None and (length is not None or coding.lower() != b"chunked" or old):
            raise UpstreamBroken("framing")
        if length is not None and _LENGTH(length) is None:
            raise UpstreamBroken("framing")
        if bodiless:
            self.length = 0
        elif coding is not None:
            self.chunked = True
        elif length is not None:
            self.length = int(length)
        else:
            self.keep = False


def _parse(head: bytes, on_header: Callable[[bytes, bytes], object]) -> None:
    try:
        httptools.HttpResponseParser(Sink(on_header)).feed_data(head)
    except httptools.HttpParserUpgrade:
        return  # refused by who sees the status
    except httptools.HttpParserError as error:
        text = str(error).lower()
        raise UpstreamBroken("framing" if "length" in text or "encoding" in text else "syntax") from None
