"""Response heads of an upstream: split by llhttp, held to the same strictness as requests.

Anything that two parsers could frame differently raises UpstreamBroken, so that no answer can bleed into the next one.
"""

from __future__ import annotations

import re

import httptools

from gateway.wire.errors import UpstreamBroken
from gateway.wire.heads import HOP_BY_HOP, Every, Fields, Found

HEAD_BYTES = 64 * 1024
"""Largest head of an answer."""
HEAD_FIELDS = 256

_SPECIAL = HOP_BY_HOP | {b"content-length"}
_CONTROL = bytes((*range(32), 127))
_COMMON = b"HTTP/1.1 200 OK\r\n"
_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([\t -~\x80-\xff]*))?\r\n").match
_LENGTH = re.compile(rb"[0-9]{1,18}").fullmatch


class ReplyHead:
    """The head of one answer, final or 1xx."""

    __slots__ = ("chunked", "declared", "fields", "headers", "keep", "length", "reason", "status")

    status: int
    reason: bytes
    headers: Fields  # end-to-end fields only, as sent
    fields: dict[bytes, bytes]  # lower-case name to first value of `headers`
    length: int | None  # of the body; None when it is chunked or ends with the connection
    declared: int | None  # what an answer without a body (to HEAD) says that a body would have; set for those only
    chunked: bool
    keep: bool  # the upstream lets the connection live on

    def read(self, head: bytes, method: str) -> None:
        """Fill in from the bytes of a head up to and with its empty line. Raises UpstreamBroken."""
        lines = head.count(b"\r\n")
        # Every CR and LF belongs to a pair, and no other control byte is there but the tab.
        beside = len(head) - len(head.translate(None, _CONTROL)) - 2 * lines
        if beside and beside != head.count(b"\t"):
            raise UpstreamBroken("syntax")
        if head.startswith(_COMMON):
            self.status = 200
            self.reason = b"OK"
            old = False
        else:
            old = self._read_line(head)
        count = lines - 2
        if count > HEAD_FIELDS:
            raise UpstreamBroken("head_size")
        found = Found()
        _parse(head, found)
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
        if len(fields) + len(special) != count or beside or head.find(b" \r\n") >= 0:
            headers, fields, special = _repeated(head, count)
        self.headers = headers
        self.fields = fields
        self.keep = not old
        connection = special.get(b"connection")
        if connection is not None and connection.lower() != b"keep-alive":
            self._connection(connection)
        status = self.status
        length = special.get(b"content-length")
        if status == 200 and length is not None and method != "HEAD" and b"transfer-encoding" not in special:
            if _LENGTH(length) is None:
                raise UpstreamBroken("framing")
            self.chunked = False
            self.length = int(length)
        else:
            self._frame(special, bodiless=method == "HEAD" or status in {204, 304} or status < 200, old=old)

    def _read_line(self, head: bytes) -> bool:
        """Read the status line; whether it is HTTP/1.0."""
        match = _LINE(head)
        if match is None:
            raise UpstreamBroken("syntax" if head.startswith(b"HTTP/1.") else "version")
        minor, status, reason = match.groups()
        self.status = int(status)
        self.reason = reason or b""
        return minor == b"0"

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
            self.declared = int(length) if length is not None else None
        elif coding is not None:
            self.chunked = True
        elif length is not None:
            self.length = int(length)
        else:
            self.keep = False


def _parse(head: bytes, into: Found | Every) -> None:
    try:
        httptools.HttpResponseParser(into).feed_data(head)
    except httptools.HttpParserUpgrade:
        return  # refused by who sees the status
    except httptools.HttpParserError as error:
        text = str(error).lower()
        raise UpstreamBroken("framing" if "length" in text or "encoding" in text else "syntax") from None


def _repeated(head: bytes, count: int) -> tuple[Fields, dict[bytes, bytes], dict[bytes, bytes]]:
    """The slow way round, for a head with a name that comes twice: framing may not, lists are joined, first values kept."""
    pairs = Every()
    _parse(head, pairs)
    if len(pairs) != count:  # a folded line
        raise UpstreamBroken("syntax")
    headers: Fields = []
    fields: dict[bytes, bytes] = {}
    special: dict[bytes, bytes] = {}
    for pair in pairs:
        name = pair[0].lower()
        if name not in _SPECIAL:
            headers.append(pair)
            fields.setdefault(name, pair[1])
        elif name not in special:
            special[name] = pair[1]
        elif name in {b"content-length", b"transfer-encoding"}:
            raise UpstreamBroken("framing")
        else:
            special[name] += b"," + pair[1]
    return headers, fields, special
