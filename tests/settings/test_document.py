"""YAML as a tree with lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.settings.document import Mapping, Scalar, Sequence, parse, plain
from gateway.settings.problems import SettingsError


def refused(text: str) -> str:
    """The message with which a text is refused."""
    with pytest.raises(SettingsError) as caught:
        parse(text, "f.yaml")
    return str(caught.value)


def test_lines_are_kept() -> None:
    """Every key and entry knows its line."""
    root = parse("a: 1\nb:\n  - x\n  - y\nc: {d: e}\n", "f")
    assert root.lines == {"a": 1, "b": 2, "c": 5}
    items = root.entries["b"]
    assert isinstance(items, Sequence)
    assert [item.line for item in items.items] == [3, 4]
    assert isinstance(root.entries["c"], Mapping)
    assert root.entries["a"] == Scalar("1", quoted=False, line=1)


@pytest.mark.parametrize("text", ["", "   \n", "# nothing\n", "---\n", "null\n"])
def test_empty_is_an_empty_map(text: str) -> None:
    """A file without settings is an empty map."""
    assert parse(text, "f").entries == {}


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", "yes"), ("010", "010"), ("1e-3", 0.001), ("12", 12), ("true", True), ("~", None), ("12:30", "12:30"), ("0x10", "0x10"),
     ("2024-08-06", "2024-08-06"), (".5", 0.5), ("-3", -3)],
)  # fmt: skip
def test_scalars_are_yaml_1_2(text: str, value: object) -> None:
    """Words that YAML 1.1 would turn into something else stay words."""
    assert plain(text) == value


def test_duplicate_key() -> None:
    """A key given twice names both lines."""
    assert refused("a:\n  b: 1\n  b: 2\n") == "f.yaml:3: a.b: is given twice, first on line 2; keep one"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1\n", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("a: !!python/object:os.system x\n", "has a YAML tag"),
        ("a: !mine x\n", "has a YAML tag"),
        ("a: &x 1\nb:\n  <<: {c: 1}\n", "merge keys"),
        ("a: &x [*x]\n", "refers to itself"),
        ("a: &x {b: *x}\n", "refers to itself"),
        ("? [1, 2]\n: x\n", "a key that is not a word"),
        ("- 1\n", "must be a map"),
        ("just text\n", "must be a map"),
        ("a: \x00\n", "not valid YAML"),
        ("a: *nothing\n", "not valid YAML"),
    ],
)
def test_refusals(text: str, said: str) -> None:
    """What a configuration has no use for is refused, with a place."""
    assert said in refused(text)


def test_references_that_multiply_are_refused() -> None:
    """A small file that unfolds to a huge one is refused before it does."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "nested too deep or refers to itself too often" in refused("\n".join(lines))


def test_deep_nesting_is_refused() -> None:
    """Nesting beyond any setting is refused, not a crash."""
    assert refused("a: " + "[" * 5000 + "]" * 5000)
    assert refused("a: " + "[" * 60 + "]" * 60)


@given(st.text(alphabet=st.sampled_from("ab:{}[]-&*!|>'\"#,?% \n\t0"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the reader fail in another way than by SettingsError."""
    try:
        assert isinstance(parse(text, "f"), Mapping)
    except SettingsError as error:
        assert error.problems
