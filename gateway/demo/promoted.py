"""The ninth scene: a better model goes all the way: shadow, gate, canary, promotion, and no run is moved on the way.

Rule of the file: the stages are short because nobody wants to watch for a day; everything else is as it is with hours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import anyio
import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.evidence import Word
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import Phase
from gateway.core.contract.shadowing import ShadowReport
from gateway.demo import gates, rollouts
from gateway.demo.agent import IN_TIME, MODEL, Run, cases
from gateway.demo.minds import BETTER
from gateway.demo.screen import Screen
from gateway.demo.stage import Caught, Stage, work_all

TRIOS = 8
"""Answers that have to be compared three ways. A rollout's own shadow asks the live release again for one request in five."""
SHADOWED = 24
"""Runs of some four requests while it is in shadow."""
HELD, HELD_AT = 8, 5000
"""Runs that begin at this weight and are held in the middle of their work until the pointer has moved."""
AFTER = 6
WATCHED = "{latency_ms: observe, steps: observe}   # one machine plays everybody, and a hundred runs are no baseline"
MANIFEST = (
    f"shadow: {{trios: {TRIOS}, rate: 100%}}",
    "steps:",
    "  - {weight: 25%, bake: 0.3, runs: 5}",
    "  - {weight: 50%, bake: 1s, runs: 8}",
    "promoting: {weight: 80%, bake: 0.3, runs: 8}",
    f"guardrails: {WATCHED}",
)
WAY = ("start", "shadowed", "go", "advance", "advance", "advance")
"""What happens to a rollout that nothing stands in the way of."""
PAUSES = frozenset({"freeze", "cleared"})
"""What may come between on a machine that is busy: a metric that was open for a moment, and no more."""


async def promote(stage: Stage, live: str) -> str:
    """Scene 9. The release that is live then."""
    screen = stage.screen
    screen.heading("9. A better model, all the way: shadow, gate, canary, promotion")
    better = await rollouts.candidate(stage, BETTER)
    rollouts.written(stage, "rollout.yaml", better, MANIFEST)
    moved = await rollouts.start(stage, "rollout.yaml", "better in everything")
    with screen.working("agents at work"):
        runs = await work_all(stage.pinned, cases(90_000, SHADOWED, IN_TIME), "desk")
    finished, seconds = await gates.ask(stage, better)
    gates.tell_report(screen, finished.report)
    screen.claim(
        f"{finished.report.verdict.value}: {finished.progress.done} questions in {seconds:.1f} s",
        finished.report.verdict is Word.GO and not finished.progress.unscored,
    )
    held, caught = list[Run](), Caught()
    async with anyio.create_task_group() as group:

        async def hold() -> None:
            held.extend(await work_all(stage.pinned, cases(92_000, HELD, IN_TIME), "desk", caught))

        with screen.working("agents at work, the rollout goes on by itself"):
            async with rollouts.at_work(stage, 91_000) as traffic:
                await rollouts.until(stage, _at(HELD_AT), "half way")
                group.start_soon(hold)
                await caught.until(HELD)
                await rollouts.status(stage)
                ended = await rollouts.until(stage, rollouts.in_phase(Phase.COMPLETED), "completed")
        after = await work_all(stage.pinned, cases(93_000, AFTER, IN_TIME), "desk")
        caught.let_go()
    entries = await rollouts.history(stage, moved.version)
    rollouts.tell_history(stage, entries)
    report = await _shadow(stage, better)
    tell_shadow(screen, report.trios, runs, live)
    tell_way(screen, entries, ended, better)
    tell_runs(screen, (traffic.runs, held, after), live, better)
    await screen.read(1.5)
    return better


def _at(weight: int) -> Callable[[AliasState], bool]:
    """Whether so large a share of new runs gets the candidate."""
    return lambda state: state.split is not None and state.split.weight >= weight


async def _shadow(stage: Stage, candidate: str) -> ShadowReport:
    words = ("shadow", "report", MODEL, "--candidate", candidate)
    return msgspec.json.decode(await stage.gateway.verb(*words), type=ShadowReport)


def tell_shadow(screen: Screen, trios: int, runs: Sequence[Run], live: str) -> None:
    """Say how much was compared before anybody got the candidate, and that nobody did meanwhile."""
    screen.claim(
        f"in shadow {trios} answers were compared three ways; all {len(runs)} runs meanwhile were on {live}",
        trios >= TRIOS and rollouts.releases(runs, live) == len(runs),
    )


def tell_way(screen: Screen, entries: Sequence[HistoryEntry], state: AliasState, better: str) -> None:
    """Say that each step was made by itself, in order, and that the pointer moved once, at the end."""
    way = tuple(each.action.removeprefix(rollouts.ROLLOUT) for each in entries)
    before = [each.after.lanes["*"].release for each in entries[:-1] if each.after is not None]
    weights = [rollouts.weight(each) for each in entries]
    rollout = state.rollout
    screen.claim(
        f"{rollout.phase.value if rollout is not None else 'gone'}: "
        f"{' > '.join(f'{weight:g} %' for weight in dict.fromkeys(weights))}, each step by itself; the pointer moved at the last",
        tuple(word for word in way if word not in PAUSES) == WAY
        and weights == sorted(weights)
        and rollout is not None
        and rollout.phase is Phase.COMPLETED
        and better not in before
        and state.lanes["*"].release == better,
    )


def tell_runs(screen: Screen, runs: tuple[Sequence[Run], Sequence[Run], Sequence[Run]], live: str, better: str) -> None:
    """Say which release runs got during the canary, those held over the promotion, and those after it."""
    during, held, after = runs
    screen.claim(
        f"{len(during)} runs while it went up: {rollouts.releases(during, live)} on {live}, "
        f"{rollouts.releases(during, better)} on {better}, none on both",
        rollouts.releases(during, live) + rollouts.releases(during, better) == len(during)
        and min(rollouts.releases(during, live), rollouts.releases(during, better)) > 0,
    )
    screen.claim(
        f"{len(held)} runs in flight over the promotion kept what they began with: "
        f"{rollouts.releases(held, live)} the old release, {rollouts.releases(held, better)} the new one",
        len(held) == HELD and rollouts.releases(held, live) + rollouts.releases(held, better) == HELD,
    )
    screen.claim(
        f"after it {len(after)} new runs: every step on {BETTER}",
        rollouts.releases(after, better) == len(after) and all(set(run.models) == {BETTER} for run in after),
    )
