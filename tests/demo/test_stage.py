"""Runs are worked on in order and caught in the middle, without sleeps."""

from __future__ import annotations

import anyio

from gateway.demo.agent import Agent, Case, cases, client, connections
from gateway.demo.provider import MockProvider
from gateway.demo.stage import Caught, Working, name_of, work_all


def test_every_other_run_names_itself() -> None:
    """Half of the runs send a run id; direct ones never do."""
    names = [name_of(case, index, "desk") for index, case in enumerate(cases(1, 4))]
    assert names == ["desk-A-1", "", "desk-A-3", ""]
    assert name_of(Case("A-1", 40), 0, "") == ""


def test_runs_are_caught_in_the_middle_and_let_go() -> None:
    """`until` returns when all are held, each after its first answer; after `let_go` all end, in the order of their cases."""

    async def test() -> None:
        mock = MockProvider(1)
        caught, moved = Caught(), 0
        async with mock.serving() as url, connections() as http:
            agent = Agent(client(url, http))

            async def let_go() -> None:
                nonlocal moved
                await caught.until(5)
                moved = sum(mock.answered.values())
                caught.let_go()

            with anyio.fail_after(20):
                async with anyio.create_task_group() as group:
                    group.start_soon(let_go)
                    runs = await work_all(agent, cases(1, 5), caught=caught)
        assert moved == 5
        assert [run.case.order for run in runs] == [f"A-{n}" for n in range(1, 6)]
        assert all(run.closing for run in runs)

    anyio.run(test)


def test_one_run_can_be_waited_for() -> None:
    """`done` gives the run when it has ended."""

    async def test() -> None:
        mock, working, steps = MockProvider(1), Working(), []
        async with mock.serving() as url, connections() as http, anyio.create_task_group() as group:
            group.start_soon(working.work, Agent(client(url, http)), Case("A-1", 40), "x")
            steps = (await working.done()).models
        assert len(steps) >= 3

    anyio.run(test)
