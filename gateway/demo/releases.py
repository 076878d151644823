"""The fourth scene: the new snapshot on purpose, as a release with a reason; and back, in one write, with its time."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import msgspec

from gateway.core.contract.records import Moved, ReleaseMade
from gateway.demo.agent import MODEL, Run, cases
from gateway.demo.minds import NEW, OLD
from gateway.demo.screen import Screen
from gateway.demo.served import Refused
from gateway.demo.stage import Caught, Stage, Working, work_all

NEW_RUNS = 6
"""Runs that begin after each move of the pointer."""


async def release(stage: Stage, old: str) -> None:
    """Scene 4."""
    screen = stage.screen
    screen.heading("4. The new snapshot, on purpose, as a release; and back")
    first, second = Caught(), Caught()
    one, other = Working(), Working()
    async with anyio.create_task_group() as group:
        group.start_soon(one.work, stage.pinned, cases(50_000, 1)[0], "desk-old", first)
        await first.until(1)
        new = await _create(stage)
        await _promote(stage, new)
        runs = await work_all(stage.pinned, cases(51_000, NEW_RUNS), "desk")
        first.let_go()
        tell(screen, "promote", runs, await one.done(), (new, NEW), (old, OLD))
        await screen.read(1.0)
        group.start_soon(other.work, stage.pinned, cases(52_000, 1)[0], "desk-new", second)
        await second.until(1)
        await _roll_back(stage)
        runs = await work_all(stage.pinned, cases(53_000, NEW_RUNS), "desk")
        second.let_go()
        tell(screen, "rollback", runs, await other.done(), (old, OLD), (new, NEW))
    await screen.read(1.0)


async def _create(stage: Stage) -> str:
    words = ("release", "create", "--model", f"openai/{NEW}", "--alias", MODEL)
    stage.screen.command("trivet " + " ".join(words))
    made = msgspec.json.decode(await stage.gateway.verb(*words), type=ReleaseMade)
    stage.screen.say(made.id)
    return made.id


async def _promote(stage: Stage, new: str) -> None:
    screen = stage.screen
    words = ("rollout", "promote", MODEL, "--release", new, "--reason")
    shown = "trivet " + " ".join(words)
    screen.command(f'{shown} "friendlier"')
    try:
        await stage.gateway.verb(*words, "friendlier")
        screen.claim("refused: nothing says that this release is as good", held=False)
    except Refused as refused:
        screen.say(str(refused), "dim")
        screen.claim("refused: nothing says that this release is as good", held=True)
    screen.command(f'{shown} "friendlier" --override demo')
    done = await moved(stage, *words, "friendlier", "--override", "demo")
    screen.claim(f"promoted; {followed(done)}", done.changed and not done.acknowledged.silent)


async def _roll_back(stage: Stage) -> None:
    screen = stage.screen
    screen.command(f'trivet rollback {MODEL} --reason "refunds against the policy"')
    done = await moved(stage, "rollback", MODEL, "--reason", "refunds against the policy")
    before, after = done.before["*"].release, done.after["*"].release
    screen.claim(
        f"rolled back in one write, {before} to {after}; {followed(done)}",
        done.changed and not done.acknowledged.silent and done.acknowledged.slowest < 1000,
    )


async def moved(stage: Stage, *words: str) -> Moved:
    """Run a command that moves the pointer; what it answers. Raises Refused, GatewayFailed."""
    with stage.screen.working("waiting for the workers"):
        return msgspec.json.decode(await stage.gateway.verb(*words), type=Moved)


def followed(moved: Moved) -> str:
    """How fast every worker had the new pointer."""
    count = len(moved.acknowledged.milliseconds)
    return f"all {count} workers had it within {moved.acknowledged.slowest:.0f} ms"


def tell(
    screen: Screen, act: str, runs: Sequence[Run], in_flight: Run, now: tuple[str, str], before: tuple[str, str]
) -> None:
    """Say which release new runs got, and which one the run in flight kept."""
    screen.claim(
        f"after the {act}, {len(runs)} new runs: every step on {now[1]}",
        all(set(run.releases) == {now[0]} and set(run.models) == {now[1]} for run in runs),
    )
    screen.claim(
        f"the run that was in flight: all {len(in_flight.models)} steps on {before[1]}",
        set(in_flight.releases) == {before[0]} and set(in_flight.models) == {before[1]},
    )
