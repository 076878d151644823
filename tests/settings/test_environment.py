"""References to the environment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.environment import ReferenceProblem, expand

ENVIRONMENT = {"KEY": "value", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected", "referenced"),
    [
        ("plain $KEY", "plain $KEY", False),
        ("${KEY}", "value", True),
        ("a${KEY}b${KEY}c", "avaluebvaluec", True),
        ("${NOPE:-client}", "client", True),
        ("${EMPTY:-client}", "client", True),
        ("${EMPTY}", "", True),
        ("${NOPE:-}", "", True),
        ("$${KEY}", "${KEY}", False),
    ],
)
def test_references(text: str, expected: str, referenced: bool) -> None:
    """References are filled in like a shell's; `$${` is a literal."""
    assert expand(text, ENVIRONMENT) == (expected, referenced)


def test_unset_names_the_variable_only() -> None:
    """A variable that is not set is an error that names it."""
    with pytest.raises(ReferenceProblem, match="NOPE"):
        expand("${KEY} and ${NOPE}", ENVIRONMENT)


@pytest.mark.parametrize("text", ["${", "${}", "${a b}", "${1A}", "${KEY", "${KEY-x}"])
def test_broken_references(text: str) -> None:
    """A reference that is not written right is an error, never left standing."""
    with pytest.raises(ReferenceProblem, match="broken reference"):
        expand(text, ENVIRONMENT)


@given(st.text(max_size=60), st.text(min_size=4, max_size=20))
def test_no_value_in_a_message(text: str, value: str) -> None:
    """Whatever the text, an error never holds what a variable held."""
    marked = f"<<{value}>>"
    try:
        expand(text + "${KEY}${NOPE}", {"KEY": marked})
    except ReferenceProblem as problem:
        assert marked not in str(problem)
