"""Finds the top-level members of a JSON body and replaces, drops or appends some without touching any other byte.

The rule of this file: a body that two parsers could read differently is refused before anything is decided from it.
So the grammar is checked in full (RFC 8259), as are UTF-8, surrogate pairs, the depth, numbers no double can hold, and
that no top-level name stands twice, however it is escaped. Numbers, white space and order pass as written.

Memory grows with the body, never with the number of values in it: nothing is decoded that is not asked for. No body
costs more than some tenths of a second: what would is refused as too large, however few its bytes.
"""

from __future__ import annotations

import re
import sys
from codecs import utf_8_decode
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec
import orjson

from gateway.core.contract.fault import Fault, Kind

MAX_DEPTH = 1024
"""Levels of nesting handled; one more is refused. orjson stops at the same depth, so what is stored can be read."""
DEEP_BYTES = 4 << 20
"""Largest body that may be nested deeper than the interpreter's own recursion limit: its referee builds every value."""

MAX_MEMBERS = 10_000
"""Top-level members of a body; each costs about a microsecond. The largest API here knows fewer than a hundred."""
LARGE_BYTES, MAX_COLONS = 4 << 20, 1_000_000
"""A body over LARGE_BYTES may hold this many colons: each could be a top-level member, which the decoder builds."""
MAX_SUSPECTS = 100_000
"""Places that look like a number with a large exponent; each costs about a microsecond. A book in hex has fewer."""

VIEW_BYTES = 8192
"""Bodies longer than this are joined from views."""
PIECE_BYTES = 16384
"""So much text is decoded at a time to prove that it is UTF-8."""

T = TypeVar("T")

_GUARDED = sys.version_info < (3, 12)
"""CPython 3.11 counts C recursion against a limit below MAX_DEPTH; later ones allow more, so the brackets are looked at."""

SHALLOW = 64
"""Levels that are proven cheaply; a body of many brackets that is nested deeper is read by the referee."""
_strings = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"').sub
_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[]{}")

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode
_member = re.compile(rb'[ \t\n\r]*[,{][ \t\n\r]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t\n\r]*:[ \t\n\r]*').match
_close = re.compile(rb"[ \t\n\r]*\}").match

_SHAPE = bytes(ord("0") if c in b"0123456789.+" else ord("e") if c in b"eE" else ord("x") for c in range(256))
_EXPONENT, _LONG = b"0e000", b"0" * 200
"""Either an exponent has three digits or the digits before it are more than 200: else a number is below 1e308."""
_BEFORE = frozenset(b":,[ \t\r\n-")
_AFTER = frozenset(b",]} \t\r\n")


class Members:
    """The top-level members of a body, in order, and where they stand. Bound to the exact bytes it was made from."""

    __slots__ = ("body", "close", "open", "spans")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.spans: dict[str, tuple[int, int]] = {}
        """Name to (start of its value, end of its value), in order."""
        self.open = 0
        """Offset of the object's `{`."""
        self.close = 0
        """Offset of the object's `}`."""

    def __contains__(self, name: str) -> bool:
        return name in self.spans

    def __iter__(self) -> Iterator[str]:
        return iter(self.spans)

    def __len__(self) -> int:
        return len(self.spans)

    def get(self, name: str) -> bytes | None:
        """The value's bytes as sent, without white space around it; None when there is no such member."""
        span = self.spans.get(name)
        return None if span is None else self.body[span[0] : span[1]]

    def text(self, name: str) -> str | None:
        """The value as a string; None when the member is absent or is not a string."""
        span = self.spans.get(name)
        if span is None or self.body[span[0]] != 0x22:
            return None
        raw = self.body[span[0] : span[1]]
        return _text(raw) if raw.find(b"\\") >= 0 else raw[1:-1].decode()


def scan(body: bytes) -> Members:
    """Validate a body and find its top-level members.

    Raises Fault 400: `invalid_json` (reason `json`), `json_depth` (reason `json_depth`) or `duplicate_key` (reason
    `json_dup`); 413 `body_too_large` (reason `body_size`) for more members or number-like text than any API takes. A body
    that is valid JSON but no object is `invalid_json` too.
    """
    if len(body) > LARGE_BYTES and body.count(b":") > MAX_COLONS:
        raise _oversize()
    raws = _grammar(body)
    if len(raws) > MAX_MEMBERS:
        raise _oversize()
    members = Members(body)
    spans = members.spans
    end = 0
    for name, raw in raws.items():
        start = end + len(name) + 4
        end = start + len(raw)
        spans[name] = start, end
    if end + 1 == len(body):
        # Names, values and the least punctuation fill the body, as the official SDKs write it: there is no white space, no
        # escape in a name, and no member that the decoder's dict lost to a second one of its name.
        members.close = end
        return members
    spans.clear()
    position = 0
    for name, raw in raws.items():
        found = _member(body, position)
        # A name or value out of step with the decoder's means that an earlier value was overwritten by a later one.
        if found is None or (found[1] != name.encode() and not _same(found[1], name)):
            raise _duplicate()
        start = found.end()
        if not body.startswith(raw, start):
            raise _duplicate()
        position = start + len(raw)
        spans[name] = (start, position)
    members.open = body.index(b"{")
    if not spans:
        position = members.open + 1
    last = _close(body, position)
    if last is None:
        raise _duplicate()
    members.close = last.end() - 1
    return members


def splice(members: Members, edits: Mapping[str, bytes | None]) -> bytes:
    """The body with members replaced (bytes, which must be JSON), dropped (None) or appended; every other byte as sent.

    A dropped member goes with the white space around it and one comma. Dropping what is not there changes nothing.
    """
    body, spans = members.body, members.spans
    if len(edits) == 1:
        ((name, value),) = edits.items()
        span = spans.get(name)
        if value is not None and span is not None:
            # Through views every byte is copied once; to make them costs as much as to copy a short body twice.
            view = memoryview(body) if len(body) > VIEW_BYTES else body
            return b"".join((view[: span[0]], value, view[span[1] :]))
    if not spans:
        added = [_pair(name, value) for name, value in edits.items() if value is not None]
        return b"".join((body[: members.close], b",".join(added), body[members.close :]))
    # A region is what stands between two commas, white space included: the kept ones are joined again by commas.
    regions = []
    before = members.open
    left = len(spans)
    for name, (start, end) in spans.items():
        left -= 1
        after = body.index(b",", end) if left else members.close
        if name not in edits:
            regions.append(body[before + 1 : after])
        else:
            value = edits[name]
            if value is not None:
                regions.append(b"".join((body[before + 1 : start], value, body[end:after])))
        before = after
    regions += [_pair(name, value) for name, value in edits.items() if value is not None and name not in spans]
    return b"".join((body[: members.open + 1], b",".join(regions), body[members.close :]))


def unbounded(decode: Callable[[bytes | msgspec.Raw], T], raw: bytes | msgspec.Raw) -> T:
    """Decode a value of an already scanned body, however near to MAX_DEPTH it is nested.

    CPython 3.11 charges a C decoder's recursion to the interpreter's limit, which the caller's own frames share. The limit
    is raised for this one call only: nothing else of this thread runs meanwhile.
    """
    try:
        return decode(raw)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(limit + MAX_DEPTH + 64)
        try:
            return decode(raw)
        finally:
            sys.setrecursionlimit(limit)


def _grammar(body: bytes) -> dict[str, msgspec.Raw]:
    try:
        if not body.isascii():
            _utf8(body)
        try:
            raws = _decode(body)
        except RecursionError:
            _referee(body)
            raws = unbounded(_decode, body)
        if not _GUARDED and body.count(b"[") + body.count(b"{") > MAX_DEPTH and not _shallow(body):
            _referee(body)
    except msgspec.ValidationError:
        raise _invalid("The request body must be a JSON object.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _invalid("The request body is not valid JSON in UTF-8.") from None
    _finite(body)
    return raws


def _utf8(body: bytes) -> None:
    """Raise UnicodeDecodeError for bytes that are no UTF-8.

    In pieces: decoded whole, a single emoji would make the text four times as large as the body.
    """
    if len(body) <= PIECE_BYTES:
        str(body, "utf-8")
        return
    view, size, position = memoryview(body), len(body), 0
    while position < size:
        end = position + PIECE_BYTES
        # A character that the piece's end cuts is left to the next piece.
        position += utf_8_decode(view[position:end], "strict", end >= size)[1]


def _shallow(body: bytes) -> bool:
    """Whether a valid body is nested within SHALLOW levels: brackets outside strings vanish pair by pair, innermost first."""
    left = _strings(b"", body).translate(None, _NOT_BRACKETS)
    for _ in range(SHALLOW):
        if not left:
            return True
        left = left.replace(b"[]", b"").replace(b"{}", b"")
    return not left


def _referee(body: bytes) -> None:
    """Refuse more than MAX_DEPTH levels, exactly."""
    if len(body) > DEEP_BYTES:
        raise _deep()
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        word = str(error).lower()
        if "depth" in word or "recursion" in word:
            raise _deep() from None
        raise _invalid("The request body is not valid JSON in UTF-8.") from None


def _finite(body: bytes) -> None:
    """Refuse a number that becomes infinity in a double, such as 1e400: parsers disagree about what it is.

    `body` is valid JSON. Runs on the shape of the bytes: a search for an exponent of three digits or a very long run.
    """
    shape = body.translate(_SHAPE)
    # Backwards, because that search stops less often and takes half the time on prose. Ordinary bodies end here.
    if shape.rfind(_EXPONENT) < 0 and shape.find(_LONG) < 0:
        return
    suspects: list[int] = []
    seen = 0
    for needle in (_EXPONENT, _LONG):
        position = 0
        while (hit := shape.find(needle, position)) >= 0:
            seen += 1
            if seen > MAX_SUSPECTS:
                raise _oversize()
            left = max(shape.rfind(b"x", position, hit) + 1, position)
            position = right = shape.find(b"x", hit)  # the closing brace at the latest
            if body[left - 1] in _BEFORE and body[right] in _AFTER:
                try:
                    infinite = float(body[left:right]) == float("inf")
                except ValueError:
                    continue
                if infinite:
                    suspects.append(left)
    if not suspects:
        return
    # In a string it is only text, and stays valid JSON when its first digit becomes a letter; a number does not.
    poisoned = bytearray(body)
    for left in suspects:
        poisoned[left] = 0x78
    try:
        unbounded(_decode, bytes(poisoned))
    except msgspec.DecodeError:
        raise _invalid("The request body holds a number that is too large.") from None


def _same(escaped: bytes, name: str) -> bool:
    return b"\\" in escaped and _text(b'"%b"' % escaped) == name


def _pair(name: str, value: bytes) -> bytes:
    return b"%b:%b" % (msgspec.json.encode(name), value)


def _invalid(message: str) -> Fault:
    return Fault(Kind.BAD_REQUEST, "invalid_json", message, reason="json")


def _deep() -> Fault:
    message = f"The request body is nested deeper than {MAX_DEPTH} levels."
    return Fault(Kind.BAD_REQUEST, "json_depth", message, reason="json_depth")


def _oversize() -> Fault:
    message = "The request body holds more members or number-like text than any model API takes."
    return Fault(Kind.TOO_LARGE, "body_too_large", message, reason="body_size")


def _duplicate() -> Fault:
    message = "A top-level member of the request body stands twice; send each member once."
    return Fault(Kind.BAD_REQUEST, "duplicate_key", message, reason="json_dup")
