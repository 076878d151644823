"""How problems are told."""

from __future__ import annotations

from gateway.settings.problems import Problem, SettingsError, nearest, shown


def test_text_has_file_line_and_key() -> None:
    """A problem reads `file:line: key: message`; without a line or key they are left out."""
    assert Problem("a.b", "is wrong", 3).text("f.yaml") == "f.yaml:3: a.b: is wrong"
    assert Problem("", "is wrong").text("f.yaml") == "f.yaml: is wrong"


def test_error_holds_all_in_order_of_the_file() -> None:
    """All problems come at once, first line first."""
    error = SettingsError("f", [Problem("b", "two", 2), Problem("a", "one", 1)])
    assert str(error) == "f:1: a: one\nf:2: b: two"


def test_nearest_name() -> None:
    """A typo gets the name that was meant, anything else the names there are."""
    assert nearest("lisen", ["listen", "auth"]) == "; did you mean listen?"
    assert nearest("zzz", ["b", "a"]) == "; known here: a, b"
    assert nearest("zzz", []) == ""


def test_what_looks_like_a_key_is_not_shown() -> None:
    """A key pasted where a name belongs does not reach a message."""
    assert shown("openai") == "openai"
    assert shown("sk-" + "a1" * 12) == "(not shown)"
    assert shown("x" * 60) == "(not shown)"
    assert shown("a\nb") == "(not shown)"
