"""The third scene: workers and store die by kill -9 under runs that are at work, and the runs go on as they began."""

from __future__ import annotations

import time

import anyio
import msgspec

from gateway.core.contract.records import RunDetail
from gateway.demo.agent import Run, cases
from gateway.demo.minds import OLD
from gateway.demo.screen import milliseconds
from gateway.demo.served import kill
from gateway.demo.stage import Caught, Stage, Working

SLOW = 0.4
"""Seconds the provider takes while workers are killed, so that a call is surely in flight."""
RUN = "desk-crash"
STORE_RUN = "desk-storeless"


async def crash(stage: Stage, release: str) -> None:
    """Scene 3."""
    screen = stage.screen
    workers = len(stage.gateway.processes().workers)
    screen.heading(f"3. kill -9: all {workers} workers while a run waits for its answer, then the store")
    run, took = await _kill_workers(stage)
    await _show(stage, run)
    screen.claim(
        f"the SDK's own retry found the run where it was: x-trivet-bound: {run.bound[-1]}, answer {milliseconds(took)} after the kill",
        run.bound[0] == "new" and set(run.bound[1:]) == {"resumed"},
    )
    screen.claim(
        f"all {len(run.models)} steps on the same release {run.releases[0]}",
        set(run.releases) == {release} and set(run.models) == {OLD},
    )
    await screen.read(1.0)
    run, took = await _kill_store(stage)
    screen.claim(
        f"with the store dead a run went on: {len(run.bound) - 1} more steps, x-trivet-bound: {run.bound[-1]}, "
        f"same release, done in {milliseconds(took)}",
        set(run.bound[1:]) == {"resumed"} and set(run.releases) == {release} and set(run.models) == {OLD},
    )
    await screen.read(0.5)


async def _kill_workers(stage: Stage) -> tuple[Run, float]:
    """A run whose second call was in flight when every worker died; seconds from the kill to its next answer."""
    caught, working = Caught(), Working()
    usual = stage.provider.latency
    async with anyio.create_task_group() as group:
        group.start_soon(working.work, stage.pinned, cases(40_000, 1)[0], RUN, caught)
        await caught.until(1)
        old = stage.gateway.processes().workers
        asked = sum(stage.provider.asked.values())
        stage.provider.latency = (SLOW, SLOW)
        caught.let_go()
        while sum(stage.provider.asked.values()) == asked:  # noqa: ASYNC110 - the provider counts, it does not signal
            await anyio.sleep(0.005)
        kill(old)
        began = time.monotonic()
        with stage.screen.working("the workers start again"):
            await stage.gateway.restarted(old)
            stage.provider.latency = usual
            run = await working.done()
    return run, time.monotonic() - began


async def _kill_store(stage: Stage) -> tuple[Run, float]:
    """A run that went on while the store was dead; seconds from the kill to its end. Returns when the store is back."""
    caught, working = Caught(), Working()
    async with anyio.create_task_group() as group:
        group.start_soon(working.work, stage.pinned, cases(41_000, 1)[0], STORE_RUN, caught)
        await caught.until(1)
        old = {"store": stage.gateway.processes().parts["store"]}
        kill(old)
        began = time.monotonic()
        caught.let_go()
        run = await working.done()
        took = time.monotonic() - began
    with stage.screen.working("the store starts again"):
        await stage.gateway.restarted(old)
    return run, took


async def _show(stage: Stage, run: Run) -> None:
    """`trivet run show` of the run, its main columns."""
    stage.screen.command(f"trivet run show {run.name}")
    detail = msgspec.json.decode(await stage.gateway.verb("run", "show", run.name), type=RunDetail)
    stage.screen.table(
        ("step#", "pinned", "answered", "outcome", "total#", "tokens#"),
        [
            (
                step.step,
                step.model,
                step.answered,
                f"{step.status} {step.outcome.value}",
                milliseconds(step.total_ms / 1000),
                f"{step.usage.input}/{step.usage.output}" if step.usage is not None else "",
            )
            for step in detail.steps
        ],
    )
    for step in lost(detail):
        stage.screen.say(f"step {step} has no entry: its worker died before it could write one.", "dim")


def lost(detail: RunDetail) -> list[int]:
    """Steps that were numbered when they were bound, and never told how they ended."""
    told = {step.step for step in detail.steps}
    return sorted(set(range(1, max(told, default=0))) - told)
