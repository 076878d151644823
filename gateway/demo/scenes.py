"""The first two scenes: a name becomes a pin, and the provider moves the name while agents are at work.

Rule of the file: a sentence on the screen is a comparison of things that were measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import msgspec

from gateway.core.contract.records import AliasDetail
from gateway.demo.agent import MODEL, Run, cases
from gateway.demo.measure import Gap, gaps
from gateway.demo.minds import NEW, OLD
from gateway.demo.screen import Advance, milliseconds, percent
from gateway.demo.served import Gateway, GatewayFailed
from gateway.demo.stage import Caught, Stage, work_all

WHOLE = 24
"""Runs per agent that end before the move, and as many that begin after it."""
IN_FLIGHT = 8
"""Runs per agent that are in the middle of their work when the name moves."""
LEARN_SECONDS = 15.0


async def learn(stage: Stage) -> str:
    """Scene 1. The release that `gpt-4o` was pinned to."""
    screen = stage.screen
    screen.heading(f"1. {MODEL} becomes a pin, and nobody configured it")
    first = (await work_all(stage.pinned, cases(1, 1)))[0]
    began = time.monotonic()
    screen.say(f"asked for {MODEL}: answered by {first.models[0]}, x-trivet-pin: {first.pins[0]}")
    with screen.working("the gateway proves the snapshot callable"):
        detail = await learned(stage.gateway)
    took = time.monotonic() - began
    then = (await work_all(stage.pinned, cases(2, 1)))[0]
    release = detail.state.lanes["*"].release
    screen.say(f"asked again:      answered by {then.models[0]}, x-trivet-pin: {then.pins[0]}, release {release}")
    workers = len(detail.workers)
    screen.claim(
        f"{milliseconds(took)} after that run {MODEL} was an alias pinned to {detail.models[release]}, on all {workers} workers",
        first.pins[0] == "floating" and set(then.pins) == {"learned"} and set(then.models) == {OLD},
    )
    await screen.read(1.0)
    return release


async def learned(gateway: Gateway, alias: str = MODEL) -> AliasDetail:
    """The alias once every worker serves it. Raises GatewayFailed when it is not learned."""
    with anyio.move_on_after(LEARN_SECONDS):
        while True:
            page = await gateway.look(f"aliases/{alias}")
            if page is None:
                await anyio.sleep(0.02)
                continue
            found = msgspec.json.decode(page, type=AliasDetail)
            alive = [worker for worker in found.workers if worker.alive]
            if alive and all(worker.versions.get(alias, 0) >= found.state.version for worker in alive):
                return found
            await anyio.sleep(0.02)
    raise GatewayFailed(f"{alias} was not learned within {LEARN_SECONDS:.0f} s\n{gateway.tail()}")


@dataclass(frozen=True, slots=True)
class Told:
    """All runs of one agent around the move."""

    before: Sequence[Run]
    caught: Sequence[Run]
    after: Sequence[Run]

    @property
    def every(self) -> list[Run]:
        """All of them."""
        return [*self.before, *self.caught, *self.after]

    @property
    def changed_in_the_middle(self) -> int:
        """Runs whose steps were answered by two models."""
        return sum(run.changed_model for run in self.every)

    @property
    def gaps(self) -> list[Gap]:
        """Behaviour of the runs that ended before the move against those that began after it."""
        return gaps(self.before, self.after)


async def move(stage: Stage, release: str) -> None:
    """Scene 2: the same work direct and through Trivet, and the provider moves the name in the middle."""
    screen = stage.screen
    each = 2 * WHOLE + IN_FLIGHT
    screen.heading(f"2. {each} runs direct, {each} through Trivet; in the middle the provider moves {MODEL}")
    with screen.counting("agents at work", 2 * each) as advance:
        direct, pinned = await work_around_the_move(stage, advance)
    screen.say(
        f"{WHOLE} runs each ended before the move, {IN_FLIGHT} were in the middle of their work, {WHOLE} began after it."
    )
    await screen.read(0.5)
    screen.table(
        (f"of {WHOLE} before > of {WHOLE} after", "direct#", "by chance#", "Trivet#", "by chance#"),
        [
            (one.question, _counts(one), percent(one.by_chance), _counts(other), percent(other.by_chance))
            for one, other in zip(direct.gaps, pinned.gaps, strict=True)
        ],
    )
    screen.say("by chance: how often a gap this big comes up when nothing has changed (Fisher's exact test).", "dim")
    changed = [gap for gap in direct.gaps if gap.changed]
    screen.claim(
        f"direct: {direct.changed_in_the_middle} runs changed model between two of their own steps",
        direct.changed_in_the_middle == IN_FLIGHT,
    )
    screen.claim(f"direct: {len(changed)} of {len(direct.gaps)} behaviours changed beyond chance", bool(changed))
    screen.claim(
        f"Trivet: {pinned.changed_in_the_middle} of {each} runs changed model; every answer came from {OLD}",
        all(set(run.models) == {OLD} and set(run.releases) == {release} for run in pinned.every),
    )
    noise = [gap for gap in pinned.gaps if gap.changed]
    screen.claim(f"Trivet: {len(noise)} behaviours changed beyond chance", not noise)
    nameless = [run for run in pinned.every if not run.name]
    screen.claim(
        f"{len(nameless)} of these runs sent no run id: the ids of their tool calls held each together",
        all(len(set(run.run_ids)) == 1 and run.run_ids[0] for run in nameless),
    )
    await screen.read(2.0)


def _counts(gap: Gap) -> str:
    return f"{gap.before.count} > {gap.after.count}"


async def work_around_the_move(stage: Stage, advance: Advance) -> tuple[Told, Told]:
    """Let both agents work, move the name when all runs that are to be caught are held, and let them end: direct, Trivet."""
    found: dict[str, Told] = {}
    caught = Caught()
    moved, ended = anyio.Event(), [anyio.Event(), anyio.Event()]

    async def tell(number: int) -> None:
        agent = (stage.direct, stage.pinned)[number]
        prefix = ("", "desk")[number]
        first = 10_000 * (number + 1)
        parts: dict[str, Sequence[Run]] = {}

        async def held() -> None:
            parts["caught"] = await work_all(
                agent, cases(first + 5000, IN_FLIGHT), prefix, advance=advance, caught=caught
            )

        parts["before"] = await work_all(agent, cases(first, WHOLE), prefix, advance=advance)
        async with anyio.create_task_group() as group:
            group.start_soon(held)
            ended[number].set()
            await moved.wait()
            parts["after"] = await work_all(agent, cases(first + 7000, WHOLE), prefix, advance=advance)
        found[prefix] = Told(parts["before"], parts["caught"], parts["after"])

    async with anyio.create_task_group() as group:
        for number in (0, 1):
            group.start_soon(tell, number)
        for event in ended:
            await event.wait()
        await caught.until(2 * IN_FLIGHT)
        stage.provider.move(MODEL, NEW)
        caught.let_go()
        moved.set()
    return found[""], found["desk"]
