"""The Redis protocol by hand: commands packed to bytes, replies parsed incrementally, RESP2 and RESP3 with push messages.

Rule of the file: what is not a well-formed reply raises Desync, after which the connection must be dropped; a parser that
guesses would hand one run the stamp of another.
"""

from __future__ import annotations

from typing import Any

BULK_LIMIT = 64 << 20
"""Largest string of a reply; the store holds nothing near it."""
LINE_LIMIT = 64 << 10
DEPTH_LIMIT = 16
COUNT_LIMIT = 1 << 20


class Desync(Exception):
    """The bytes received are not the protocol."""


class ReplyError(Exception):
    """An error the server answered a command with. `kind` is a metric label, `message` the server's words (may quote data)."""

    def __init__(self, message: str) -> None:
        self.kind = kind_of(message)
        self.message = message
        super().__init__(self.kind)


class Push(list[Any]):
    """An out-of-band message (RESP3): answers no command."""


KINDS = {
    "READONLY": "readonly",
    "LOADING": "loading",
    "NOAUTH": "noauth",
    "WRONGPASS": "noauth",
    "NOPERM": "noperm",
    "MOVED": "moved",
    "ASK": "moved",
    "CROSSSLOT": "moved",
    "CLUSTERDOWN": "moved",
    "MISCONF": "misconf",
    "OOM": "oom",
    "NOREPLICAS": "noreplicas",
    "MASTERDOWN": "masterdown",
    "BUSY": "busy",
    "NOSCRIPT": "noscript",
    "WRONGTYPE": "wrongtype",
    "NOPROTO": "noproto",
    "UNBLOCKED": "unblocked",
    "TRYAGAIN": "tryagain",
}
"""First word of an error to its kind; any other is `err`."""


def kind_of(message: str) -> str:
    """The kind of a server error. Servers before 7.0 hide the cause of a script's error behind `ERR Error running script`."""
    kind = KINDS.get(message.partition(" ")[0])
    if kind is not None:
        return kind
    if "script" in message:
        for word, inner in KINDS.items():
            if f"-{word} " in message or f": {word} " in message:
                return inner
    return "err"


def pack(*parts: bytes | str | int) -> bytes:
    """One command as bytes. For commands off the hot path; hot ones are packed with one format operation in place."""
    pieces = [b"*%d\r\n" % len(parts)]
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        pieces.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(pieces)


def argument(part: bytes) -> bytes:
    """One argument of a command, to be put between others packed beforehand."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


class _Incomplete(Exception):
    """More bytes are needed."""


class Parser:
    """Bytes in, whole replies out. Strings are bytes, errors are ReplyError values, null is None, maps are dicts."""

    __slots__ = ("_buffer", "_need", "_pos")

    def __init__(self) -> None:
        self._buffer = b""
        self._need = 0
        self._pos = 0

    def feed(self, data: bytes) -> list[Any]:
        """Every reply that is whole now, in order. Raises Desync."""
        buffer = self._buffer + data if self._buffer else data
        replies: list[Any] = []
        if len(buffer) < self._need:
            self._buffer = buffer
            return replies
        self._need = 0
        start = self._pos = 0
        end = len(buffer)
        try:
            while start < end:
                replies.append(self._value(buffer, 0))
                start = self._pos
        except _Incomplete:
            self._need = max(0, self._need - start)
        self._buffer = buffer[start:]
        return replies

    def _line(self, buffer: bytes) -> bytes:
        start = self._pos + 1
        end = buffer.find(b"\r\n", start)
        if end < 0:
            if len(buffer) - start > LINE_LIMIT:
                raise Desync
            raise _Incomplete
        self._pos = end + 2
        return buffer[start:end]

    def _number(self, buffer: bytes, limit: int) -> int:
        line = self._line(buffer)
        try:
            number = int(line)
        except ValueError:
            raise Desync from None
        if number < -1 or number > limit or b"_" in line or b" " in line:
            raise Desync
        return number

    def _value(self, buffer: bytes, depth: int) -> Any:
        if self._pos >= len(buffer):
            raise _Incomplete
        mark = buffer[self._pos]
        if mark == 36:  # $ bulk string
            return self._bulk(buffer)
        if mark == 58:  # : integer
            return self._integer(buffer)
        if mark in {42, 62, 126}:  # * array, > push, ~ set
            count = self._number(buffer, COUNT_LIMIT)
            if depth > DEPTH_LIMIT:
                raise Desync
            if count < 0:
                return None
            depth += 1
            values = [self._value(buffer, depth) for _ in range(count)]
            return Push(values) if mark == 62 else values
        if mark == 43:  # + simple string
            return self._line(buffer)
        if mark == 45:  # - error
            return ReplyError(self._line(buffer).decode("utf-8", "replace"))
        return self._rare(buffer, mark, depth)

    def _bulk(self, buffer: bytes) -> bytes | None:
        length = self._number(buffer, BULK_LIMIT)
        if length < 0:
            return None
        start = self._pos
        end = start + length
        if len(buffer) < end + 2:
            self._need = end + 2
            raise _Incomplete
        if buffer[end] != 13 or buffer[end + 1] != 10:
            raise Desync
        self._pos = end + 2
        return buffer[start:end]

    def _integer(self, buffer: bytes) -> int:
        try:
            return int(self._line(buffer))
        except ValueError:
            raise Desync from None

    def _rare(self, buffer: bytes, mark: int, depth: int) -> Any:
        if depth > DEPTH_LIMIT:
            raise Desync
        if mark == 95:  # _ null
            self._line(buffer)
            return None
        if mark == 35:  # # boolean
            return self._line(buffer) == b"t"
        if mark == 44:  # , double
            try:
                return float(self._line(buffer))
            except ValueError:
                raise Desync from None
        if mark == 40:  # ( big number
            return self._integer(buffer)
        if mark in {37, 124}:  # % map, | attribute
            count = self._number(buffer, COUNT_LIMIT)
            pairs = [(self._value(buffer, depth + 1), self._value(buffer, depth + 1)) for _ in range(max(count, 0))]
            if mark == 124:
                return self._value(buffer, depth)
            return {key if isinstance(key, bytes | int) else repr(key): value for key, value in pairs}
        if mark == 61:  # = verbatim string: three letters, colon, text
            text = self._bulk(buffer)
            return text[4:] if text else text
        if mark == 33:  # ! long error
            text = self._bulk(buffer)
            return ReplyError((text or b"").decode("utf-8", "replace"))
        raise Desync
