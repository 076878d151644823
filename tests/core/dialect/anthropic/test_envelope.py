"""The Anthropic envelope: what a request is routed, bound and digested by, cut from the bytes as sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault
from gateway.core.dialect.anthropic import envelope as module
from gateway.core.dialect.anthropic.envelope import MessagesEnvelope, read
from gateway.core.dialect.base import Envelope
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "anthropic"
REQUESTS = sorted(GOLDEN.glob("*.request.json"))
NEW = 'New "one".'
PAD = {"role": "user", "content": "x" * 5000}


def of(**members: Any) -> MessagesEnvelope:
    """The envelope of a request for a message."""
    return of_bytes(json.dumps({"model": "m", **members}).encode())


def of_bytes(body: bytes) -> MessagesEnvelope:
    """The same of a body."""
    envelope = read(Operation.MESSAGES, body)
    assert isinstance(envelope, MessagesEnvelope)
    return envelope


def result(identifier: str, kind: str = "tool_result", **more: Any) -> dict[str, Any]:
    """A block that brings a tool result."""
    return {"type": kind, "tool_use_id": identifier, "content": "x", **more}


def user(*blocks: Any) -> dict[str, Any]:
    """A message of these blocks."""
    return {"role": "user", "content": list(blocks)}


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name.removesuffix(".request.json"))
def test_golden_requests(path: Path) -> None:
    """Each request is read as its file says; prompt and tools are its own bytes, and so is all that an edit leaves."""
    wanted = json.loads((path.parent / path.name.replace(".request.", ".envelope.")).read_text(encoding="utf-8"))
    envelope = read(Operation(wanted.pop("operation")), path.read_bytes())
    edit = envelope.prompt_edit(NEW)
    assert edit["system"] is not None
    got = {
        "model": envelope.model,
        "stream": envelope.stream,
        "results": list(envelope.results),
        "has_tools": envelope.has_tools,
        "system": envelope.system().decode(),
        "toolset": envelope.toolset().decode(),
        "opening": envelope.opening().decode(),
        "session": envelope.metadata("session_id"),
        "prompt": envelope.prompt(),
        "edit": edit["system"].decode(),
    }
    assert got == wanted
    edited = read(Operation.MESSAGES, splice(envelope.members, edit))
    assert edited.prompt() == NEW


def test_results_of_all_turns_count_newest_first() -> None:
    """Ids of older turns link too, behind those of the newest; a user's next message does not end the run."""
    answer = {"role": "assistant", "content": "y"}
    assert of(messages=[user(result("a"), result("b"))]).results == ("b", "a")
    assert of(messages=[user(result("a")), answer, user(result("b"), result("a"))]).results == ("a", "b")
    assert of(messages=[user(result("a")), answer, {"role": "user", "content": "go on"}]).results == ("a",)


def test_results_of_server_tools_link_too() -> None:
    """They stand in the assistant's own messages, with ids that an answer handed out."""
    history = {"role": "assistant", "content": [result("srvtoolu_1", "web_search_tool_result")]}
    assert of(messages=[history, user(result("mcptoolu_2", "mcp_tool_result"))]).results == ("mcptoolu_2", "srvtoolu_1")


@pytest.mark.parametrize("pad", [[], [PAD]])
def test_only_so_many_results_link(pad: list[Any]) -> None:
    """A long history gives the newest ids only, however many stand in one message."""
    newest = tuple(f"t{n}" for n in range(39, 39 - module.LINKING, -1))
    assert of(messages=[*pad, *(user(result(f"t{n}")) for n in range(40))]).results == newest
    assert of(messages=[*pad, user(*(result(f"t{n}") for n in range(40)))]).results == newest


@pytest.mark.parametrize("pad", [[], [PAD]])
def test_ids_in_texts_are_no_results(pad: list[Any]) -> None:
    """What only quotes a tool result, in a text or elsewhere in a message, brings none, and hides none."""
    quoting = {"role": "user", "content": json.dumps(user(result("q")))}
    nested = user({"type": "tool_use", "id": "u", "input": {"role": "user", "x": result("n"), "content": [user()]}})
    other = user({"type": "text", "tool_use_id": "o"})
    assert of(messages=[*pad, quoting, nested, other]).results == ()
    assert of(messages=[user(result("a")), *pad, quoting, nested, other]).results == ("a",)


def test_without_results_messages_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A raw scan tells that there are none, before anything is parsed."""
    monkeypatch.setattr(MessagesEnvelope, "_items", lambda _self: pytest.fail("messages were cut"))
    for text in ("of tool_use_id", 'of "tool_use_id"', 'of "tool_use_id"' + "x" * 5000):
        assert of(messages=[{"role": "user", "content": text}]).results == ()


def test_a_long_history_is_read_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest results are found without cutting a long history apart."""
    monkeypatch.setattr(MessagesEnvelope, "_items", lambda _self: pytest.fail("messages were cut"))
    rest = [user(result(f"t{n}", input={"role": "x"})) for n in range(20)]
    assert of(messages=[PAD, *rest, PAD, {"role": "user", "content": "?"}]).results[:2] == ("t19", "t18")


@pytest.mark.parametrize("first", [b'{"content":', b'{ "role":"user","content":', b'{"role":5,"content":'])
def test_unusual_messages_are_found_the_long_way(first: bytes) -> None:
    """Another order of members, white space or an odd message beside it hides no result."""
    block = json.dumps([result("a")]).encode()
    messages = (
        b"[" + json.dumps(PAD).encode() + b"," + first + block + b',"role":"user"},{"role":"user","content":[5]}]'
    )
    assert of_bytes(b'{"messages":%b}' % messages).results == ("a",)


@pytest.mark.parametrize("messages", [None, "tool_use_id", [], [5, "tool_use_id"], {"tool_use_id": "x"}, [{"role": 5}]])
def test_odd_messages_bring_nothing(messages: Any) -> None:
    """What is no history has no results; it is the provider's to refuse."""
    envelope = of(messages=messages)
    assert envelope.results == ()
    envelope.opening()


def test_deep_messages_are_read() -> None:
    """Nesting near the limit of a body does not raise."""
    deep = b"[" * 1015 + b"]" * 1015
    for pad in (b"x", b"x" * 5000):
        body = b'{"messages":[{"role":"user","x":%b,"content":"%b"},{"role":"user","content":[%b]}]}' % (
            deep,
            pad,
            json.dumps(result("a")).encode(),
        )
        envelope = of_bytes(body)
        assert envelope.results == ("a",)
        assert deep in envelope.opening()


@pytest.mark.parametrize("pad", [[], [{"role": "assistant", "content": "y" * 5000}]])
def test_the_opening_stays_the_same(pad: list[Any]) -> None:
    """A cache mark that wanders to newer messages does not make another conversation; text about one is kept."""
    text = 'a {"role" and "cache_control": {} in words'
    marked = user({"type": "text", "text": text, "cache_control": {"type": "ephemeral", "ttl": "1h"}})
    plain = user({"type": "text", "text": text})
    later = of(system="S", messages=[plain, *pad, marked]).opening()
    assert of(system="S", messages=[marked]).opening() == later
    assert json.loads(later) == ["S", plain]
    assert of(messages=[plain]).opening() != later


def test_tools() -> None:
    """Tools as sent; a server that brings tools counts as some, but its list is not known here."""
    assert of(tools=[]).has_tools is False
    assert of(tools=[{"name": "a"}]).toolset() == b'[{"name": "a"}]'
    servers = of(mcp_servers=[{"name": "s"}])
    assert (servers.has_tools, servers.toolset()) == (True, b"")
    for tools, some in ((b"[ \n]", False), (b"[ {}]", True), (b"[1]", True), (b"null", False)):
        assert of_bytes(b'{"tools":%b}' % tools).has_tools is some


@pytest.mark.parametrize(
    ("system", "prompt", "edited"),
    [
        (None, None, NEW),
        ("", None, NEW),
        ([], None, NEW),
        (5, None, NEW),
        ("Old é", "Old é", NEW),
        ([{"type": "image"}], None, [{"type": "text", "text": NEW}, {"type": "image"}]),
        ([{"type": "image"}, {"type": "text"}], None, [{"type": "image"}, {"type": "text", "text": NEW}]),
        ([7, {"type": 5}, {"text": "a", "type": "text", "x": [1]}], "a", [7, {"type": 5}, {"text": NEW, "type": "text", "x": [1]}]),
    ],
)  # fmt: skip
def test_the_first_text_is_the_prompt(system: Any, prompt: str | None, edited: Any) -> None:
    """It is read and replaced; where there is none it is put first; everything else stays."""
    envelope = of(system=system)
    assert envelope.prompt() == prompt
    got = json.loads(splice(envelope.members, envelope.prompt_edit(NEW)))
    assert got == {"model": "m", "system": edited}


def test_a_prompt_that_stands_twice_is_refused() -> None:
    """Two parsers could read two prompts."""
    envelope = of_bytes(b'{"system":[{"type":"text","text":"a","text":"b"}]}')
    for look in (envelope.prompt, lambda: envelope.prompt_edit(NEW)):
        with pytest.raises(Fault) as caught:
            look()
        assert caught.value.code == "duplicate_key"


def test_a_prompt_of_too_many_blocks_is_refused() -> None:
    """Each block could cost an object; a long text does not."""
    many = of_bytes(b'{"system":[' + b"0," * 600_000 + b"0]}")
    with pytest.raises(Fault) as caught:
        many.prompt()
    assert (caught.value.code, caught.value.status) == ("body_too_large", 413)
    text = "a, " * 400_000
    assert of(system=text).prompt() == text


@given(st.lists(st.sampled_from([{"type": "text", "text": "a"}, {"type": "image", "x": [1, "]"]}, 7, "text", None])))
def test_an_edit_changes_nothing_else(blocks: list[Any]) -> None:
    """All other blocks keep their place and their bytes, whatever they are."""
    envelope = of(system=blocks)
    made = envelope.prompt_edit(NEW)["system"]
    assert made is not None
    got = json.loads(made)
    if not blocks:
        assert got == NEW
        return
    at = next((n for n, block in enumerate(blocks) if isinstance(block, dict) and block["type"] == "text"), None)
    fresh = {"type": "text", "text": NEW}
    assert got == ([fresh, *blocks] if at is None else [*blocks[:at], fresh, *blocks[at + 1 :]])


@pytest.mark.parametrize(
    ("metadata", "session"),
    [
        ({"user_id": "user_0f_account_11-22_session_5e55-10"}, "5e55-10"),
        ({"user_id": '{"device_id":"d","account_uuid":"","session_id":"5e55-10"}'}, "5e55-10"),
        ({"user_id": '{"device_id":"d"}'}, None),
        ({"user_id": "{"}, None),
        ({"user_id": "somebody"}, None),
        ({"user_id": 5}, None),
        ({"session_id": "own", "user_id": "user_0f_session_5e55"}, "own"),
        (None, None),
    ],
)
def test_the_session_of_claude_code(metadata: Any, session: str | None) -> None:
    """`session_id` is also found in the user id that Claude Code sends, in its earlier and its later form."""
    envelope = of(metadata=metadata)
    assert envelope.metadata("session_id") == session
    user_id = (metadata or {}).get("user_id")
    assert envelope.metadata("user_id") == (user_id if isinstance(user_id, str) else None)


def test_there_is_no_state() -> None:
    """A container is a workspace: naming one continues no conversation."""
    assert of(container="container_01").state_id == ""


def test_other_paths_are_read_for_their_model() -> None:
    """A body of no known operation is held to the rules for routing fields only."""
    assert type(read(None, b'{"requests":[]}')) is Envelope
    with pytest.raises(Fault) as caught:
        read(None, b'{"api_key":"x"}')
    assert caught.value.code == "forbidden_field"
    with pytest.raises(Fault) as caught:
        read(Operation.MESSAGES, b'{"model":["x"]}')
    assert caught.value.code == "invalid_model"


@pytest.mark.parametrize(
    ("metadata", "user"),
    [
        ({"user_id": "somebody"}, "somebody"),
        ({"user_id": "user_0f_account_11-22_session_5e55-10"}, "user_0f_account_11-22"),
        ({"user_id": '{"device_id":"d","account_uuid":"a","session_id":"5e55-10"}'}, "a"),
        ({"user_id": '{"device_id":"d","account_uuid":null,"session_id":"5e55-10"}'}, "d"),
        ({"user_id": "{"}, "{"),
        ({"user_id": 5}, ""),
        (None, ""),
    ],
)
def test_the_user_outlasts_a_session(metadata: Any, user: str) -> None:
    """`metadata.user_id`, without the session that Claude Code writes into it."""
    assert of(metadata=metadata).user() == user
