"""From nodes to values of the settings' shape."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from gateway.settings.document import parse
from gateway.settings.model import Bytes, Name, Seconds, UsdPerDay
from gateway.settings.shape import Shaper


class Inner(msgspec.Struct):
    """A part."""

    must: str
    many: tuple[int, ...] = ()


class Outer(msgspec.Struct):
    """A whole."""

    word: str = ""
    mode: Literal["one", "two"] = "one"
    flag: bool = False
    number: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1
    wait: Seconds = 0.0
    room: Bytes = 0
    cost: UsdPerDay = 0.0
    inner: Inner | None = None
    parts: tuple[Inner, ...] = ()
    named: dict[Name, Inner] = {}
    free: dict[str, Any] = {}


def shape(text: str, **environment: str) -> tuple[Any, list[str]]:
    """Value and problems of a text."""
    shaper = Shaper(environment)
    value = shaper.shape(parse(text, "f"), msgspec.inspect.type_info(Outer), "")
    return value, [problem.text("f") for problem in shaper.problems]


def test_values_have_the_shape() -> None:
    """Every kind of member is read, with its unit."""
    value, problems = shape(
        "word: 007\nmode: two\nflag: true\nnumber: 3\nwait: 5m\nroom: 1KiB\ncost: 1 USD/h\n"
        "inner: {must: x, many: [1, 2]}\nparts: [{must: y}]\nnamed: {a/b: {must: z}}\nfree: {t: 0.5, u: [yes, 1, null]}\n"
    )
    assert problems == []
    made = msgspec.convert(value, Outer)
    assert (made.word, made.mode, made.flag, made.number) == ("007", "two", True, 3)
    assert (made.wait, made.room, made.cost) == (300.0, 1024, 24.0)
    assert made.inner == Inner("x", (1, 2))
    assert made.named == {"a/b": Inner("z")}
    assert made.free == {"t": 0.5, "u": ["yes", 1, None]}


def test_the_environment_may_give_numbers() -> None:
    """Text from the environment is read as the type that stands there."""
    value, problems = shape("number: '${N}'\nflag: ${F}\nwait: ${W:-2h}\nfree: {x: '${N}'}\n", N="4", F="true")
    assert problems == []
    assert value == {"number": 4, "flag": True, "wait": 7200.0, "free": {"x": "4"}}


def test_quoted_numbers_are_words() -> None:
    """A number in quotes is no number, unless it came from the environment."""
    assert shape("number: '4'\n")[1] == ["f:1: number: must be a whole number of at least 1 and at most 9"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("wrod: x", "f:1: wrod: unknown key; did you mean word?"),
        ("mode: three", "f:1: mode: must be one or two"),
        ("flag: yes", "f:1: flag: must be true or false"),
        ("number: 10", "f:1: number: must be a whole number of at least 1 and at most 9"),
        (
            "number: [1]",
            "f:1: number: must be one value, not a list; must be a whole number of at least 1 and at most 9",
        ),
        ("wait: soon", "f:1: wait: must be a duration such as 30s, 5m, 72h or 30d, or a number of seconds"),
        ("inner: {}", "f:1: inner.must: is missing; it has no default"),
        ("inner: [x]", "f:1: inner: must be a map with must, many"),
        ("parts: {must: x}", "f:1: parts: must be a list; start each entry with `- `"),
        ("parts:\n- {must: x}\n- {must: y, many: z}", "f:3: parts[1].many: must be a list; start each entry with `- `"),
        ("named: {a b: {must: x}}", "f:1: named.a b: is not a name; must be text matching ^[A-Za-z0-9._:/-]{1,64}$"),
        ("named: x", "f:1: named: must be a map of names"),
        ("word:", "f:1: word: has no value; write one, or leave the key out"),
        ("number:", "f:1: number: must be a whole number of at least 1 and at most 9"),
        (
            "word: ${NOPE}",
            "f:1: word: needs the environment variable NOPE, which is not set; set it or write ${NOPE:-default}",
        ),
        ("free: {a: '${'}", "f:1: free.a: has a broken reference; write ${NAME} or ${NAME:-default}"),
    ],
)
def test_problems_have_line_key_and_advice(text: str, problem: str) -> None:
    """Each kind of mistake is told with its line, its key and what to do."""
    assert shape(text)[1] == [problem]


def test_all_problems_at_once() -> None:
    """One reading tells every mistake."""
    assert len(shape("word: [1]\nmode: x\nnope: 1\ninner: {must: {}}\n")[1]) == 4


def test_no_value_is_shown() -> None:
    """A wrong value is described, never quoted: it may be a secret in the wrong place."""
    secret = "s3cr3t-value"
    text = f"mode: {secret}\nnumber: {secret}\nwait: {secret}\nroom: {secret}\ncost: {secret}\nflag: '${{S}}'\n"
    problems = shape(text, S=secret)[1]
    assert len(problems) == 6
    assert secret not in "".join(problems)


def test_empty_maps_and_lists_are_defaults() -> None:
    """A section left empty (all its lines commented out) means its defaults."""
    assert shape("parts:\nnamed:\nfree:\ninner:\n") == ({}, [])
