"""Which runs of a canary get the candidate: those whose executor can run its tools and whose request fills its prompt."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Split
from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Mode, Release
from gateway.core.dialect.toolset import canonical, read
from tests.live.gateway import LiveGateway
from tests.live.legs import chat_tool, made, served, stored, toolset
from tests.provider import Provider

NEW_TOOLS = toolset("look", "pay")
V7, V8 = digest(toolset("look")), digest(NEW_TOOLS)


def splitting(
    gateway: LiveGateway, name: str, old: tuple[Release, dict[str, bytes]], new: tuple[Release, dict[str, bytes]]
) -> str:
    """An alias with everybody on the candidate who may be; the candidate's id."""
    if gateway.store.pointers.alias(name) is None:
        state = served(gateway, name, old, named={"tools__v7": V7, "tools__v8": V8})
        stored(gateway, new)
        split = Split(candidate=new[0].id, salt="s", weights={"*": 10_000})
        gateway.move(msgspec.structs.replace(state, version=2, split=split), new[0])
    return new[0].id


def arm(gateway: LiveGateway, name: str, headers: dict[str, str] | None = None, **more: Any) -> str:
    """The arm of a new run."""
    got = gateway.chat(name, headers, **more)
    assert got.status == 200, got.body
    return got.headers["x-trivet-arm"]


@pytest.mark.parametrize(
    ("listed", "sent", "wanted"),
    [
        (None, [], "canary"),
        (None, ["look"], "stable"),
        (None, ["look", "pay"], "canary"),
        ("tools@v7, tools@v8", ["look"], "canary"),
        (f"tools@v7,{V8}", [], "canary"),
        ("tools@v7", ["look"], "stable"),
        ("tools@v7", ["look", "pay"], "canary"),
        ("tools@v7, tools@v9", [], "stable"),
    ],
)
def test_served_tools(shared: LiveGateway, listed: str | None, sent: list[str], wanted: str) -> None:
    """A run is put on a candidate only if its executor lists the toolset or sent it; who says nothing takes what is served."""
    splitting(shared, "tooled", made(tools=toolset("look")), made(tools=NEW_TOOLS))
    headers = {"x-trivet-tools": listed} if listed is not None else None
    more = {"tools": [chat_tool(name) for name in sent]} if sent else {}
    assert arm(shared, "tooled", headers, **more) == wanted


def test_the_stable_release_is_served_all_the_same(shared: LiveGateway, upstream: Provider) -> None:
    """An agent that lists nothing and was never changed gets the stable release's tools: that is what serving is for."""
    splitting(shared, "tooled", made(tools=toolset("look")), made(tools=NEW_TOOLS))
    assert arm(shared, "tooled", tools=[chat_tool("own")]) == "stable"
    assert upstream.requests[-1].json["tools"] == [chat_tool("look")]


def test_an_executor_that_lists_others_is_refused(shared: LiveGateway) -> None:
    """What the run is bound to must be listed, for its whole life; a list that cannot be read is 400."""
    splitting(shared, "tooled", made(tools=toolset("look")), made(tools=NEW_TOOLS))
    got = shared.chat("tooled", {"x-trivet-tools": "tools@v9", "x-trivet-run": "r1"})
    assert (got.status, got.json["error"]["code"]) == (409, "tools_not_listed")
    assert "tools@v7" in got.json["error"]["message"]
    assert shared.chat("tooled", {"x-trivet-tools": "tools@v7", "x-trivet-run": "r1"}).status == 200
    assert shared.chat("tooled", {"x-trivet-tools": "tools@v8", "x-trivet-run": "r1"}).status == 409
    got = shared.chat("tooled", {"x-trivet-tools": "v7"})
    assert (got.status, got.json["error"]["code"]) == (400, "bad_tools_list")


def test_verified_tools_must_be_the_ones_sent(shared: LiveGateway) -> None:
    """A candidate that verifies is for agents that are deployed with its tools; the others stay, without an error."""
    old = made(tools=toolset("look"), tools_mode=Mode.VERIFY)
    splitting(shared, "checked", old, made(tools=NEW_TOOLS, tools_mode=Mode.VERIFY))
    assert arm(shared, "checked", tools=[chat_tool("look")]) == "stable"
    assert arm(shared, "checked", tools=[chat_tool("look"), chat_tool("pay")]) == "canary"
    assert arm(shared, "checked", {"x-trivet-tools": "tools@v8"}, tools=[chat_tool("look")]) == "stable"


def test_a_variable_that_only_the_candidate_needs(shared: LiveGateway, upstream: Provider) -> None:
    """A request without it stays on the stable release; one that has it goes to the candidate; neither is an error."""
    splitting(shared, "filled", made("For {{name}}."), made("For {{name}} of {{team}}."))
    assert arm(shared, "filled", trivet={"vars": {"name": "Ann"}}) == "stable"
    assert shared.counted["ineligible_total{other,variables}"] == 1
    assert arm(shared, "filled", trivet={"vars": {"name": "Ann", "team": "x"}}) == "canary"
    assert upstream.requests[-1].json["messages"][0]["content"] == "For Ann of x."


def test_a_verified_prompt_must_match_the_candidate(shared: LiveGateway) -> None:
    """An agent that sends the old prompt stays on the old release."""
    old, new = made("Be kind.", prompt_mode=Mode.VERIFY), made("Be brief.", prompt_mode=Mode.VERIFY)
    splitting(shared, "exact", old, new)
    for text, wanted in (("Be kind.", "stable"), ("Be brief.", "canary")):
        messages = [{"role": "system", "content": text}, {"role": "user", "content": "x"}]
        assert arm(shared, "exact", messages=messages) == wanted


def test_a_leg_that_stays_the_same_excludes_nobody(shared: LiveGateway) -> None:
    """A candidate with another model and the same served tools is for every executor of the stable release."""
    same = toolset("look")
    splitting(shared, "same", made(tools=same), made(tools=same, model="openai/gpt-4o-2024-11-20"))
    assert arm(shared, "same", tools=[chat_tool("own")]) == "canary"


def test_a_candidate_that_cannot_be_had_takes_nobody(gateway: LiveGateway) -> None:
    """Without its artifact, or blocked, a candidate gets no run; everybody is served by the stable release."""
    new = made("Be brief.")
    state = served(gateway, "gone", made("Be kind."))
    split = Split(candidate=new[0].id, salt="s", weights={"*": 10_000})
    gateway.move(msgspec.structs.replace(state, version=2, split=split), new[0])
    assert arm(gateway, "gone") == "stable"


def test_a_run_that_is_started_says_what_it_can_run(shared: LiveGateway) -> None:
    """The runs API takes the same header, and tells prompt and tools by digest and label, and the tools themselves."""
    candidate = splitting(shared, "tooled", made(tools=toolset("look")), made(tools=NEW_TOOLS))
    start = {"aliases": ["tooled"]}
    got = shared.request("POST", "/trivet/runs", start, {"x-trivet-tools": "tools@v7"}).json["aliases"]["tooled"]
    assert (got["arm"], got["toolset"], got["toolset_label"]) == ("stable", V7, "tools@v7")
    got = shared.request("POST", "/trivet/runs", start).json["aliases"]["tooled"]
    assert (got["arm"], got["release"], got["toolset_label"]) == ("canary", candidate, "tools@v8")
    assert canonical(read(msgspec.json.encode(got["tools"]))) == NEW_TOOLS
    assert (got["prompt"], got["prompt_label"]) == ("", "")
