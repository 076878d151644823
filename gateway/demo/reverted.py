"""The tenth scene: a candidate that the gate takes fails on live traffic, and the gateway takes it off by itself.

Rule of the file: its fault is the one of scene 7, in a tool that no suite has. Who was touched is counted from the runs, when it
was taken off is read from the history, and who was told from what a listener got.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.contract.evidence import Word
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rolling import RolloutStatus
from gateway.core.contract.rollout import Action, Phase, Verdict
from gateway.demo import gates, rollouts
from gateway.demo.agent import IN_TIME, Run, cases
from gateway.demo.listener import Listener, Told
from gateway.demo.minds import CANDIDATE
from gateway.demo.promoted import WATCHED
from gateway.demo.screen import Screen, milliseconds
from gateway.demo.served import Refused
from gateway.demo.stage import Stage, work_all

METRIC = "invalid_tool_call"
REGRESSION = "rollout_regression"
AFTER = 6
REVERT_SECONDS = 30.0
"""Later than this is too late to be told."""
TOLD_SECONDS = 10.0
MANIFEST = (
    "skip_shadow: no time, and it is cheaper",
    "steps:",
    "  - {weight: 20%, bake: 1h, runs: 100}",
    f"guardrails: {WATCHED}",
)


async def revert(stage: Stage, live: str, listener: Listener) -> str:
    """Scene 10. The release that was taken back."""
    screen = stage.screen
    screen.heading("10. The cheaper model again, past its shadow: the canary takes it back by itself")
    cheaper = await rollouts.candidate(stage, CANDIDATE)
    finished, seconds = await gates.ask(stage, cheaper)
    screen.claim(
        f"{finished.report.verdict.value}: {finished.progress.done} questions in {seconds:.1f} s, "
        "and not one of them about the tools of this shop",
        finished.report.verdict is Word.GO and not finished.progress.unscored,
    )
    rollouts.written(stage, "cheaper.yaml", cheaper, MANIFEST)
    moved = await rollouts.start(stage, "cheaper.yaml", "cheaper")
    with screen.working("agents at work, the rollout goes on by itself"):
        await rollouts.until(stage, rollouts.in_phase(Phase.CANARY), "in its canary")
        async with rollouts.at_work(stage, 100_000) as traffic:
            await rollouts.until(stage, rollouts.in_phase(Phase.COMPLETED), "ended")
    after = await work_all(stage.pinned, cases(110_000, AFTER, IN_TIME), "desk")
    entries = await rollouts.history(stage, moved.version)
    rollouts.tell_history(stage, entries)
    tell_called(screen, await rollouts.status(stage), entries)
    tell_touched(screen, (traffic.runs, after), live, cheaper)
    tell_told(screen, await listener.until(f"trivet.{REGRESSION}", TOLD_SECONDS), cheaper, entries)
    await _barred(stage)
    await screen.read(1.5)
    return cheaper


def tell_called(screen: Screen, found: RolloutStatus, entries: Sequence[HistoryEntry]) -> None:
    """Say that it was rolled back, by whom, on which numbers, and how soon."""
    rollout, facts = found.rollout, found.facts
    called = next((each for each in entries if each.action == REGRESSION), None)
    findings = facts.findings if facts is not None else ()
    failed = [each for each in findings if each.verdict is Verdict.FAIL and each.action is not Action.OBSERVE]
    if called is None or rollout is None or facts is None or not failed:
        screen.claim("no guardrail called a regression", held=False)
        return
    worst = failed[0]
    screen.claim(
        f"{worst.metric}: {worst.canary_bad} of {worst.canary_units} runs on the candidate, {worst.control_bad} of "
        f"{worst.control_units} on the live release; evidence {worst.e_value:.0f}, and it acts at {worst.threshold:.0f}",
        [each.metric for each in failed] == [METRIC]
        and worst.canary_bad > worst.control_bad
        and rollout.causes == (f"guardrail:{METRIC}",),
    )
    seconds = (called.at_ms - facts.tally.first_bad_ms) / 1000
    screen.claim(
        f"{rollout.phase.value} by {called.actor}, {milliseconds(seconds)} after the first bad event of the candidate; nobody was asked",
        rollout.phase is Phase.ROLLED_BACK
        and called.actor == "trivet"
        and found.split is None
        and facts.tally.first_bad_ms > 0
        and 0 <= seconds < REVERT_SECONDS,
    )


def tell_touched(screen: Screen, runs: tuple[Sequence[Run], Sequence[Run]], live: str, cheaper: str) -> None:
    """Say how many runs had got the candidate, and that no new one did afterwards."""
    during, after = runs
    touched = rollouts.releases(during, cheaper)
    screen.claim(
        f"{touched} of {len(during)} runs had got it, and ended on it; the others, and {len(after)} new ones after the revert, "
        f"are on {live}",
        0 < touched < len(during) / 2
        and touched + rollouts.releases(during, live) == len(during)
        and rollouts.releases(after, live) == len(after),
    )


def tell_told(screen: Screen, told: Told | None, cheaper: str, entries: Sequence[HistoryEntry]) -> None:
    """Say that somebody outside was told of it, in a message with a signature that holds."""
    if told is None:
        screen.claim("nobody was told", held=False)
        return
    data = told.body.get("data", {})
    screen.claim(
        f"a webhook heard of it: {told.body.get('type')}, {data.get('phase', {}).get('before')} to "
        f"{data.get('phase', {}).get('after')}; its signature holds",
        told.signed
        and data.get("candidate") == cheaper
        and data.get("phase", {}).get("after") == Phase.ROLLED_BACK.value
        and data.get("id") in {each.id for each in entries},
    )


async def _barred(stage: Stage) -> None:
    """The same once more."""
    try:
        await rollouts.start(stage, "cheaper.yaml", "once more")
        stage.screen.claim("barred: it is not begun again", held=False)
    except Refused as refused:
        stage.screen.say(str(refused), "dim")
        stage.screen.claim("barred: it is not begun again", "retry" in str(refused))
