"""Flows: coroutines stepped by who has their value, interruptible wherever they wait."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.wire.flow import Flow, Wait, run, waiting_for


def test_a_value_resumes_the_flow_inside_done() -> None:
    """The flow has run on when `done` returns, and ends with None."""
    wait: Wait[int] = Wait()
    seen: list[Any] = []

    async def body() -> None:
        seen.append(await wait)

    flow = Flow(body(), seen.append)
    flow.start()
    assert seen == []
    wait.done(7)
    assert seen == [7, None]
    wait.done(8)
    wait.fail(ValueError())
    assert seen == [7, None]
    assert flow.ended


def test_a_ready_wait_does_not_suspend() -> None:
    """A value that is there already is taken at once, any number of times."""
    wait: Wait[int] = Wait()
    wait.done(1)
    seen: list[Any] = []

    async def body() -> None:
        seen.extend([await wait for _ in range(5000)])

    Flow(body(), seen.append).start()
    assert len(seen) == 5001


def test_errors_and_interrupts() -> None:
    """`fail` raises where the flow waits; so does `interrupt`, and what the wait brings later is dropped."""
    first: Wait[None] = Wait()
    second: Wait[None] = Wait()
    seen: list[Any] = []

    async def body() -> None:
        try:
            await first
        except KeyError as error:
            seen.append(error)
        try:
            await second
        except IndexError as error:
            seen.append(error)
            raise

    flow = Flow(body(), seen.append)
    flow.start()
    first.fail(KeyError())
    flow.interrupt(IndexError())
    assert [type(e) for e in seen] == [KeyError, IndexError, IndexError]
    second.done(None)
    flow.interrupt(ValueError())
    assert len(seen) == 3


def test_interrupt_while_running_strikes_at_the_next_wait() -> None:
    """A flow that is interrupted by what it does itself runs to its next wait."""
    seen: list[Any] = []
    flows: list[Flow] = []

    async def body() -> None:
        flows[0].interrupt(KeyError())
        seen.append("ran on")
        try:
            await Wait()
        except KeyError:
            seen.append("struck")

    flows.append(Flow(body(), seen.append))
    flows[0].start()
    assert seen == ["ran on", "struck", None]


def test_from_and_to_asyncio() -> None:
    """`run` gives asyncio a future, `waiting_for` gives a flow an asyncio result, errors and cancellation included."""

    async def main() -> None:
        async def sleeper(result: Any) -> Any:
            await asyncio.sleep(0.01)
            if isinstance(result, Exception):
                raise result
            return result

        async def body(result: Any) -> Any:
            return await waiting_for(asyncio.get_running_loop().create_task(sleeper(result)))

        assert await run(body(3)) == 3
        with pytest.raises(KeyError):
            await run(body(KeyError()))
        stopped: list[str] = []

        async def endless() -> None:
            try:
                await Wait()
            except asyncio.CancelledError:
                stopped.append("cancelled")
                raise

        future = run(endless())
        await asyncio.sleep(0)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future
        await asyncio.sleep(0)
        assert stopped == ["cancelled"]

    asyncio.run(main())
