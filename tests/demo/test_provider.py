"""The mock provider through the official openai SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import openai
import pytest

from gateway.core.gate.requests import request
from gateway.demo.agent import TOOLS, client, connections
from gateway.demo.exam import Exam
from gateway.demo.minds import FLOATING, MINDS, NEW, OLD, Skills
from gateway.demo.provider import MockProvider

ASKED: list[Any] = [{"role": "user", "content": "My order A-7 came broken."}]


@asynccontextmanager
async def provider(seed: int = 7) -> AsyncIterator[tuple[MockProvider, openai.AsyncOpenAI]]:
    """A provider and the SDK that talks to it."""
    mock = MockProvider(seed)
    mock.latency = (0.0, 0.0)
    async with mock.serving() as url, connections() as http:
        yield mock, client(url, http)


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run async work with a limit."""

    async def limited() -> None:
        with anyio.fail_after(20):
            await test()

    anyio.run(limited)


def test_the_answer_names_the_snapshot_and_the_name_moves() -> None:
    """`model` of an answer says which snapshot made it; after `move`, the same name is answered by another."""

    async def test() -> None:
        async with provider() as (mock, sdk):
            before = await sdk.chat.completions.create(model=FLOATING, messages=ASKED)
            mock.move()
            after = await sdk.chat.completions.create(model=FLOATING, messages=ASKED)
            pinned = await sdk.chat.completions.create(model=OLD, messages=ASKED)
            assert (before.model, after.model, pinned.model) == (OLD, NEW, OLD)
            assert before.system_fingerprint != after.system_fingerprint
            assert mock.answered == {OLD: 2, NEW: 1}

    run(test)


def test_a_snapshot_changes_under_its_name() -> None:
    """After `change` another model answers, and neither name nor fingerprint says so."""
    asked: list[Any] = [{"role": "user", "content": "Order A-7 was bought 45 days ago. Refund?"}]

    async def test() -> None:
        async with provider() as (mock, sdk):
            before = await sdk.chat.completions.create(model=OLD, messages=asked)
            mock.change(OLD, replace(MINDS[OLD], words=(4, 4)))
            after = await sdk.chat.completions.create(model=OLD, messages=asked)
            assert (before.model, before.system_fingerprint) == (after.model, after.system_fingerprint)
            counted = [len(str(each.choices[0].message.content).split()) for each in (before, after)]
            assert counted[0] > 4 and counted[1] == 4
            assert MINDS[OLD].words != (4, 4)

    run(test)


def test_tools_are_called_with_fresh_ids() -> None:
    """A tool turn has the API's shape, and no two answers share an id."""

    async def test() -> None:
        async with provider() as (_, sdk):
            answers = [await sdk.chat.completions.create(model=OLD, messages=ASKED, tools=TOOLS) for _ in range(5)]
            calls = [answer.choices[0].message.tool_calls for answer in answers]
            assert all(found and found[0].type == "function" for found in calls)
            assert all(answer.choices[0].finish_reason == "tool_calls" for answer in answers)
            assert json.loads(calls[0][0].function.arguments) == {"order": "A-7"}  # type: ignore[index, union-attr]
            assert len({found[0].id for found in calls if found}) == 5
            assert len({answer.id for answer in answers}) == 5

    run(test)


@pytest.mark.parametrize("tools", [True, False])
def test_a_stream_says_the_same_as_a_whole_answer_and_brings_usage(tools: bool) -> None:
    """Two providers of one seed: the stream's pieces joined are the other's answer, usage comes last."""

    async def test() -> None:
        more: dict[str, Any] = {"tools": TOOLS} if tools else {}
        async with provider() as (_, one), provider() as (_, other):
            whole = await one.chat.completions.create(model=OLD, messages=ASKED, **more)
            text, called, usage = "", "", None
            stream = await other.chat.completions.create(
                model=OLD, messages=ASKED, stream=True, stream_options={"include_usage": True}, **more
            )
            async for chunk in stream:
                assert usage is None
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    called += "".join(call.function.arguments for call in choice.delta.tool_calls or ())
                usage = chunk.usage
            message = whole.choices[0].message
            assert text == (message.content or "")
            assert called == (message.tool_calls[0].function.arguments if message.tool_calls else "")
            assert usage == whole.usage

    run(test)


def test_usage_is_left_out_unless_asked_for() -> None:
    """Without `include_usage` no chunk has it, as at OpenAI."""

    async def test() -> None:
        async with provider() as (_, sdk):
            stream = await sdk.chat.completions.create(model=OLD, messages=ASKED, stream=True)
            assert all([chunk.usage is None and chunk.choices async for chunk in stream])

    run(test)


def test_models_are_listed_and_shown() -> None:
    """`/v1/models` has the floating name and every snapshot; one alone can be asked for; an unknown one is 404."""

    async def test() -> None:
        async with provider() as (_, sdk):
            assert [model.id async for model in sdk.models.list()] == [FLOATING, *MINDS]
            assert (await sdk.models.retrieve(NEW)).id == NEW
            with pytest.raises(openai.NotFoundError, match="does not exist"):
                await sdk.models.retrieve("gpt-9")
            with pytest.raises(openai.NotFoundError):
                await sdk.chat.completions.create(model="gpt-9", messages=ASKED)

    run(test)


def test_a_request_without_a_key_is_refused() -> None:
    """So a gateway that loses the caller's credential is noticed."""

    async def test() -> None:
        async with provider() as (mock, _), connections() as http:
            for method, path in (("GET", "/v1/models"), ("GET", f"/v1/models/{OLD}"), ("POST", "/v1/chat/completions")):
                assert (await http.request(method, mock.url + path)).status_code == 401

    run(test)


def test_a_body_that_is_no_request_is_a_400_in_shape() -> None:
    """Junk gets the API's own error."""

    async def test() -> None:
        async with provider() as (mock, _), connections() as http:
            for junk in (b"{", b"[]", b"{}"):
                got = await http.post(
                    f"{mock.url}/v1/chat/completions", content=junk, headers={"authorization": "Bearer x"}
                )
                assert (got.status_code, got.json()["error"]["type"]) == (400, "invalid_request_error")

    run(test)


def test_the_same_seed_gives_the_same_answers_and_asking_again_throws_again() -> None:
    """Noise is there, and repeatable."""

    async def said(seed: int) -> list[str]:
        async with provider(seed) as (_, sdk):
            found = []
            for _ in range(20):
                answer = await sdk.chat.completions.create(model=NEW, messages=ASKED, tools=TOOLS)
                found.append(answer.choices[0].message.tool_calls[0].function.name)  # type: ignore[index, union-attr]
            return found

    async def test() -> None:
        first = await said(1)
        assert first == await said(1)
        assert len(set(first)) == 2
        assert first != await said(2)

    run(test)


@pytest.mark.parametrize("stream", [False, True])
def test_an_item_of_a_suite_is_answered_with_all_its_calls(stream: bool) -> None:
    """A provider with an exam answers a question of the gate with the item's own example, streamed or whole."""

    async def test() -> None:
        exam = Exam.read(7)
        question = next(q for q in exam.questions.values() if len(q.item.good.calls) > 1)
        ask: Any = json.loads(request(question.item, "openai", "perfect").body)
        mind = replace(MINDS[OLD], skills=Skills(1.1, 1.1, 1.1))
        mock = MockProvider(7, {"perfect": mind}, exam)
        mock.latency = (0.0, 0.0)
        names: list[str] = []
        async with mock.serving() as url, connections() as http:
            sdk = client(url, http)
            for _ in range(3):  # one answer in a hundred wavers
                names.clear()
                if stream:
                    async for chunk in await sdk.chat.completions.create(**ask, stream=True):
                        calls = chunk.choices[0].delta.tool_calls or ()
                        names += [call.function.name for call in calls if call.function and call.function.name]
                else:
                    answer = await sdk.chat.completions.create(**ask)
                    names += [call.function.name for call in answer.choices[0].message.tool_calls or ()]
                if len(names) > 1:
                    break
        assert names == [call.name for call in question.item.good.calls]

    run(test)
