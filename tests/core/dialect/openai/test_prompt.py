"""The prompt of a chat: found, replaced, and nothing else of the messages touched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault
from gateway.core.dialect.openai import envelope
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

USER = {"role": "user", "content": "Hello? {"}
CONTENTS = st.one_of(
    st.text(max_size=20),
    st.none(),
    st.lists(
        st.one_of(
            st.builds(lambda text: {"type": "text", "text": text, "cache_control": {}}, st.text(max_size=9)),
            st.just({"type": "image_url", "image_url": {"url": "x"}}),
        ),
        max_size=3,
    ),
)
SYSTEM = st.builds(
    lambda role, content, more: {"role": role, "content": content, **more},
    st.sampled_from(["system", "developer"]),
    CONTENTS,
    st.sampled_from([{}, {"name": "n"}]),
)


def put(body: bytes, text: str) -> tuple[str | None, bytes]:
    """The prompt as sent, and the body with another."""
    sent = envelope.read(Operation.CHAT, body)
    return sent.prompt(), splice(sent.members, sent.prompt_edit(text))


@given(st.lists(SYSTEM, max_size=2), st.sampled_from([0, 5000]), st.sampled_from([None, 1]), st.text(max_size=20))
def test_the_first_system_item_is_replaced(systems: list[Any], long: int, indent: int | None, text: str) -> None:
    """The text is where the first system item was, or in front; what was sent otherwise is still there, byte for byte."""
    later = [{"role": "user", "content": "x" * long}, {"role": "system", "content": "later"}, USER]
    body = json.dumps({"model": "m", "messages": [*systems, *later], "n": 1}, indent=indent).encode()
    sent, new = put(body, text)
    assert envelope.read(Operation.CHAT, new).prompt() == text
    assert put(new, text)[1] == new
    messages = json.loads(new)["messages"]
    first = systems[0]["content"] if systems else None
    if not systems:
        assert sent is None
        assert messages == [{"role": "system", "content": text}, *later]
        assert new.endswith(body[body.index(b"[") + 1 :])
        return
    assert messages[1:] == [*systems[1:], *later]
    assert messages[0] == {**systems[0], "content": messages[0]["content"]}
    if isinstance(first, list):
        texts = [part["text"] for part in first if "text" in part]
        assert sent == (texts[0] if texts else "")
        kept = [part for part in messages[0]["content"] if part.get("type") != "text"]
        assert kept == [part for part in first if part["type"] != "text"]
        assert [p["text"] for p in messages[0]["content"] if "text" in p] == [text, *texts[1:]]
    else:
        assert (sent, messages[0]["content"]) == (first or "", text)
    assert new.endswith(body[body.index(b'"later"') :])


@pytest.mark.parametrize(
    ("messages", "wanted"),
    [
        ([], [{"role": "system", "content": "New."}]),
        ([{"role": "system", "content": "Old."}], [{"role": "system", "content": "New."}]),
        ([{"role": "system"}], [{"role": "system", "content": "New."}]),
        ([{"role": "system", "content": {"odd": 1}}], [{"role": "system", "content": "New."}]),
        (
            [{"role": "system", "content": ["odd"]}],
            [{"role": "system", "content": [{"type": "text", "text": "New."}, "odd"]}],
        ),
        ("odd", "odd"),
    ],
)
def test_odd_messages(messages: Any, wanted: Any) -> None:
    """Messages of any shape get the prompt where there is a place for it; what is no array is left to the provider."""
    assert json.loads(put(json.dumps({"messages": messages}).encode(), "New.")[1])["messages"] == wanted


def test_a_request_without_messages_is_left_alone() -> None:
    """The provider says what is missing."""
    assert put(b'{"model":"m"}', "New.")[1] == b'{"model":"m"}'


def test_two_contents_are_refused() -> None:
    """A message that has its content twice could carry another prompt than the one put in."""
    with pytest.raises(Fault, match="duplicate_key"):
        put(b'{"messages":[{"role":"system","content":"a","content":"b"},{"role":"user","content":"c"}]}', "New.")
