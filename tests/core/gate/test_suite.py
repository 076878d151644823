"""A suite file is read whole, or refused with every line that is wrong."""

from __future__ import annotations

import json

import pytest

from gateway.core.gate.suite import SuiteError, identity, judged, label, read

HEAD = {"suite": "mine/task", "version": 2, "kind": "task"}


def item(name: str = "a", **members: object) -> dict[str, object]:
    """An item that is fine, with other members."""
    base = {
        "id": name,
        "messages": [{"role": "user", "content": "2+2?"}],
        "check": {"contains": ["4"]},
        "good": {"text": "4"},
        "bad": {"text": "5"},
    }
    return {**base, **members}


def lines(*rows: object) -> bytes:
    """A file of these rows."""
    return "\n".join(json.dumps(row) for row in rows).encode()


def test_a_suite_reads_and_its_layout_does_not_matter() -> None:
    """Items in order, a label, and a digest that white space and empty lines leave alone and a word does not."""
    data = lines(HEAD, item("a"), item("b", check={"judge": "Is it polite?"}))
    suite = read(data, "x.jsonl")
    assert ([each.id for each in suite.items], label(suite), judged(suite)) == (["a", "b"], "mine/task@2", True)
    spread = data.replace(b": ", b" :   ").replace(b"\n", b"\r\n\r\n") + b"\n\n"
    assert read(spread, "y").digest == suite.digest
    assert len(suite.digest) == 64
    assert read(data.replace(b'"4"', b'"5"'), "z").digest != suite.digest


def test_a_suite_is_known_without_its_items() -> None:
    """Head and digest are those of a full reading, also where an item is wrong; what has no head has none."""
    data = lines(HEAD, item("a"), item("b"))
    found = read(data, "x.jsonl")
    assert identity(b"\n" + data, "x.jsonl") == (found.head, found.digest)
    assert label(found.head) == label(found)
    assert identity(lines(HEAD, {"id": "c"}), "x.jsonl")[0] == found.head
    for text in (b"", b"{}", data + b"\n{nonsense"):
        with pytest.raises(SuiteError, match=r"x\.jsonl:\d"):
            identity(text, "x.jsonl")


def test_every_wrong_line_is_told_with_its_number() -> None:
    """All problems come out at once, each with file and line."""
    data = lines(HEAD, item("a"), item("a"), {"id": "c"}) + b"\n{nonsense\n"
    with pytest.raises(SuiteError) as caught:
        read(data, "x.jsonl")
    assert [line for line, _ in caught.value.problems] == [3, 4, 5]
    assert "x.jsonl:3: item 'a' is there twice" in str(caught.value)


CALL = {"name": "look", "arguments": {}, "id": "c1"}
ASKED = {"role": "user", "content": "?"}
LOOK = [{"name": "look"}]


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"check": {}}, "asks nothing"),
        ({"check": {"regex": "(a+)+"}}, "check.regex"),
        ({"check": {"json": {"type": "colour"}}}, "check.json"),
        ({"check": {"contains": ["a|"]}}, "empty alternative"),
        ({"check": {"exact": [" "]}}, "empty text"),
        ({"check": {"not_called": ["send"]}, "tools": LOOK}, "does not offer"),
        ({"check": {"misspelt": 1}}, "is no item"),
        ({"messages": []}, "last message"),
        ({"messages": [{"role": "system", "content": "x"}]}, "last message"),
        ({"messages": [ASKED, {"role": "assistant", "content": "x"}]}, "last message"),
        ({"messages": [ASKED, {"role": "system", "content": "x"}, ASKED]}, "before all others"),
        ({"messages": [ASKED, {"role": "assistant", "calls": [CALL]}, ASKED]}, "has no result"),
        ({"messages": [ASKED, {"role": "tool", "call": "c9", "content": "x"}]}, "not open"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "role 'robot'"),
        ({"messages": [{"role": "user"}]}, "empty message"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"tools": [{"name": "a"}, {"name": "a"}]}, "name of its own"),
        ({"tools": [{"name": "a.b"}]}, "every provider takes it"),
        ({"messages": [{"role": "assistant", "content": "x"}, ASKED]}, "is the user's"),
        ({"messages": [ASKED, {"role": "assistant", "calls": [{"name": "look", "id": "a:1"}]}]}, "id of its own"),
        ({"id": "a b"}, "`id`"),
    ],
)
def test_items_that_mean_nothing_are_refused(members: dict[str, object], told: str) -> None:
    """A check nobody can fail, a history no provider takes, a tool nobody offers."""
    with pytest.raises(SuiteError, match="x:2: ") as caught:
        read(lines(HEAD, item(**members)), "x")  # type: ignore[arg-type]
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"\n", lines(HEAD), lines(item()), lines({**HEAD, "version": 0}, item()), b"\xff\xfe"]
)
def test_a_file_that_is_no_suite_is_refused(data: bytes) -> None:
    """Without a head, without items, with a version below 1, or no text at all."""
    with pytest.raises(SuiteError):
        read(data, "x")


def test_a_history_with_calls_and_results_is_fine() -> None:
    """What an agent's own loop would send is taken."""
    answered = {"role": "tool", "call": "c1", "content": "12"}
    read(lines(HEAD, item(messages=[ASKED, {"role": "assistant", "calls": [CALL]}, answered])), "x")
