"""The model where a request repeats it: the path names it, and some bodies name it again.

The rule: a body that names another model than its path is refused, for a provider that went by the body would get around the
pin; one that names the same gets the pinned name in both places.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.splice import Members, scan, splice, unbounded

PREFIX, TUNED = "models/", "tunedModels/"
"""Collections of models; the name of a tuned one is kept with its collection."""
INNER = "generateContentRequest"
"""Of countTokens: a whole request for content, with a model of its own."""
SAFE = "-._~@"
"""Characters of a model id that stand in a path as they are (RFC 3986 `pchar`, less what ends a Gemini method name)."""

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode


def in_path(path: str, name: str) -> str:
    """A route's path with the model's name in it; a tuned model brings its own collection."""
    if name.startswith(TUNED):
        return path.replace(f"{PREFIX}{{model}}", TUNED + quote(name.removeprefix(TUNED), safe=SAFE))
    return path.replace("{model}", quote(name, safe=SAFE))


def check(members: Members, asked: str) -> None:
    """Raise Fault 400 `invalid_model` when the body names another model than `asked`, or none that can be read."""
    for holder in _holders(members):
        named = holder.text("model")
        if "model" in holder and (named is None or named.removeprefix(PREFIX) != asked.removeprefix(PREFIX)):
            raise Fault(
                Kind.BAD_REQUEST,
                "invalid_model",
                "A `model` in the body is another than the one in the path. Send the same name, or leave it out.",
                param="model",
                reason="model",
            )


def edits(members: Members, name: str) -> dict[str, bytes | None]:
    """The splices that put a model's name wherever the body names one."""
    found: dict[str, bytes | None] = {}
    if "model" in members:
        found["model"] = _like(members.text("model") or "", name)
    inner = members.get(INNER)
    if inner is not None:
        request = renamed(inner, name)
        if request is not inner:
            found[INNER] = request
    raw = members.get("requests") or b""
    pieces: list[bytes] = []
    position = 0
    for each in _requests(members):
        # Between two requests stand only commas and white space, so the first such bytes are this one.
        start = raw.index(each, position)
        pieces += (raw[position:start], renamed(each, name))
        position = start + len(each)
    requests = b"".join((*pieces, raw[position:]))
    if requests != raw:
        found["requests"] = requests
    return found


def _holders(members: Members) -> Iterator[Members]:
    """What may name a model: the body itself, the request within countTokens, each request of a batch."""
    yield members
    for each in (members.get(INNER) or b"", *_requests(members)):
        if each[:1] == b"{":
            yield scan(each)


def _requests(members: Members) -> list[bytes]:
    """The requests of a batch as sent; Google takes a single one without an array."""
    raw = members.get("requests") or b""
    if raw[:1] == b"{":
        return [raw]
    return [bytes(each) for each in unbounded(_array, raw)] if raw[:1] == b"[" else []


def renamed(holder: bytes, name: str) -> bytes:
    """A request with another model in it; the very same bytes where it names none."""
    if holder[:1] != b"{":
        return holder
    members = scan(holder)
    return splice(members, {"model": _like(members.text("model") or "", name)}) if "model" in members else holder


def _like(sent: str, name: str) -> bytes:
    """The new name as the old one was written: with `models/` before it, or without."""
    if sent.startswith(PREFIX) and not name.startswith(TUNED):
        name = PREFIX + name
    return msgspec.json.encode(name)
