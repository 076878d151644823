"""The refund desk does real steps through the official SDK, and tells what it did from what came back."""

from __future__ import annotations

import anyio

from gateway.demo.agent import IN_TIME, SYSTEM, TODAY, Agent, Case, Run, cases, client, connections
from gateway.demo.minds import LOOK_UP, NEW, OLD, REFUND
from gateway.demo.provider import MockProvider


def worked(count: int, *, move_in_the_middle: bool = False) -> list[Run]:
    """Runs against a provider, the name moved while the first tool is being called."""
    mock = MockProvider(3)
    mock.latency = (0.0, 0.0)

    async def pause() -> None:
        if move_in_the_middle:
            mock.move()

    async def work() -> list[Run]:
        async with mock.serving() as url, connections() as http:
            agent = Agent(client(url, http))
            return [await agent.work(case, pause=pause) for case in cases(1, count)]

    with_limit: list[Run] = anyio.run(work)
    return with_limit


def test_a_run_has_three_steps_or_more_and_ends_with_a_closing_line() -> None:
    """Look-up or refund, reply, closing line; what it says is what it did."""
    for run in worked(12):
        assert len(run.models) >= 3
        assert set(run.models) == {OLD}
        assert run.tools[0] in (LOOK_UP, REFUND)
        assert run.words >= 10
        assert "decision" in run.closing
        assert run.kept_json == run.closing.startswith("{")
        assert not run.changed_model


def test_a_move_in_the_middle_shows_in_the_models_of_the_run() -> None:
    """The first step was answered by the old snapshot, the last by the new one."""
    run = worked(1, move_in_the_middle=True)[0]
    assert (run.models[0], run.models[-1], run.changed_model) == (OLD, NEW, True)


def test_what_is_told_is_read_off_the_run() -> None:
    """Refunds and JSON are judged by tools called and text received."""
    run = Run(Case("A-1", 40), tools=[LOOK_UP, REFUND], closing='{"decision": "refunded"}', reply="one two")
    assert (run.looked_up_first, run.refunded, run.kept_json, run.words) == (True, True, True, 2)
    run.closing = '{"decision": "refused"}'
    assert not run.kept_json
    run.closing = "Certainly!"
    assert not run.kept_json


def test_cases_are_all_past_the_policy_or_all_in_time() -> None:
    """So a refund is always against the policy, or always within it."""
    assert all(30 < case.days <= 60 for case in cases(1000, 100))
    assert all(14 < case.days <= 30 for case in cases(1000, 100, IN_TIME))
    assert len({case.order for case in cases(1000, 100)}) == 100


def test_each_run_has_its_date_and_a_redeployed_agent_its_own_prompt() -> None:
    """The date stands in the prompt, 28 different ones; the agent before the deploy stays as it was."""

    async def test() -> None:
        async with MockProvider(3).serving() as url, connections() as http:
            agent = Agent(client(url, http))
            other = agent.redeployed(f"Be kind. {TODAY}")
            await agent.work(Case("A-1", 40))
            await other.work(Case("A-2", 40))
            assert agent.sent == {SYSTEM.replace(TODAY, "2026-11-02")}
            assert other.sent == {"Be kind. 2026-11-03"}

    anyio.run(test)
    assert len({case.today for case in cases(1, 60)}) == 28
