"""The scenes judge what they measured: a gateway that does not pin is caught in the act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio

from gateway.demo.agent import Agent, client, connections
from gateway.demo.provider import MockProvider
from gateway.demo.scenes import IN_FLIGHT, Told, move, work_around_the_move
from gateway.demo.served import Gateway
from gateway.demo.stage import Stage
from tests.demo.test_screen import screen


async def without_trivet(seed: int, work: Any) -> Any:
    """A stage on which both agents talk straight to the provider."""
    mock = MockProvider(seed)
    mock.latency = (0.0, 0.0)
    shown, text = screen(120)
    async with mock.serving() as url, connections() as http:
        agent = Agent(client(url, http))
        stage = Stage(shown, mock, Gateway(Path()), agent, agent)
        return await work(stage), text.getvalue()


def test_without_trivet_the_claims_about_it_fail() -> None:
    """The story cannot be told of a gateway that lets runs move."""

    async def test() -> None:
        async def work(stage: Stage) -> Stage:
            await move(stage, "rel_0000000000000000")
            return stage

        stage, text = await without_trivet(7, work)
        assert len(stage.screen.failed) == 3
        assert all("Trivet" in claim or "no run id" in claim for claim in stage.screen.failed), stage.screen.failed
        assert f"direct: {IN_FLIGHT} runs changed model" in text

    anyio.run(test)


def test_the_same_seed_tells_the_same_story() -> None:
    """Counts of every behaviour are the same in two tellings, whatever the order in which runs ended."""

    async def test() -> None:
        async def work(stage: Stage) -> tuple[Told, Told]:
            return await work_around_the_move(stage, lambda: None)

        def told(pair: tuple[Told, Told]) -> list[Any]:
            return [[(run.case, run.tools, run.models, run.closing) for run in one.every] for one in pair]

        first, second = [(await without_trivet(5, work))[0] for _ in range(2)]
        assert told(first) == told(second)
        assert first[0].changed_in_the_middle == IN_FLIGHT

    anyio.run(test)
