"""The prompt within a `systemInstruction`: the first of its parts that is text."""

from __future__ import annotations

import msgspec

from gateway.core.dialect.splice import scan, splice, unbounded


class Part(msgspec.Struct, gc=False):
    """A part, as far as it is text."""

    text: str | None = None


_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_part = msgspec.json.Decoder(Part).decode


def text(instruction: bytes) -> str | None:
    """The text of the first text part; None where there is none."""
    if instruction[:1] != b"{":
        return None
    parts = _parts(bytes(unbounded(_object, instruction).get("parts", b"")))
    return next((found for found in map(_said, parts) if found is not None), None)


def replaced(instruction: bytes, new: str) -> bytes:
    """The instruction with another text; where it has no text part, the new one stands first. Its other parts and members
    keep their bytes. What is no object is replaced whole, for the provider would not read it.

    Raises Fault 400 `duplicate_key` when the instruction, or the part, has a member twice.
    """
    encoded = msgspec.json.encode(new)
    if instruction[:1] != b"{":
        return b'{"parts":[{"text":%b}]}' % encoded
    members = scan(instruction)
    parts = _parts(members.get("parts") or b"")
    for index, part in enumerate(parts):
        if _said(part) is not None:
            parts[index] = splice(scan(part), {"text": encoded})
            break
    else:
        parts.insert(0, b'{"text":%b}' % encoded)
    return splice(members, {"parts": b"[" + b",".join(parts) + b"]"})


def _parts(raw: bytes) -> list[bytes]:
    """The parts as sent; Google takes a single one without an array."""
    if raw[:1] == b"{":
        return [raw]
    return [bytes(part) for part in unbounded(_array, raw)] if raw[:1] == b"[" else []


def _said(part: bytes) -> str | None:
    try:
        return unbounded(_part, part).text
    except msgspec.ValidationError:
        return None
