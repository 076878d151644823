"""Who plays in the demo: provider, gateway, two agents of the same code, and the means to catch runs in the middle.

Rule of the file: runs are caught by an event, never by a sleep, so the same seed tells the same story on a slow machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio

from gateway.demo.agent import Agent, Case, Run
from gateway.demo.provider import MockProvider
from gateway.demo.screen import Advance, Screen
from gateway.demo.served import Gateway

AT_ONCE = 8
"""Runs of one agent that are worked on at the same time."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a scene needs."""

    screen: Screen
    provider: MockProvider
    gateway: Gateway
    direct: Agent
    """Talks to the provider."""
    pinned: Agent
    """Talks to Trivet; nothing else differs."""


class Caught:
    """Holds runs in the middle until they are let go."""

    def __init__(self) -> None:
        self.count = 0
        self._go = anyio.Event()
        self._came = anyio.Event()

    async def pause(self) -> None:
        """What a run awaits: here it stays until `let_go`."""
        self.count += 1
        self._came.set()
        await self._go.wait()

    async def until(self, count: int) -> None:
        """Return when so many runs are held."""
        while self.count < count:
            self._came = anyio.Event()
            await self._came.wait()

    def let_go(self) -> None:
        """Let every run go on; those that come later are not held."""
        self._go.set()


class Working:
    """One run that is being worked on in a task group of the caller."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._done = anyio.Event()

    async def work(self, agent: Agent, case: Case, name: str, caught: Caught | None = None) -> None:
        """Work on it; start this in a task group."""
        self.run = await agent.work(case, name=name, pause=caught.pause if caught is not None else None)
        self._done.set()

    async def done(self) -> Run:
        """The finished run."""
        await self._done.wait()
        assert self.run is not None
        return self.run


def name_of(case: Case, index: int, prefix: str) -> str:
    """Every other run names itself; the rest send no header and are held together by ids of tool calls."""
    return f"{prefix}-{case.order}" if prefix and index % 2 == 0 else ""


async def work_all(
    agent: Agent,
    cases: Iterable[Case],
    prefix: str = "",
    caught: Caught | None = None,
    *,
    advance: Advance = lambda: None,
) -> Sequence[Run]:
    """Work on all cases, AT_ONCE at a time unless they are to be caught; runs in the order of their cases."""
    listed = list(cases)
    finished: dict[int, Run] = {}
    limit = anyio.Semaphore(len(listed) if caught is not None else AT_ONCE)

    async def one(index: int, case: Case) -> None:
        async with limit:
            pause = caught.pause if caught is not None else None
            finished[index] = await agent.work(case, name=name_of(case, index, prefix), pause=pause)
            advance()

    async with anyio.create_task_group() as group:
        for index, case in enumerate(listed):
            group.start_soon(one, index, case)
    return [finished[index] for index in range(len(listed))]
