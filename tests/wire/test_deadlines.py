"""The sweep: late by a tick at most, never early, asleep when nothing is watched."""

from __future__ import annotations

import asyncio

from gateway.wire.deadlines import NEVER, Sweeper

from .rig import run, until


class Thing:
    """Something with a deadline that notes when it was expired."""

    def __init__(self, due: float, sweeper: Sweeper | None = None) -> None:
        self.due = due
        self.expired: list[float] = []
        self.forgets = sweeper

    def expire(self, now: float) -> None:
        self.expired.append(now)
        self.due = NEVER
        if self.forgets is not None:
            self.forgets.forget(self)


def test_expires_in_time_and_once() -> None:
    """A thing is expired after its deadline and within a tick, once; what has none, never; the timer then stops."""

    async def main() -> None:
        sweeper = Sweeper(0.02)
        now = asyncio.get_running_loop().time()
        soon, later, never = Thing(now + 0.05, sweeper), Thing(now + 0.1, sweeper), Thing(NEVER)
        for thing in (soon, later, never):
            sweeper.watch(thing)
        await until(lambda: later.expired)
        assert now + 0.05 <= soon.expired[0] < now + 0.1
        assert now + 0.1 <= later.expired[0] < now + 0.2
        assert never.expired == []
        assert len(sweeper) == 1
        sweeper.forget(never)
        await until(lambda: sweeper._timer is None, 1)
        sweeper.watch(soon)
        assert sweeper._timer is not None
        sweeper.close()
        assert sweeper._timer is None
        assert len(sweeper) == 0

    run(main)


def test_one_that_fails_does_not_stop_the_sweep() -> None:
    """An expiry that raises reaches the loop's handler; the sweep goes on at the next tick."""

    class Bad(Thing):
        def expire(self, now: float) -> None:
            super().expire(now)
            raise ValueError("test")

    async def main() -> None:
        seen: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context["exception"]))
        sweeper = Sweeper(0.01)
        now = asyncio.get_running_loop().time()
        bad, good = Bad(now), Thing(now + 0.05)
        sweeper.watch(bad)
        sweeper.watch(good)
        await until(lambda: good.expired)
        assert len(seen) == 1
        sweeper.close()

    run(main)
