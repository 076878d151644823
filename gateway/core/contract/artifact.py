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
    plain = text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n")
    if not plain.strip():
        raise ValueError("the prompt is empty")
    return plain.encode()


def canonical_tools(text: str | bytes) -> bytes:
    """A toolset: a JSON array of objects without white space between tokens. Raises ValueError that says what is wrong."""
    try:
        tools = msgspec.json.decode(text, type=list[dict[str, object]])
    except msgspec.ValidationError as error:
        raise ValueError("the toolset must be a JSON array of tool objects, as a request carries it") from error
    except msgspec.DecodeError as error:
        raise ValueError(f"the toolset is not JSON: {error}") from error
    if not tools:
        raise ValueError("the toolset is empty; leave the tools `as-sent` if the release does not govern them")
    return msgspec.json.encode(tools)


def digest(data: bytes) -> str:
    """The address of canonical bytes: 64 hex digits."""
    return hashlib.sha256(data).hexdigest()
