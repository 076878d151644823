"""The OpenAI envelope: what a request is routed, bound and digested by, cut from the bytes as sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault
from gateway.core.dialect.openai import envelope as module
from gateway.core.dialect.openai.envelope import ChatEnvelope, read
from gateway.core.dialect.routes import Operation

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "openai"
REQUESTS = sorted(GOLDEN.glob("*.request.json"))


def chat(**members: Any) -> ChatEnvelope:
    """The envelope of a chat request."""
    envelope = read(Operation.CHAT, json.dumps({"model": "m", **members}).encode())
    assert isinstance(envelope, ChatEnvelope)
    return envelope


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name.removesuffix(".request.json"))
def test_golden_requests(path: Path) -> None:
    """Each recorded request is read as its file says; prompt and tools are its own bytes."""
    wanted = json.loads((path.parent / path.name.replace(".request.", ".envelope.")).read_text(encoding="utf-8"))
    body = path.read_bytes()
    envelope = read(Operation(wanted.pop("operation")), body)
    got = {
        "model": envelope.model,
        "stream": envelope.stream,
        "results": list(envelope.results),
        "has_tools": envelope.has_tools,
        "system": envelope.system().decode(),
        "toolset": envelope.toolset().decode(),
        "opening": envelope.opening().decode(),
    }
    assert got == wanted
    for part in (envelope.system(), envelope.toolset(), envelope.opening()):
        assert not part or json.loads(part)


def test_results_of_all_turns_count_newest_first() -> None:
    """Ids of older turns link too, behind those of the newest; a user's next message does not end the run."""
    tool = {"role": "tool", "tool_call_id": "call_1", "content": "x"}
    newer = {**tool, "tool_call_id": "call_2"}
    user, assistant = {"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}
    assert chat(messages=[user, tool]).results == ("call_1",)
    assert chat(messages=[tool, tool]).results == ("call_1",)
    assert chat(messages=[tool, assistant, user]).results == ("call_1",)
    assert chat(messages=[tool, assistant, newer, assistant, user]).results == ("call_2", "call_1")


def test_only_so_many_results_link() -> None:
    """A long history gives the newest ids only, so that a request never asks the store for hundreds."""
    lines = [{"role": "tool", "tool_call_id": f"call_{n}"} for n in range(40)]
    found = chat(messages=lines).results
    assert found == tuple(f"call_{n}" for n in range(39, 39 - module.LINKING, -1))


def test_ids_in_texts_are_no_results() -> None:
    """What only quotes a tool result, in a text or in another role, brings none, and hides none."""
    quoting = {"role": "user", "content": json.dumps({"role": "tool", "tool_call_id": "call_9"})}
    other = {"role": "user", "tool_call_id": "call_8"}
    nested = {"role": "user", "content": [{"type": "x", "tool_call_id": "call_7"}]}
    tool = {"role": "tool", "tool_call_id": "call_1"}
    assert chat(messages=[quoting, other, nested]).results == ()
    assert chat(messages=[tool, quoting, other, nested]).results == ("call_1",)


def test_without_tool_results_messages_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw scan tells that there are none, before anything is parsed."""
    monkeypatch.setattr(ChatEnvelope, "_items", lambda _self: pytest.fail("messages were cut"))
    assert chat(messages=[{"role": "user", "content": 'of "tool_call_id" only talk ' + "x" * 5000}]).results == ()
    assert chat(messages=[{"role": "user", "content": 'of "tool_call_id" only talk'}]).results == ()


@pytest.mark.parametrize(
    "messages", [None, "tool_call_id", [], [5, "tool_call_id"], {"tool_call_id": "x"}, [{"role": 5}]]
)
def test_odd_messages_are_the_providers_to_refuse(messages: Any) -> None:
    """Messages of an unknown shape have no parts, and are no error here."""
    envelope = chat(messages=messages)
    assert envelope.results == ()
    assert envelope.system() == b""
    assert chat().opening() == b""


def test_a_tool_message_without_an_id_brings_nothing() -> None:
    """Neither a missing nor an odd id is one, and the others still count."""
    lines = [{"role": "tool", "tool_call_id": "call_1"}, {"role": "tool"}, {"role": "tool", "tool_call_id": ""}]
    assert chat(messages=lines).results == ("call_1",)
    assert chat(messages=[*lines, {"role": "tool", "tool_call_id": 5}]).results == ("call_1",)
    assert chat(messages=[{"role": "tool", "tool_call_id": 5}]).results == ()


def test_a_system_message_later_on_is_no_system_prompt() -> None:
    """Only what stands before the conversation is the prompt, so its digest stays the same over a run."""
    system, user = {"role": "system", "content": "s"}, {"role": "user", "content": "u"}
    first = chat(messages=[system, user])
    later = chat(messages=[system, user, {"role": "assistant", "content": "a"}, system, user])
    assert first.system() == later.system() == json.dumps([system]).encode()
    assert first.opening() == later.opening()


def test_white_space_between_messages_does_not_count() -> None:
    """The digest of a prompt is that of the messages, not of the lines they stand on."""
    plain = read(Operation.CHAT, b'{"messages":[{"role":"system"},{"role":"user"}]}')
    spaced = read(Operation.CHAT, b'{"messages":[\n {"role":"system"} ,\n {"role":"user"}\n]}')
    assert plain.opening() == spaced.opening()


def test_empty_tools_are_no_tools() -> None:
    """An empty array, null, or another type hands the model nothing to call."""
    for tools in ([], None, {}, "x"):
        assert not chat(tools=tools).has_tools
    assert chat(tools=[{}]).has_tools
    assert chat(functions=[{}]).has_tools


def test_very_many_messages_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body made to cost an object per few bytes passes unread instead."""
    monkeypatch.setattr(module, "LONG_BYTES", 100)
    monkeypatch.setattr(module, "MOST_COMMAS", 50)
    lines = [{"role": "tool", "tool_call_id": "call_1"}] * 30
    assert chat(messages=lines).results == ()
    assert chat(messages=lines[:10]).results == ("call_1",)


def test_deep_messages_are_read() -> None:
    """Faults row B2: nesting up to the bound does not hide a message's role."""
    deep = b"[" * 1020 + b"]" * 1020
    envelope = read(Operation.CHAT, b'{"messages":[{"role":"system","x":' + deep + b'},{"role":"user"}]}')
    assert envelope.system().startswith(b'[{"role":"system"')
    assert envelope.opening().endswith(b'{"role":"user"}]')


def test_refusals() -> None:
    """A model that is no string, and members that choose the host, are refused; pass-through bodies may have odd models."""
    for body, code in ((b'{"model":[]}', "invalid_model"), (b'{"model":"m","base_url":"x"}', "forbidden_field")):
        for operation in Operation:
            with pytest.raises(Fault) as caught:
                read(operation, body)
            assert caught.value.code == code
    assert read(None, b'{"model":[]}').model is None


texts = st.sampled_from(
    [
        "x",
        '"tool_call_id"',
        '"tool_call_id',
        "{",
        '{"',
        "},{",
        '},{"',
        '{"role":"tool","tool_call_id":"no"},',
        "]",
        "\\",
        "ä",
    ]
)
parts = st.lists(
    st.dictionaries(st.sampled_from(["type", "tool_call_id", "text", "role"]), texts, max_size=3)
    | st.lists(texts, max_size=2),
    max_size=3,
)
lines = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["system", "developer", "user", "assistant", "tool", "tool", 5, None]),
        "tool_call_id": st.sampled_from([f"call_{n}" for n in range(20)] + ["", 5]),
        "content": texts | st.tuples(texts, texts).map("".join) | parts,
        "{": texts,
    },
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        lines.flatmap(lambda line: st.permutations(list(line.items())).map(dict)) | texts | st.none(), max_size=24
    ),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :")]),
    st.sampled_from([None, 1]),
)
def test_long_messages_are_read_like_short_ones(
    messages: list[Any], separators: tuple[str, str], indent: int | None
) -> None:
    """Reading only the first and last messages finds what cutting all apart finds, whatever texts look like messages."""
    body = json.dumps({"messages": messages, "user": "u"}, separators=separators, indent=indent, ensure_ascii=False)
    found = []
    for short in (1 << 30, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "SHORT_BYTES", short)
            envelope = read(Operation.CHAT, body.encode())
            found.append((envelope.results, envelope.system(), envelope.opening()))
    assert found[0] == found[1]


def test_long_histories_are_not_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a history as SDKs write it, prompt and newest ids are found without an object for every message."""
    monkeypatch.setattr(ChatEnvelope, "_items", lambda _self: pytest.fail("messages were cut"))
    text = 'x "quoted" {"a": [1]} ' * 20
    messages: list[dict[str, Any]] = [{"role": "system", "content": [{"type": "text", "text": text}] * 3}]
    messages.append({"role": "user", "content": text})
    for number in range(40):
        messages.append({"role": "tool", "content": [{"type": "text", "text": text}], "tool_call_id": f"call_{number}"})
        messages.append({"role": "user", "content": text})
    envelope = chat(messages=messages)
    assert envelope.results == tuple(f"call_{n}" for n in range(39, 39 - module.LINKING, -1))
    assert json.loads(envelope.system()) == messages[:1]
    assert json.loads(envelope.opening()) == messages[:2]


def test_deep_long_messages_are_read() -> None:
    """Where the short way runs into the interpreter's limit, the long one goes."""
    deep = b"[" * 1020 + b"]" * 1020
    pad = b'{"role":"user","content":"%b"}' % (b"x" * 5000)
    body = b'{"messages":[{"role":"system","x":%b},%b,{"role":"tool","x":%b,"tool_call_id":"c"}]}' % (deep, pad, deep)
    envelope = read(Operation.CHAT, body)
    assert envelope.results == ("c",)
    assert envelope.opening().endswith(pad + b"]")


def test_tools_as_sent_are_found_whatever_stands_around_them() -> None:
    """White space inside an empty array does not make it hold anything; an array of anything does."""
    for tools, some in ((b"[ \n]", False), (b"[ {}]", True), (b"[1]", True), (b"[]", False), (b'"[1]"', False)):
        envelope = read(Operation.CHAT, b'{"tools":%b,"functions":[]}' % tools)
        assert (envelope.has_tools, envelope.toolset()) == (some, tools if some else b"")
