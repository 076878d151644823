"""A coroutine stepped by protocol callbacks, in place of an asyncio task.

`create_task` costs 8 microseconds and a hop through the loop for every await; a Flow is resumed inside the callback that
has its value, for well under one. The price is one rule: code in a Flow awaits only `Wait` objects (and coroutines made
of them). Ordinary asyncio code enters through `run`, ordinary asyncio work is awaited through `waiting_for`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Wait(Generic[T]):
    """One value or error that is still to come. Whoever brings it about calls `done` or `fail`; the first call counts."""

    __slots__ = ("_error", "_flow", "_ready", "_value")

    def __init__(self) -> None:
        self._flow: Flow | None = None
        self._ready = False
        self._value: T | None = None
        self._error: BaseException | None = None

    @property
    def ready(self) -> bool:
        """Whether a value or an error is there."""
        return self._ready

    def done(self, value: T) -> None:
        """Bring the value; a flow that waits for it runs on before this returns."""
        if self._ready:
            return
        self._ready = True
        self._value = value
        flow = self._flow
        if flow is not None:
            self._flow = None
            flow._step(None)

    def fail(self, error: BaseException) -> None:
        """Bring an error in place of the value."""
        if self._ready:
            return
        self._ready = True
        self._error = error
        flow = self._flow
        if flow is not None:
            self._flow = None
            flow._step(None)

    def __await__(self) -> Generator[Wait[T], None, T]:
        if not self._ready:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]


class Flow:
    """Runs one coroutine. `on_end` is called once, with the error that ended it or None."""

    __slots__ = ("_coroutine", "_interrupt", "_running", "_waiting", "ended", "on_end")

    def __init__(self, coroutine: Coroutine[Any, None, None], on_end: Callable[[BaseException | None], None]) -> None:
        self._coroutine = coroutine
        self._waiting: Wait[Any] | None = None
        self._interrupt: BaseException | None = None
        self._running = False
        self.ended = False
        self.on_end = on_end

    def start(self) -> None:
        """Run until the first wait."""
        self._step(None)

    def interrupt(self, error: BaseException) -> None:
        """Throw `error` into the coroutine where it waits; while it runs, at its next wait. No effect once ended."""
        if self.ended:
            return
        if self._running:
            self._interrupt = error
            return
        waiting = self._waiting
        if waiting is not None:
            waiting._flow = None
            self._waiting = None
        self._step(error)

    def _step(self, error: BaseException | None) -> None:
        self._running = True
        coroutine = self._coroutine
        try:
            while True:
                wait = coroutine.send(None) if error is None else coroutine.throw(error)
                error = self._interrupt
                if error is not None:
                    self._interrupt = None
                    continue
                if wait._ready:
                    continue
                wait._flow = self
                self._waiting = wait
                self._running = False
                return
        except StopIteration:
            ending: BaseException | None = None
        except BaseException as caught:  # noqa: BLE001 - handed to the owner, who decides
            ending = caught
        self._running = False
        self.ended = True
        self._waiting = None
        self.on_end(ending)


def run(coroutine: Coroutine[Any, None, T]) -> asyncio.Future[T]:
    """Start a coroutine made of waits from asyncio code; cancelling the future interrupts it."""
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    async def body() -> None:
        value = await coroutine
        if not future.done():
            future.set_result(value)

    def ended(error: BaseException | None) -> None:
        if error is None or future.done():
            return
        if isinstance(error, asyncio.CancelledError):
            future.cancel()
        else:
            future.set_exception(error)

    flow = Flow(body(), ended)

    def settled(finished: asyncio.Future[T]) -> None:
        if finished.cancelled():
            flow.interrupt(asyncio.CancelledError())

    future.add_done_callback(settled)
    flow.start()
    return future


def waiting_for(future: asyncio.Future[T]) -> Wait[T]:
    """Await asyncio work from inside a flow."""
    wait: Wait[T] = Wait()

    def finished(ended: asyncio.Future[T]) -> None:
        if ended.cancelled():
            wait.fail(asyncio.CancelledError())
            return
        error = ended.exception()
        if error is not None:
            wait.fail(error)
        else:
            wait.done(ended.result())

    future.add_done_callback(finished)
    return wait
