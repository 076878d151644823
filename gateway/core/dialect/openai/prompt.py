"""The prompt within one system message of a chat: its content, or the first text part of it."""

from __future__ import annotations

import msgspec

from gateway.core.dialect.splice import scan, splice, unbounded


class Part(msgspec.Struct, gc=False):
    """A part of a message's content, as far as it is text."""

    text: str | None = None


_content = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_part = msgspec.json.Decoder(Part).decode
_string = msgspec.json.Decoder(str).decode


def text(item: bytes) -> str:
    """The text of a system message; empty where its content holds none."""
    raw = unbounded(_content, item).get("content")
    content = bytes(raw) if raw is not None else b""
    if content[:1] == b'"':
        return _string(content)
    if content[:1] != b"[":
        return ""
    return next((found for found in map(_said, unbounded(_parts, content)) if found is not None), "")


def replaced(item: bytes, new: str, kind: str = "text") -> bytes:
    """The message with another text; its other members, and the other parts of its content, keep their bytes. `kind` is
    the type of a text part, where one has to be added.

    Raises Fault 400 `duplicate_key` when the message, or the part, has a member twice.
    """
    members = scan(item)
    content = members.get("content") or b""
    if content[:1] != b"[":
        return splice(members, {"content": msgspec.json.encode(new)})
    parts = [bytes(part) for part in unbounded(_parts, content)]
    for index, part in enumerate(parts):
        if _said(part) is not None:
            parts[index] = splice(scan(part), {"text": msgspec.json.encode(new)})
            break
    else:
        parts.insert(0, b'{"type":"%b","text":%b}' % (kind.encode(), msgspec.json.encode(new)))
    return splice(members, {"content": b"[" + b",".join(parts) + b"]"})


def message(new: str) -> bytes:
    """A system message of its own."""
    return b'{"role":"system","content":%b}' % msgspec.json.encode(new)


def _said(part: bytes | msgspec.Raw) -> str | None:
    try:
        return unbounded(_part, part).text
    except msgspec.ValidationError:
        return None
