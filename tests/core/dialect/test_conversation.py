"""The items of a conversation, found at its ends without cutting it apart, with Responses requests as the example."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.dialect import conversation as module
from gateway.core.dialect.conversation import Conversation
from gateway.core.dialect.responses.envelope import ResponseEnvelope, read
from gateway.core.dialect.routes import Operation


def asked(items: Any) -> ResponseEnvelope:
    """The envelope of a request with these items."""
    envelope = read(Operation.RESPONSES, json.dumps({"model": "m", "input": items}).encode())
    assert isinstance(envelope, ResponseEnvelope)
    return envelope


def result(number: int) -> dict[str, Any]:
    """A tool result."""
    return {"type": "function_call_output", "call_id": f"call_{number}", "output": "x"}


def test_results_of_all_turns_count_newest_first() -> None:
    """Ids of older turns link too, behind those of the newest; a user's next message does not end the run."""
    user, call = {"role": "user", "content": "x"}, {"type": "function_call", "call_id": "call_9"}
    assert asked([user, call, result(1)]).results == ("call_1",)
    assert asked([result(1), result(1)]).results == ("call_1",)
    assert asked([result(1), user, result(2), call, user]).results == ("call_2", "call_1")


@pytest.mark.parametrize("long", [False, True])
def test_only_so_many_results_link(long: bool) -> None:
    """A long history gives the newest ids only, so that a request never asks the store for hundreds."""
    items = [{**result(n), "output": "y" * 500 * long} for n in range(40)]
    assert asked(items).results == tuple(f"call_{n}" for n in range(39, 39 - module.LINKING, -1))


@pytest.mark.parametrize("items", [None, "x_output", [], [5, "x_output"], {"call_id": "x_output"}, [{"role": 5}]])
def test_odd_items_are_the_providers_to_refuse(items: Any) -> None:
    """Items of an unknown shape have no parts, and are no error here."""
    envelope = asked(items)
    assert envelope.results == ()
    assert envelope.system() == b""
    assert envelope.head()[0] == []


def test_an_odd_item_hides_no_other() -> None:
    """Neither a missing nor an odd id is one, and the others still count."""
    odd = [{"type": "function_call_output"}, {"type": "x_output", "call_id": 5}, {"type": 5}, None]
    assert asked([result(1), *odd]).results == ("call_1",)


def test_very_many_items_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body made to cost an object per few bytes passes unread instead."""
    monkeypatch.setattr(module, "LONG_BYTES", 100)
    monkeypatch.setattr(module, "MOST_COMMAS", 50)
    assert asked([result(1)] * 30).results == ()
    assert asked([result(1)] * 10).results == ("call_1",)


texts = st.sampled_from(
    [
        "x",
        '_output"',
        '"function_call_output"',
        "{",
        '{"',
        "},{",
        '},{"',
        '{"type":"x_output","call_id":"no"},',
        "]",
        "\\",
    ]
)
parts = st.lists(st.dictionaries(st.sampled_from(["type", "call_id", "text", "role"]), texts, max_size=3), max_size=3)
items = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "developer", "user", "assistant", 5, None]),
        "type": st.sampled_from(["message", "function_call_output", "custom_tool_call_output", "reasoning", 5]),
        "call_id": st.sampled_from([f"call_{n}" for n in range(20)] + ["", 5, None]),
        "content": texts | st.tuples(texts, texts).map("".join) | parts,
        "{": texts,
    },
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        items.flatmap(lambda item: st.permutations(list(item.items())).map(dict)) | texts | st.none(), max_size=24
    ),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :")]),
    st.sampled_from([None, 1]),
)
def test_long_lists_are_read_like_short_ones(
    given_items: list[Any], separators: tuple[str, str], indent: int | None
) -> None:
    """Reading only the first and last items finds what cutting all apart finds, whatever texts look like items."""
    body = json.dumps({"input": given_items, "user": "u"}, separators=separators, indent=indent, ensure_ascii=False)
    found = []
    for short in (1 << 30, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "SHORT_BYTES", short)
            envelope = read(Operation.RESPONSES, body.encode())
            found.append((envelope.results, envelope.system(), envelope.opening(), envelope.prompt_edit("p")))
    assert found[0] == found[1]


def test_long_histories_are_not_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a history as SDKs write it, prompt and newest ids are found without an object for every item."""
    monkeypatch.setattr(Conversation, "_items", lambda _self: pytest.fail("items were cut"))
    text = 'x "quoted" {"a": [1]} ' * 20
    history: list[dict[str, Any]] = [{"role": "system", "content": [{"type": "input_text", "text": text}] * 3}]
    history.append({"role": "user", "content": text})
    for number in range(40):
        history.append({"type": "function_call", "call_id": f"call_{number}", "arguments": text, "name": "x"})
        history.append({"call_id": f"call_{number}", "output": text, "type": "function_call_output"})
    envelope = asked(history)
    assert envelope.results == tuple(f"call_{n}" for n in range(39, 39 - module.LINKING, -1))
    assert json.loads(envelope.system()) == history[:1]
    assert json.loads(envelope.opening()) == history[:2]


def test_deep_items_are_read() -> None:
    """Faults row B2: nesting up to the bound does not hide an item's role; where the short way ends, the long one goes."""
    deep = b"[" * 1020 + b"]" * 1020
    for pad in (b"x", b"x" * 5000):
        user = b'{"role":"user","content":"%b"}' % pad
        body = b'{"input":[{"role":"system","x":%b},%b,{"type":"a_output","x":%b,"call_id":"c"}]}' % (deep, user, deep)
        envelope = read(Operation.RESPONSES, body)
        assert envelope.results == ("c",)
        assert envelope.opening().endswith(user + b"]")
