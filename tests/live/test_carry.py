"""Serve and verify, end to end on a chat: what the provider receives, and what the caller is told otherwise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Mode, Params
from tests.live.gateway import Got, LiveGateway
from tests.live.legs import chat_tool, made, served, stored, tool, toolset
from tests.provider import Provider
from tests.store.servers import RealRedis

SYSTEM = {"role": "system", "content": "As the agent wrote it."}
USER = {"role": "user", "content": "Hello?"}


def sent(provider: Provider) -> Any:
    """The body of the last request the provider got."""
    return provider.requests[-1].json


def error(got: Any) -> tuple[int, str]:
    """Status and code of an error."""
    return got.status, got.json["error"]["code"]


def test_serve_puts_both_legs_in(gateway: LiveGateway, provider: Provider) -> None:
    """The first system item and all tools are the release's; the rest of the body is the agent's, with params applied."""
    params = Params(set={"temperature": 0}, drop=("seed",), rename={"max_tokens": "max_completion_tokens"})
    served(gateway, "support", made("Be kind.", toolset("look", "pay"), params=params))
    more = {"seed": 7, "max_tokens": 9, "functions": [{"name": "old"}], "user": "u"}
    got = gateway.chat("support", messages=[SYSTEM, USER], tools=[chat_tool("other")], **more)
    assert got.status == 200
    assert sent(provider) == {
        "model": "gpt-4o-2024-08-06",
        "messages": [{"role": "system", "content": "Be kind."}, USER],
        "tools": [chat_tool("look"), chat_tool("pay")],
        "user": "u",
        "temperature": 0,
        "max_completion_tokens": 9,
    }


def test_an_agent_without_a_prompt_or_tools_gets_the_releases(gateway: LiveGateway, provider: Provider) -> None:
    """Nothing sent is no reason to serve nothing."""
    served(gateway, "support", made("Be kind.", toolset("look")))
    assert gateway.chat("support").status == 200
    assert sent(provider)["messages"] == [{"role": "system", "content": "Be kind."}, USER]
    assert sent(provider)["tools"] == [chat_tool("look")]


def test_variables_from_body_and_header(gateway: LiveGateway, provider: Provider) -> None:
    """Variables come from the body's `trivet` member, which is stripped, or from the header; `app` is what was sent."""
    served(gateway, "support", made("{{app}} For {{name}}, tier {{tier}}."))
    vars_ = {"name": "{{tier}} Ünal", "tier": 3}
    assert gateway.chat("support", messages=[SYSTEM, USER], trivet={"vars": vars_}).status == 200
    wanted = "As the agent wrote it. For {{tier}} Ünal, tier 3."
    assert sent(provider)["messages"] == [{"role": "system", "content": wanted}, USER]
    assert "trivet" not in sent(provider)
    header = {"x-trivet-vars": json.dumps(vars_)}
    assert gateway.chat("support", header, messages=[SYSTEM, USER]).status == 200
    assert sent(provider)["messages"][0]["content"] == wanted
    assert gateway.chat("support", header, messages=[USER], trivet={"vars": {"tier": 3}}).status == 200
    assert sent(provider)["messages"][0]["content"] == " For {{tier}} Ünal, tier 3."


@pytest.mark.parametrize(
    ("body", "header", "code", "param"),
    [
        ({}, None, "missing_variable", "name"),
        ({"trivet": {"vars": {"name": "x", "nam": "y"}}}, None, "unknown_variable", "nam"),
        ({"trivet": {"vars": {"name": None}}}, None, "bad_variables", "trivet.vars.name"),
        ({"trivet": {"vars": {"name": ["x"]}}}, None, "bad_variables", "trivet.vars.name"),
        ({"trivet": {"vars": 7}}, None, "bad_variables", "trivet.vars"),
        ({"trivet": 7}, None, "bad_variables", "trivet"),
        ({"trivet": {"vars": {"app": "x"}}}, None, "unknown_variable", "app"),
        ({}, "{", "bad_variables", "x-trivet-vars"),
        ({}, '{"name": "ü"}', "bad_variables", "x-trivet-vars"),
        ({"trivet": {"vars": {"name": "x"}}}, '{"name": "y"}', "ambiguous_variable", "name"),
    ],
)
def test_bad_variables_are_named(
    shared: LiveGateway, upstream: Provider, body: Any, header: str | None, code: str, param: str
) -> None:
    """A variable that is missing, unknown, given twice or no plain value is 400 with its name; nothing is called."""
    if shared.store.pointers.alias("named") is None:
        served(shared, "named", made("For {{name}}."))
    before = len(upstream.requests)
    got = shared.chat("named", {"x-trivet-vars": header} if header else None, **body)
    assert error(got) == (400, code)
    assert got.json["error"]["param"] == param
    assert len(upstream.requests) == before


def test_a_variable_of_another_release_is_no_slip(gateway: LiveGateway, provider: Provider) -> None:
    """An application may send what the next release needs, and go on with what an older one needed; a typo is still told."""
    import msgspec  # noqa: PLC0415

    from gateway.core.contract.alias import Lane  # noqa: PLC0415

    old, new = made("For {{name}}."), made("To {{name}} of {{team}}.")
    state = served(gateway, "support", old)
    stored(gateway, new)
    both = {"trivet": {"vars": {"name": "Ann", "team": "x"}}}
    assert error(gateway.chat("support", **both)) == (400, "unknown_variable")
    gateway.chat("support", {"x-trivet-run": "r1"}, trivet={"vars": {"name": "Ann"}})
    lanes = {"*": Lane(new[0].id, (old[0].id,))}
    gateway.move(msgspec.structs.replace(state, version=2, lanes=lanes), new[0])
    assert gateway.chat("support", {"x-trivet-run": "r1"}, **both).status == 200
    assert sent(provider)["messages"][0]["content"] == "For Ann."
    assert gateway.chat("support", {"x-trivet-run": "r2"}, **both).status == 200
    assert sent(provider)["messages"][0]["content"] == "To Ann of x."
    typo = {"trivet": {"vars": {"name": "Ann", "team": "x", "tem": 1}}}
    assert error(gateway.chat("support", {"x-trivet-run": "r1"}, **typo)) == (400, "unknown_variable")
    assert error(gateway.chat("gpt-4o-2024-08-06", trivet={"vars": {"x": 1}})) == (400, "unknown_variable")


@pytest.mark.parametrize(
    ("prompt", "status", "words"),
    [
        ("Hi Ann, it is Monday.\n", 200, ""),
        ("Hi Bob, it is Monday.", 200, ""),
        ("Hi Bob, it was Monday.", 409, "from character 4 on"),
        (None, 409, "sent none"),
    ],
)
def test_verify_compares_the_prompt(
    shared: LiveGateway, upstream: Provider, prompt: str | None, status: int, words: str
) -> None:
    """A prompt that is not the template is 409 with expected and got, never with what it says."""
    kept = made("Hi {{name}}, it is {{day}}.", prompt_mode=Mode.VERIFY)
    if shared.store.pointers.alias("exact") is None:
        served(shared, "exact", kept, named={"hello__v1": kept[0].triple.prompt.digest})
    before = len(upstream.requests)
    messages = [{"role": "system", "content": prompt}, USER] if prompt is not None else [USER]
    got = shared.chat("exact", messages=messages)
    assert got.status == status
    if status == 200:
        assert upstream.requests[-1].json["messages"] == messages
        return
    message = got.json["error"]["message"]
    assert got.json["error"]["code"] == "prompt_mismatch"
    assert words in message
    assert "hello@v1" in message
    assert "Monday" not in message
    assert len(upstream.requests) == before


def test_verify_with_a_given_value(shared: LiveGateway) -> None:
    """A variable that the request gives must be what the prompt says."""
    served(shared, "given", made("Hi {{name}}.", prompt_mode=Mode.VERIFY))
    messages = [{"role": "system", "content": "Hi Ann."}, USER]
    assert shared.chat("given", messages=messages, trivet={"vars": {"name": "Ann"}}).status == 200
    assert error(shared.chat("given", messages=messages, trivet={"vars": {"name": "Bob"}})) == (409, "prompt_mismatch")


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ([chat_tool("look"), chat_tool("pay")], ""),
        ([], "sent none"),
        ([chat_tool("look")], "missing pay"),
        ([chat_tool("look"), chat_tool("pay"), chat_tool("spy")], "not in the release spy"),
        ([chat_tool("look", "Other."), chat_tool("pay")], "different look"),
        ([chat_tool("pay"), chat_tool("look")], "another order"),
        ([{"type": "function"}], "cannot be read: tool 1 has no name"),
    ],
)
def test_verify_compares_the_tools(shared: LiveGateway, upstream: Provider, tools: list[Any], words: str) -> None:
    """A toolset that is not the release's is 409 with the names of the tools that differ; the same one in any spacing passes."""
    if shared.store.pointers.alias("tooled") is None:
        served(shared, "tooled", made(tools=toolset("look", "pay"), tools_mode=Mode.VERIFY))
    got = shared.chat("tooled", tools=tools)
    if not words:
        assert got.status == 200
        assert upstream.requests[-1].json["tools"] == tools
        return
    assert error(got) == (409, "tools_mismatch")
    assert words in got.json["error"]["message"]


def test_the_journal_tells_what_was_sent(gateway: LiveGateway) -> None:
    """A step has the digests of the prompt and tools as the agent sent them, whatever was served in their place."""
    served(gateway, "served", made("Be kind.", toolset("look")))
    served(gateway, "exact", made(tools=toolset("look"), tools_mode=Mode.VERIFY))
    tools = [chat_tool("look")]
    raw = [digest(json.dumps(part).encode()) for part in ([SYSTEM], tools)]
    for name in ("served", "exact"):
        assert gateway.chat(name, {"x-trivet-run": name}, messages=[SYSTEM, USER], tools=tools).status == 200
        gateway.wait(lambda name=name: len(gateway.flow(gateway.store.run_record("default", name)).entries) == 2)
        step = gateway.flow(gateway.store.run_record("default", name)).entries[1]
        assert [step.prompt, step.tools] == raw


def test_an_operation_without_a_place_is_refused(shared: LiveGateway, upstream: Provider) -> None:
    """A release that brings a prompt or tools is never called without them."""
    served(shared, "prompted", made("Be kind."))
    served(shared, "armed", made(tools=toolset("look")))
    before = len(upstream.requests)
    for name in ("prompted", "armed"):
        for path, body in (("completions", {"prompt": "x"}), ("embeddings", {"input": "x"}), ("audio/speech", {})):
            got = shared.request("POST", f"/v1/{path}", {"model": name, **body})
            assert error(got) == (400, "leg_unserved"), path
    assert len(upstream.requests) == before


def test_an_artifact_that_is_gone_is_503_and_nothing_else_stands_in(
    gateway: LiveGateway, provider: Provider, redis_server: RealRedis
) -> None:
    """Without its prompt a release is not called; as soon as the store has it again, it is."""
    kept = made("Be kind.")
    gateway.alias("support", kept[0])
    got = gateway.chat("support")
    assert error(got) == (503, "artifact_missing")
    assert (got.headers["x-should-retry"], got.headers["retry-after"]) == ("true", "1")
    assert not provider.requests
    stored(gateway, (kept[0], dict.fromkeys(kept[1], b"Be cruel.")))
    assert error(gateway.chat("support")) == (503, "artifact_missing")
    redis_server.ask(f"DEL {gateway.store.keys.artifact(digest(b'Be kind.'))}")
    stored(gateway, kept)
    assert gateway.chat("support").status == 200
    assert sent(provider)["messages"][0]["content"] == "Be kind."


def test_f1_a_dead_store_does_not_take_the_prompt_away(
    redis_server: RealRedis, provider: Provider, tmp_path: Path
) -> None:
    """F1: a worker that starts while the store is dead serves prompt and tools from this host's disk."""
    providers = {"openai": {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers) as first:
        served(first.ready(), "support", made("Be kind.", toolset("look")))
        first.wait(lambda: (tmp_path / "artifacts").is_dir() and len(list((tmp_path / "artifacts").iterdir())) == 2)
        copy = tmp_path / "pointers.json"
        first.wait(lambda: copy.exists() and b"support" in copy.read_bytes())
    with LiveGateway("redis://127.0.0.1:1", tmp_path, providers) as second:
        assert second.chat("support").status == 200
        assert sent(provider)["messages"][0]["content"] == "Be kind."
        assert sent(provider)["tools"] == [chat_tool("look")]


SCHEMA = {"type": "object", "properties": {}}
OWN = {"type": "object", "properties": {"own": {"type": "string"}}}
TURNS = [{"role": "user", "content": "Hello?"}]
SHAPES: dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]] = {
    "openai": (
        "openai/gpt-4o-2024-08-06",
        "/v1/chat/completions",
        {"messages": [SYSTEM, *TURNS], "tools": [{"type": "function", "function": {"name": "own", "parameters": OWN}}]},
        {"messages": [{"role": "system", "content": "Be kind."}, *TURNS], "tools": [chat_tool("look")]},
    ),
    "responses": (
        "openai/gpt-4o-2024-08-06",
        "/v1/responses",
        {"instructions": "Own.", "input": "Hello?", "tools": [{"type": "function", "name": "own", "parameters": OWN}]},
        {"instructions": "Be kind.", "input": "Hello?", "tools": [{"type": "function", **tool("look")}]},
    ),
    "anthropic": (
        "anthropic/claude-sonnet-4-5-20250929",
        "/v1/messages",
        {"max_tokens": 9, "system": "Own.", "messages": TURNS, "tools": [{"name": "own", "input_schema": OWN}]},
        {
            "max_tokens": 9,
            "system": "Be kind.",
            "messages": TURNS,
            "tools": [{"name": "look", "description": "Looks.", "input_schema": SCHEMA}],
        },
    ),
    "gemini": (
        "gemini/gemini-2.5-flash-001",
        "/v1beta/models/NAME:generateContent",
        {
            "system_instruction": {"parts": [{"text": "Own."}]},
            "contents": [{"parts": [{"text": "Hello?"}]}],
            "tools": [{"functionDeclarations": [{"name": "own", "parameters": OWN}]}],
        },
        {
            "system_instruction": {"parts": [{"text": "Be kind."}]},
            "contents": [{"parts": [{"text": "Hello?"}]}],
            "tools": [
                {"functionDeclarations": [{"name": "look", "description": "Looks.", "parametersJsonSchema": SCHEMA}]}
            ],
        },
    ),
}
"""Dialect to model, path, what an agent sends, and what the provider is to get."""


@pytest.fixture(scope="module")
def polyglot(upstream: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveGateway]:
    """A gateway with a provider of every vendor."""
    folder = tmp_path_factory.mktemp("polyglot")
    server = RealRedis(folder)
    one = {"base_url": upstream.url, "api_key": "sk-provider", "allow_private": True}
    try:
        with LiveGateway(server.url, folder / "data", dict.fromkeys(("openai", "anthropic", "gemini"), one)) as running:
            yield running
    finally:
        server.stop()


@pytest.mark.parametrize("name", SHAPES)
def test_every_dialect_serves_and_verifies(polyglot: LiveGateway, upstream: Provider, name: str) -> None:
    """The same prompt and tools are put into every dialect's own members; what was put in passes where it has to match."""
    model, path, body, wanted = SHAPES[name]
    served(polyglot, name, made("Be kind.", toolset("look"), model=model))
    modes = {"prompt_mode": Mode.VERIFY, "tools_mode": Mode.VERIFY}
    served(polyglot, f"{name}-exact", made("Be kind.", toolset("look"), model=model, **modes))

    def call(alias: str, members: dict[str, Any]) -> Got:
        named = {} if "NAME" in path else {"model": alias}
        return polyglot.request("POST", path.replace("NAME", alias), {**named, **members})

    assert call(name, body).status == 200, call(name, body).body
    got = {key: value for key, value in upstream.requests[-1].json.items() if key != "model"}
    assert got == wanted
    assert call(f"{name}-exact", wanted).status == 200
    prompted = {**body, "tools": wanted["tools"]}
    other = {**wanted, "tools": body["tools"]}
    for members, code in ((prompted, "prompt_mismatch"), (other, "tools_mismatch")):
        refused = call(f"{name}-exact", members)
        assert refused.status == 409
        assert code in refused.body.decode()


def test_a_compaction_needs_no_tools(polyglot: LiveGateway, upstream: Provider) -> None:
    """The prompt is put in, the tools are not missed, in either mode: nothing is called there."""
    for mode in (Mode.SERVE, Mode.VERIFY):
        name = f"compacted-{mode.value}"
        served(polyglot, name, made("Be kind.", toolset("look"), tools_mode=mode))
        got = polyglot.request("POST", "/v1/responses/compact", {"model": name, "input": "x", "instructions": "Own."})
        assert got.status == 200, got.body
        assert upstream.requests[-1].json["instructions"] == "Be kind."
        assert "tools" not in upstream.requests[-1].json
