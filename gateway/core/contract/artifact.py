"""Artifacts: a prompt or a toolset, addressed by the sha256 of its canonical bytes.

Rule of the file: what an editor or a serialiser changes without meaning it is not part of an artifact; what a model can see
is. So line ends and the newline at the end of a file go, white space between JSON tokens goes, order of members stays.
"""

from __future__ import annotations

import hashlib

import msgspec


class Tool(msgspec.Struct, frozen=True):
    """A tool in neutral words, as every dialect can carry it."""

    name: str
    description: str = ""
    parameters: msgspec.Raw = msgspec.Raw(b"{}")
    """JSON Schema of the arguments, members in the order they were written: a model can see it."""
    strict: bool | None = None
    """Whether arguments must match the schema exactly; None where nobody said."""
    hosted: msgspec.Raw = msgspec.Raw(b"")
    """A tool that the provider itself runs, as its dialect writes it; then the other members are empty."""


def canonical_prompt(text: str) -> bytes:
    """A prompt as UTF-8 with LF line ends and none at its end. Raises ValueError when nothing is left, or for lone surrogates."""
    told = plain(text)
    if not told.strip():
        raise ValueError("the prompt is empty")
    return told.encode()


def plain(text: str) -> str:
    """A text without what an editor changes: byte order mark, CRLF, newlines at the end."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n")


def digest(data: bytes) -> str:
    """The address of canonical bytes: 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
