"""A suite's patterns end on every text, and its schemas ask nobody."""

from __future__ import annotations

import pytest

from gateway.core.gate.patterns import faults, schema_faults


@pytest.mark.parametrize(
    "pattern", [r"\d+[.,]\d{2}", r"(?i)\bfoo\b.*bar", r"(ab)+", r"(?:,\d{3})*", r"[a+)*(]+x", r"\(a+\)", r"(a|b){2}"]
)
def test_plain_patterns_pass(pattern: str) -> None:
    """What people write to find a number, a word or a list is taken as it is."""
    assert list(faults(pattern)) == []


@pytest.mark.parametrize(
    "pattern",
    [r"(a+)+", r"(?:a|aa)*b", r"((a|b)c)+", r"(a{1,3})*b", r"(a?a)*b", r"(x+x+){9,}y", r"(a)\1", r"(a", r"(?P<x>a)(?P=x)", "a*" * 7, "a" * 501],
)  # fmt: skip
def test_patterns_without_an_end_are_refused(pattern: str) -> None:
    """A repeat of what repeats or branches, a reference back, and what is no pattern are told and never run."""
    assert list(faults(pattern))


def test_a_schema_is_whole_by_itself() -> None:
    """A schema that refers elsewhere, is none, or holds a pattern without an end is refused; a usual one is not."""
    assert list(schema_faults({"type": "object", "properties": {"a": {"type": "string", "pattern": "^a+$"}}})) == []
    assert list(schema_faults({"$ref": "https://example.com/x.json"}))
    assert list(schema_faults({"type": "colour"}))
    assert list(schema_faults({"items": [{"pattern": "(a+)+"}]}))
