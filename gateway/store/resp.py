"""The Redis protocol: commands packed to bytes here, replies parsed incrementally by hiredis, RESP2 and RESP3 with push messages.

Rule of the file: what is not a well-formed reply raises Desync, after which the connection must be dropped; nothing of the
same read is handed out then. The parser takes every length at its word, as one may from one's own store, so whoever acts
for one run checks that the reply names it (`Binder`).
"""

from __future__ import annotations

from typing import Any

import hiredis

UNREAD_LIMIT = 64 << 20
"""Bytes of one reply that are kept while it is not whole; the store holds nothing near it."""

Push = hiredis.PushNotification
"""An out-of-band message (RESP3), a list: answers no command."""
_MORE = object()


class Desync(Exception):
    """The bytes received are not the protocol."""


class ReplyError(Exception):
    """An error the server answered a command with. `kind` is a metric label, `message` the server's words (may quote data)."""

    def __init__(self, message: str) -> None:
        self.kind = kind_of(message)
        self.message = message
        super().__init__(self.kind)


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


def literal(text: str) -> bytes:
    """Text as part of a template for `%`."""
    return text.replace("%", "%%").encode()


class Parser:
    """Bytes in, whole replies out. Strings are bytes, errors are ReplyError values, null is None, maps are dicts, sets lists."""

    __slots__ = ("_feed", "_next", "_reader")

    def __init__(self) -> None:
        self._reader = hiredis.Reader(protocolError=Desync, replyError=ReplyError, notEnoughData=_MORE)
        self._feed = self._reader.feed
        self._next = self._reader.gets

    def feed(self, data: bytes) -> list[Any]:
        """Every reply that is whole now, in order. Raises Desync."""
        try:
            self._feed(data)
            replies = list(iter(self._next, _MORE))
        except (TypeError, MemoryError):  # a map whose key cannot be one, a length that no reply has
            raise Desync from None
        if not replies and self._reader.len() > UNREAD_LIMIT:
            raise Desync
        return replies
