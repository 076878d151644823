"""The chunked coding, decoded strictly: only CRLF ends a line, sizes are bare hex, extensions and trailers are bounded.

Extensions and trailer fields are checked for their grammar and dropped. Anything else raises ChunkError: a second
parser behind us must never read another message out of the same bytes.
"""

from __future__ import annotations

import re

MAX_LINE = 1024
"""Longest size line, with its extensions."""
MAX_EXTENSIONS = 16 * 1024
"""Extensions of one body, together."""
MAX_TRAILERS = 8 * 1024
"""Trailer section, with all line ends."""
MAX_TRAILER_FIELDS = 32

SIZE_LINES = tuple(b"%x\r\n" % size for size in range(1024))
"""Ready size lines of small chunks."""
_WHOLE = {len(line) + size + 2: line for size, line in enumerate(SIZE_LINES) if size}
"""The size line that a read of so many bytes begins with when it is one whole small chunk."""

_SIZE = re.compile(rb"[0-9A-Fa-f]{1,15}").fullmatch
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SIZE_WITH_EXTENSIONS = re.compile(
    rb"([0-9A-Fa-f]{1,15})((?:;"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"))?)+)'
).fullmatch
_TRAILER = re.compile(rb"([!#$%&'*+.^`|~0-9A-Za-z-]+):[\t -~\x80-\xff]*").fullmatch
# Fields that would change framing, routing or rights were they merged into the head (RFC 9110 section 6.5.1).
_FORBIDDEN = frozenset(
    (b"content-length", b"transfer-encoding", b"host", b"connection", b"trailer", b"te", b"upgrade", b"expect",
     b"content-encoding", b"content-type", b"content-range", b"authorization", b"proxy-authorization", b"x-api-key",
     b"api-key", b"x-goog-api-key", b"set-cookie", b"cookie")
)  # fmt: skip


class ChunkError(ValueError):
    """The bytes are not a chunked body we accept."""


class ChunkDecoder:
    """Takes the bytes of a connection, gives back those of the body. `ended` once the last chunk and trailers are read;
    `rest` then holds the bytes that came after them."""

    __slots__ = ("_between", "_extensions", "_fields", "_need", "_partial", "_trailers", "ended", "rest")

    def __init__(self) -> None:
        self.ended = False
        self.rest = b""
        self._need = 0  # bytes still to come of the chunk at hand, its CRLF included; 0: a size line comes next
        self._between = True  # a size line comes next, and nothing of it is held
        self._partial = b""  # the beginning of a line, or of a chunk's closing CRLF
        self._extensions = 0
        self._trailers = -1  # bytes of the trailer section so far; -1: not there yet
        self._fields = 0

    def feed(self, data: bytes) -> bytes:
        """The body bytes in `data`, b"" when there are none. Not to be called after `ended`. Raises ChunkError."""
        end = len(data)
        if self._between:
            # Most often a read is one whole chunk: an event of a stream.
            line = _WHOLE.get(end)
            if line is not None and data.startswith(line) and data.endswith(b"\r\n"):
                return data[len(line) : -2]
            self._between = False
        need = self._need
        if self._partial:
            data = self._partial + data
            self._partial = b""
            end = len(data)
        if self._trailers >= 0:
            self._read_trailers(data, 0)
            return b""
        position = 0
        pieces: list[bytes] = []
        while position < end:
            if not need:
                line_end = data.find(b"\r\n", position, position + MAX_LINE + 2)
                if line_end < 0:
                    self._keep_line(data, position)
                    break
                line = data[position:line_end]
                if _SIZE(line) is None:
                    line = self._without_extensions(line)
                size = int(line, 16)
                position = line_end + 2
                if not size:
                    self._trailers = 0
                    self._read_trailers(data, position)
                    break
                need = size + 2
            stop = position + need
            if stop <= end:
                if data[stop - 2 : stop] != b"\r\n":
                    raise ChunkError("chunk data does not end where its size says")
                if need > 2:
                    pieces.append(data[position : stop - 2])
                position = stop
                need = 0
                continue
            need = self._take_part(data, position, need, pieces)
            break
        self._need = need
        self._between = not need and not self._partial and self._trailers < 0
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_part(self, data: bytes, position: int, need: int, pieces: list[bytes]) -> int:
        """Take the beginning of a chunk and give what remains; a lone CR of its closing CRLF is kept for the next time."""
        have = len(data) - position
        body = need - 2
        if have <= body:
            pieces.append(data[position:])
            return need - have
        if body:
            pieces.append(data[position : position + body])
        if data[position + body :] != b"\r":
            raise ChunkError("chunk data does not end where its size says")
        self._partial = b"\r"
        return 2

    def _keep_line(self, data: bytes, position: int) -> None:
        partial = data[position:]
        line = partial[:-1] if partial.endswith(b"\r") else partial
        if len(line) > MAX_LINE or b"\n" in line or b"\r" in line:
            raise ChunkError("chunk size line")
        if line and _SIZE(line.split(b";", 1)[0]) is None:
            raise ChunkError("chunk size")
        self._partial = partial

    def _without_extensions(self, line: bytes) -> bytes:
        match = _SIZE_WITH_EXTENSIONS(line)
        if match is None:
            raise ChunkError("chunk size")
        self._extensions += len(match[2])
        if self._extensions > MAX_EXTENSIONS:
            raise ChunkError("chunk extensions are too long")
        return match[1]

    def _read_trailers(self, data: bytes, position: int) -> None:
        while True:
            line_end = data.find(b"\r\n", position)
            if line_end < 0:
                partial = data[position:]
                line = partial[:-1] if partial.endswith(b"\r") else partial
                if self._trailers + len(partial) > MAX_TRAILERS or b"\n" in line or b"\r" in line:
                    raise ChunkError("trailer section")
                self._partial = partial
                return
            line = data[position:line_end]
            self._trailers += line_end + 2 - position
            position = line_end + 2
            if not line:
                self.ended = True
                self.rest = data[position:]
                return
            self._fields += 1
            match = _TRAILER(line)
            if (
                match is None
                or self._trailers > MAX_TRAILERS
                or self._fields > MAX_TRAILER_FIELDS
                or match[1].lower() in _FORBIDDEN
            ):
                raise ChunkError("trailer section")
