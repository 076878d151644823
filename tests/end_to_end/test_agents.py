"""Unmodified agents, openai-agents and LangGraph, keep their triple while the pointer moves in the middle of their run."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.gateway_process import Gateway, running
from tests.provider import Provider, Received, Reply, answer, chat_body, events, stream, tool_call
from tests.responding import call_item, message_item, responding

OLD, NEW = "gpt-4o-2024-08-06", "gpt-4o-2024-11-20"
RELEASES: dict[str, str] = {}
"""Release ids by model, once the gateway's fixture made them."""
STEPS = 3
"""Tool calls of a run before its answer."""

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """A model that calls the tool STEPS times, then answers with its own name; whole or as a stream, as it is asked."""
    ids = itertools.count(1)
    kept: dict[str, int] = {}

    async def respond(received: Received, reply: Reply) -> None:
        asked, number = received.json, next(ids)
        brought = sum(item.get("type") == "function_call_output" for item in asked["input"])
        done = kept.get(asked.get("previous_response_id") or "", 0) + brought
        said = message_item(f"I am {asked['model']}.")
        item = call_item(f"call_{number:08}", "look", '{"where": "here"}') if done < STEPS else said
        kept[f"resp_{number:08}"] = done
        await responding(f"resp_{number:08}", item)(received, reply)

    async def think(received: Received, reply: Reply) -> None:
        asked = received.json
        if "messages" not in asked:
            await respond(received, reply)
            return
        done = sum(message["role"] == "tool" for message in asked["messages"])
        calls = [tool_call(f"call_{next(ids):08}", "look", '{"where": "here"}')] if done < STEPS else []
        said = f"I am {asked['model']}."
        if not asked.get("stream"):
            await answer(chat_body(said, asked["model"], tool_calls=calls))(received, reply)
            return
        if not calls:
            await stream(events([said], asked["model"]))(received, reply)
            return
        delta = {"role": "assistant", "tool_calls": [{"index": 0, **calls[0]}]}
        await stream(events_of(delta, asked["model"]))(received, reply)

    with Provider(think) as provider:
        yield provider


def events_of(delta: dict[str, Any], model: str) -> list[bytes]:
    """A stream of one tool call."""

    def chunk(delta: dict[str, Any], finish: str | None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return (
            b"data: "
            + json.dumps(
                {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
            ).encode()
            + b"\n\n"
        )

    return [chunk(delta, None), chunk({}, "tool_calls"), b"data: [DONE]\n\n"]


@pytest.fixture(scope="module")
def gateway(provider: Provider) -> Iterator[Gateway]:
    """A gateway whose alias has a release to move to."""
    aliases = {"assistant": {"first_release": {"model": f"openai/{OLD}"}}}
    with running({"openai": provider.url}, aliases=aliases) as gateway:
        for model in (OLD, NEW):
            RELEASES[model] = gateway.cli("release", "create", "--model", f"openai/{model}").stdout.strip()
        yield gateway


def point(gateway: Gateway, model: str) -> None:
    """Move the alias's pointer to the release of this model."""
    gateway.cli(
        "rollout", "promote", "assistant", "--release", RELEASES[model], "--reason", "test", "--override", "me: a test"
    )


def moving(gateway: Gateway) -> Callable[[], str]:
    """A tool that moves the pointer at its second call."""
    calls = itertools.count(1)

    def look() -> str:
        if next(calls) == 2:
            point(gateway, NEW)
        return "Nothing special."

    return look


def held(gateway: Gateway, provider: Provider, run: Callable[[Callable[[], str]], str]) -> None:
    """A run during which the pointer moves stays on its model to the end; the next run has the new one."""
    point(gateway, OLD)
    before = len(provider.requests)
    assert run(moving(gateway)) == f"I am {OLD}."
    asked = provider.requests[before:]
    assert [received.json["model"] for received in asked] == [OLD] * (STEPS + 1)
    assert not [name for received in asked for name in received.fields if name.startswith("x-trivet")]
    assert run(lambda: "Nothing.") == f"I am {NEW}."
    assert {received.json["model"] for received in provider.requests[before + STEPS + 1 :]} == {NEW}
    runs = [row for row in gateway.json("run", "list") if row["alias"] == "assistant"]
    newest = sorted(runs, key=lambda row: row["at_ms"])[-2:]
    assert [row["model"] for row in newest] == [f"openai/{OLD}", f"openai/{NEW}"]


def agents_run(
    gateway: Gateway, look: Callable[[], str], *, streamed: bool, responses: bool = False, chained: bool = False
) -> str:
    """One run of an agent of openai-agents: over chat completions or responses, whose history it keeps or the provider."""
    from agents import (  # noqa: PLC0415
        Agent,
        OpenAIChatCompletionsModel,
        OpenAIResponsesModel,
        Runner,
        function_tool,
        set_tracing_disabled,
    )

    set_tracing_disabled(disabled=True)

    async def work() -> str:
        async with AsyncOpenAI(base_url=f"{gateway.base}/v1", api_key="sk-unused", max_retries=0) as client:

            @function_tool
            def look_around(where: str) -> str:
                """Look around."""
                return look()

            look_around.name = "look"
            speaks: Any = OpenAIResponsesModel if responses else OpenAIChatCompletionsModel
            model = speaks("assistant", client)
            agent = Agent(name="scout", instructions="Look around.", model=model, tools=[look_around])
            if not streamed:
                return str((await Runner.run(agent, "Hello?", auto_previous_response_id=chained)).final_output)
            result = Runner.run_streamed(agent, "Hello?", auto_previous_response_id=chained)
            async for _ in result.stream_events():
                pass
            return str(result.final_output)

    return asyncio.run(work())


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_openai_agents(gateway: Gateway, provider: Provider, streamed: bool) -> None:
    """An agent of openai-agents, without any run header."""
    held(gateway, provider, lambda look: agents_run(gateway, look, streamed=streamed))


@pytest.mark.parametrize(
    ("streamed", "chained"), [(False, False), (True, True)], ids=["whole, own history", "streamed, chained"]
)
def test_openai_agents_over_responses(gateway: Gateway, provider: Provider, streamed: bool, chained: bool) -> None:
    """Its default, the Responses API, without any run header: with a history of its own, and with one at the provider."""
    held(gateway, provider, lambda look: agents_run(gateway, look, streamed=streamed, responses=True, chained=chained))


def graph_run(gateway: Gateway, look: Callable[[], str], *, streamed: bool) -> str:
    """One run of a LangGraph agent: model node, tool node, back."""
    from langchain_core.tools import tool  # noqa: PLC0415
    from langchain_openai import ChatOpenAI  # noqa: PLC0415
    from langgraph.graph import START, MessagesState, StateGraph  # noqa: PLC0415
    from langgraph.prebuilt import ToolNode, tools_condition  # noqa: PLC0415

    @tool("look")
    def look_around(where: str) -> str:
        """Look around."""
        return look()

    chat = ChatOpenAI(
        model="assistant",
        base_url=f"{gateway.base}/v1",
        api_key="sk-unused",
        max_retries=0,
        streaming=streamed,
        use_responses_api=False,
    )  # type: ignore[call-arg]
    bound = chat.bind_tools([look_around])

    def think(state: MessagesState) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([look_around]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", tools_condition)
    graph.add_edge("tools", "think")
    found = graph.compile().invoke({"messages": [("system", "Look around."), ("user", "Hello?")]})
    return str(found["messages"][-1].content)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_langgraph(gateway: Gateway, provider: Provider, streamed: bool) -> None:
    """A LangGraph agent over langchain-openai, without any run header."""
    held(gateway, provider, lambda look: graph_run(gateway, look, streamed=streamed))
