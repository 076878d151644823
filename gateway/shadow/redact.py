"""What of a pair may be kept, by the capture mode of its tenant. Runs before anything is readable by people.

The rule: a mode lower than another never keeps a byte more. `metrics` keeps numbers and which dimensions differ, `hashes` also lets
equal values be recognised, `redacted` keeps texts with what looks personal taken out, `full` keeps everything.
Redaction by pattern is a net with holes: names and free text about people pass. Whoever must not keep those uses `hashes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256

import msgspec

from gateway.core.contract.pair import Difference, Line

PATTERNS: Sequence[tuple[str, str]] = (
    ("email", r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
    ("key", r"\b(?:sk|pk|rk|ghp|gho|xox[abp]|AKIA|AIza)[-_A-Za-z0-9]{12,200}"),
    ("jwt", r"\beyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,2000}"),
    ("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    ("card", r"\b\d(?:[ -]?\d){12,18}\b"),
    ("ip", r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    ("phone", r"(?<![\w.-])\+?\d{1,3}[ .-]?\(?\d{2,4}\)?(?:[ .-]?\d{2,4}){2,4}(?![\w.-])"),
)
"""What is taken out by default: a name, and a pattern of bounded length. In this order: an earlier one takes first."""


_strings = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"').sub
_bare = re.compile(r"(?<=[:,\[\s])\d{13,19}(?=[,\]}\s])").sub


class Redactor:
    """Takes out what its patterns match, leaving `[name]` in its place."""

    __slots__ = ("_patterns",)

    def __init__(self, own: Iterable[str] = ()) -> None:
        """`own` are the operator's patterns, beside the default ones. Raises ValueError naming one that is no pattern."""
        found: list[tuple[str, re.Pattern[str]]] = []
        for pattern in own:
            try:
                found.append(("redacted", re.compile(pattern)))
            except re.error as error:
                raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
        found += [(name, re.compile(pattern)) for name, pattern in PATTERNS]
        self._patterns = tuple(found)

    def text(self, said: str) -> str:
        """A text without what the patterns match."""
        for name, pattern in self._patterns:
            said = pattern.sub(f"[{name}]", said)
        return said

    def body(self, data: bytes) -> bytes:
        """A body, JSON or a stream of it, redacted within its strings; a bare number that may be a card's becomes a string."""
        text = _bare(lambda match: f'"{self.text(match[0])}"', data.decode("utf-8", "replace"))
        return _strings(lambda match: f'"{self.text(match[1])}"', text).encode()


def line(found: Line, mode: str, redactor: Redactor) -> Line:
    """A line with its differences' values as the mode allows."""
    return msgspec.structs.replace(
        found,
        differences=tuple(_difference(each, mode, redactor) for each in found.differences),
        noise=tuple(_difference(each, mode, redactor) for each in found.noise),
    )


def body(data: bytes, mode: str, redactor: Redactor) -> bytes:
    """A request's or answer's bytes as the mode allows; empty for modes that keep no contents."""
    if mode == "full":
        return data
    return redactor.body(data) if mode == "redacted" else b""


def _difference(each: Difference, mode: str, redactor: Redactor) -> Difference:
    if mode == "full":
        return each
    return msgspec.structs.replace(
        each,
        path=each.path if mode == "redacted" else _path(each.path),
        primary=_value(each.primary, mode, redactor),
        candidate=_value(each.candidate, mode, redactor),
    )


def _value(value: str, mode: str, redactor: Redactor) -> str:
    if not value or mode not in ("hashes", "redacted"):
        return ""
    return redactor.text(value) if mode == "redacted" else f"sha256:{sha256(value.encode()).hexdigest()[:16]}"


def _path(path: str) -> str:
    """Only where in the answer, not which member: names of members may be contents too."""
    return re.match(r"\$(?:\[\d+\])?(?:\.(?:text|calls)(?:\[\d+\])?)?", path)[0]  # type: ignore[index]
