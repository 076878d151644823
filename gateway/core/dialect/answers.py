"""What the decoders of all dialects share: a whole body kept to be read at its end, and an object read as far as it fits.

The rule: what a provider sends never raises. A member of another type than the API's is left out, the others are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Reply

BODY_CAP = 8 << 20
"""Bytes of a whole body that are kept to be read; of a longer one only its end is known."""
UNREADABLE = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)
"""What a decoder raises for text that it cannot read."""

_surrogate = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}").sub
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class WholeBody:
    """A whole body, kept up to a cap and read at its end by the dialect's own `note`."""

    __slots__ = ("_cap", "_pieces", "_size", "observed")

    def __init__(self, cap: int = BODY_CAP) -> None:
        self.observed = Observed()
        self._cap = cap
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """The next piece of the body."""
        self._size += len(data)
        if self._size <= self._cap:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def finish(self) -> Observed:
        """`terminal` when the body is a whole JSON object, or was too long to tell."""
        if self._size > self._cap:
            self.observed.terminal = True
        elif self._pieces:
            body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self.observed.terminal = self.note(body)
        return self.observed

    def note(self, body: bytes) -> bool:
        """Take the body in; False when it is no JSON object."""
        raise NotImplementedError


class Collected:
    """Collects an answer and reads it at its end. `stream` says whether it consists of events."""

    __slots__ = ("_pieces", "_stream")

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """The next piece of the body, cut anywhere."""
        self._pieces.append(data)

    def finish(self) -> Reply:
        """The answer as far as it came. `observed` is what the live decoder says of the same bytes."""
        return self.read(b"".join(self._pieces))

    def read(self, body: bytes) -> Reply:
        """The reply that a whole body is."""
        raise NotImplementedError


def members(text: bytes) -> dict[str, msgspec.Raw] | None:
    """The members of an object as sent; None for what is none. Models write half characters: a lone surrogate escape, which the
    decoder refuses, is read as U+FFFD."""
    try:
        return _members(_surrogate(b"\\\\ufffd", text) if b"\\u" in text else text)
    except UNREADABLE:
        return None


def fitting(text: bytes, parts: Mapping[str, Callable[[msgspec.Raw], Any]]) -> dict[str, Any] | None:
    """The members that are of the type they should be, by `parts`; None for what is no object. An `error` counts whatever it is."""
    given = members(text)
    if given is None:
        return None
    found: dict[str, Any] = {}
    for name, decode in parts.items():
        raw = given.get(name)
        if raw is not None:
            try:
                found[name] = decode(raw)
            except UNREADABLE:
                if name == "error":
                    found[name] = name
    return found
