"""Prompt templates: what is written is what is rendered, and what is rendered is recognised."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, reject
from hypothesis import strategies as st

from gateway.core.contract.prompt import Value, as_text, escape, parse

NAMES = st.sampled_from(["name", "a.b-c", "_x", "tier"])
TEXTS = st.text(alphabet="ab{}\\ \nñ", max_size=12)
VALUES = st.one_of(TEXTS, st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(st.one_of(TEXTS.map(escape), NAMES.map("{{%s}}".__mod__)), max_size=6), st.data())
def test_a_rendered_prompt_is_recognised(pieces: list[str], data: st.DataObject) -> None:
    """Whatever the values hold, the rendered text matches with them, and without them; another text does not match."""
    source = re.sub(r"\\(?=\{\{[a-z_])", "", "".join(pieces)).strip("\n") or "x"
    try:
        template = parse(source)
    except ValueError:
        reject()
    values: dict[str, Value] = {name: data.draw(VALUES) for name in sorted(template.variables)}
    rendered = template.render(values)
    assert template.departs(rendered, values) is None
    assert template.departs(rendered, {}) is None
    assert template.missing(values) == ""
    if not template.variables:
        assert template.departs(rendered + "!", values) is not None


@given(TEXTS)
def test_escaped_text_stands_for_itself(text: str) -> None:
    """Any text can be written in a template."""
    template = parse(escape(text))
    assert (template.render({}), template.variables, template.uses_app) == (text, frozenset(), False)


def test_values_are_data() -> None:
    """A value that looks like a variable is not expanded; numbers and booleans are written as JSON has them."""
    template = parse("{{a}} {{ b }} {{c}} {{app}}")
    assert template.variables == {"a", "b", "c"}
    assert template.render({"a": "{{b}}", "b": True, "c": 1.5}, "{{a}}") == "{{b}} true 1.5 {{a}}"
    assert parse("{{{a}}}").render({"a": 1}) == "{1}"
    assert [as_text(v) for v in (False, 0, 10**20, "x")] == ["false", "0", "100000000000000000000", "x"]


def test_missing_is_the_first_in_the_text() -> None:
    """The first variable that is not given is named; `app` never is."""
    template = parse("{{app}} {{b}} {{a}}")
    assert template.missing({}) == "b"
    assert template.missing({"b": 1}) == "a"


@pytest.mark.parametrize(
    ("text", "place"),
    [("{{", "line 1, column 1"), ("a\nb {{1}}", "line 2, column 3"), ("{{a b}}", "column 1"), ("x{{ {a}}", "column 2")],
)
def test_braces_that_begin_no_variable_are_refused(text: str, place: str) -> None:
    """A slip in a variable's name is found when the prompt is stored, with its place and the way to write braces."""
    with pytest.raises(ValueError, match=place) as caught:
        parse(text)
    assert "\\{{" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "values", "text", "at"),
    [
        ("Be kind.", {}, "Be kind.\r\n", None),
        ("Be kind.", {}, "Be kinder.", 7),
        ("Hi {{name}}, it is {{day}}.", {}, "Hi Ann, it is Monday.", None),
        ("Hi {{name}}, it is {{day}}.", {"name": "Ann"}, "Hi Bob, it is Monday.", 3),
        ("Hi {{name}}, it is {{day}}.", {}, "Hi Ann, it was Monday.", 3),
        ("Hi {{name}}.", {}, "Hi Ann", 3),
        ("a{{x}}a", {}, "a", 1),
        ("{{app}}", {"app": "no"}, "anything", None),
    ],
)
def test_where_a_text_departs(source: str, values: dict[str, Value], text: str, at: int | None) -> None:
    """A text matches with its variables as given, else as any text; else the first place that differs is told."""
    assert parse(source).departs(text, values) == at


def test_matching_is_not_slow() -> None:
    """A template of many variables against a long text that nearly matches takes no longer than reading it some times."""
    assert parse("{{a}}x" * 200 + "y").departs("x" * 65536, {}) is not None
