"""Two texts: how alike they are, and the few things that turn a meaning round while most of the words stay.

The rule: likeness of words is never proof of likeness of meaning, so numbers, links and negations are compared on their own.
Nothing here costs more than some milliseconds, whatever the texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from rapidfuzz.distance import Indel

MAX_TOKENS = 6_000
"""Tokens of a text that are compared; its length is compared whole."""
REFUSAL_CHARACTERS = 200
"""So far from the start of an answer a refusal is looked for."""
SHORT = 20
"""Texts of fewer characters are not compared by length."""

_tokens = re.compile(r"\d[\d,]*(?:\.\d+)?(?!\w)|\w+|[^\w\s]").findall
_numbers = re.compile(
    r"(?<![\w.])[-+]?\d{1,4}(?:[-/.]\d{1,2}[-/.]\d{1,4})(?![\w])|(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?"
).findall
_links = re.compile(r"https?://[^\s<>()\"'\]]+|[\w.+-]+@[\w-]+\.[\w.-]+").findall
_negations = re.compile(
    r"\b(?:not|no|never|none|nothing|cannot|without|neither|nor)\b|n['\u2019]t\b", re.IGNORECASE
).findall
_fences = re.compile(r"^[ \t]*(```|~~~|#{1,6}(?= )|[-*+](?= )|\d+[.)](?= )|\|)", re.MULTILINE).findall
_refusals = re.compile(
    r"\b(?:i(?:['\u2019]m| am) (?:sorry|afraid|unable|not able|not allowed)|i (?:cannot|can['\u2019]t|won['\u2019]t|will not|must decline)"
    r"|i(?:['\u2019]m| am) not comfortable|as an ai\b|unable to (?:help|assist|comply)|cannot (?:help|assist|comply))",
    re.IGNORECASE,
).search


@dataclass(frozen=True, slots=True)
class Features:
    """What is compared of a text besides its words."""

    numbers: Counter[str]
    links: Counter[str]
    negations: int
    marks: Counter[str]


def features(text: str) -> Features:
    """The numbers (by value), links, negations and Markdown marks of a text."""
    marks = Counter("list" if mark[0] in "-*+0123456789" else mark[0] for mark in _fences(text))
    return Features(
        Counter(map(_value, _numbers(text))),
        Counter(link.rstrip(".,;:!?") for link in _links(text)),
        len(_negations(text)),
        marks,
    )


def normalise(text: str) -> str:
    """A text without what nobody reads: composition of characters, case, white space."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


def similarity(first: str, second: str) -> float:
    """How alike two texts are in their words, 0 to 1: Indel similarity over tokens (rapidfuzz)."""
    if first == second:
        return 1.0
    return float(Indel.normalized_similarity(_words(first), _words(second)))


def _words(text: str) -> list[str]:
    """The tokens that are compared, numbers by value."""
    return [_value(token) if token[0].isdecimal() else token for token in _tokens(normalise(text))[:MAX_TOKENS]]


def sounds_like_refusal(text: str) -> bool:
    """A guess from the first words, in English only: weak, so it is only ever told as suspected."""
    return _refusals(text[:REFUSAL_CHARACTERS]) is not None


def lengths_differ(first: str, second: str) -> bool:
    """Whether one is more than twice as long as the other; short texts are not judged."""
    low, high = sorted((len(first), len(second)))
    return high >= SHORT and high > 2 * low


def _value(number: str) -> str:
    """A number by value: 1,000 and 1000.0 are one; a date stays as written."""
    plain = number.replace(",", "")
    try:
        value = float(plain)
    except ValueError:
        return number
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
