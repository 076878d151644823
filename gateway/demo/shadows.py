"""The seventh scene: a candidate answers every live request as well, and the report says in what it is worse.

Rule of the file: the candidate's model is cheaper and shorter by its table in `minds`, and gets one argument wrong; what is told of
it is read from the gateway's report, never from the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import anyio
import msgspec

from gateway.core.contract.records import ReleaseMade
from gateway.core.contract.shadowing import DimensionRow, Estimate, PairDetail, ShadowMoved, ShadowReport, ShadowStatus
from gateway.demo.agent import IN_TIME, MODEL, Run, cases
from gateway.demo.minds import CANDIDATE, OLD
from gateway.demo.screen import Screen
from gateway.demo.served import GatewayFailed
from gateway.demo.stage import Stage, work_all

RUNS = 56
"""Runs in shadow. A class of turns gets a verdict from 50 trios on, and each run has one first turn."""
PAIR_SECONDS = 90.0
FINDING = "invalid_arguments"
"""What the candidate is worse in."""
CARRIED = "arguments"
"""Shows the same: a wrong argument is another argument, too."""
NOISE, WORSE = "within noise", "worse beyond noise"


async def shadow(stage: Stage, live: str) -> None:
    """Scene 7."""
    screen, provider = stage.screen, stage.provider
    screen.heading("7. A cheaper model in the shadow of every run, and what it would break")
    candidate = await _start(stage)
    asked = provider.answered[CANDIDATE]
    with screen.counting("agents at work", RUNS) as advance:
        runs = await work_all(stage.pinned, cases(80_000, RUNS, IN_TIME), "desk", advance=advance)
    requests = sum(len(run.models) for run in runs)
    results = await _ended(stage, candidate, requests)
    tell_live(screen, runs, live, provider.answered[CANDIDATE] - asked)
    await screen.read(0.5)
    words = ("shadow", "report", MODEL, "--candidate", candidate)
    screen.command("trivet " + " ".join(words))
    report = msgspec.json.decode(await stage.gateway.verb(*words), type=ShadowReport)
    screen.claim(
        f"{report.pairs} of these {requests} requests became a pair, {report.trios} with the live release asked once more",
        report.pairs == report.trios == requests == sum(results.values()),
    )
    worst = tell_report(screen, report)
    await screen.read(1.5)
    if worst:
        await _show(stage, worst)
    await _stop(stage, candidate)


async def _start(stage: Stage) -> str:
    screen = stage.screen
    words: tuple[str, ...] = ("release", "create", "--model", f"openai/{CANDIDATE}", "--alias", MODEL)
    screen.command("trivet " + " ".join(words))
    made = msgspec.json.decode(await stage.gateway.verb(*words), type=ReleaseMade)
    screen.say(made.id)
    words = ("shadow", "start", MODEL, "--candidate", made.id, "--rate", "1", "--secondary", "1", "--yes", "--reason")
    screen.command(f"trivet {' '.join(words)} cheaper")
    with screen.working("waiting for the workers"):
        moved = msgspec.json.decode(await stage.gateway.verb(*words, "cheaper"), type=ShadowMoved)
    assert moved.plan is not None
    tell_price(screen, moved.plan.estimate)
    return made.id


def tell_price(screen: Screen, estimate: Estimate) -> None:
    """Say what the shadow will cost at the last day's traffic, and the cap; both must be known."""
    known = (estimate.candidate_micro or 0, estimate.secondary_micro or 0)
    screen.claim(
        f"at the {estimate.requests} requests of the last day it costs {_dollars(known[0])} a day, asking the live release again "
        f"{_dollars(known[1])}; the cap is {_dollars(estimate.cap_micro)}",
        min(known) > 0 and sum(known) < estimate.cap_micro,
    )


def tell_live(screen: Screen, runs: Sequence[Run], live: str, answers: int) -> None:
    """Say that agents got the live release's answers and nothing of the candidate's, who gave so many."""
    requests = sum(len(run.models) for run in runs)
    screen.claim(
        f"{requests} live answers, all from {OLD} on {live}; the candidate gave {answers}, and no agent saw one",
        answers == requests and all(set(run.models) == {OLD} and set(run.releases) == {live} for run in runs),
    )


def tell_report(screen: Screen, report: ShadowReport) -> str:
    """Say in what the candidate is worse, in what it only differs as the live release does from itself, and what it costs.

    Returns the id of the worst pair, empty without one.
    """
    rows = [(turn, row) for turn in report.turns for row in turn.rows]
    screen.table(
        ("turn", "differs in", "raw#", "noise#", "excess, 95 %#", "verdict"),
        [
            (turn.turn.value, row.dimension.value, f"{row.raw:.0%}", f"{row.noise:.0%}", _interval(row), _word(row))
            for turn, row in rows
        ],
    )
    screen.say(
        "raw: candidate against live; noise: live asked again against live; excess: how much more, in points.", "dim"
    )
    worse = [row for _, row in rows if row.verdict == WORSE]
    screen.claim(
        f"worse beyond noise in {len(worse)} thing: {', '.join(row.dimension.value for row in worse)}",
        [row.dimension.value for row in worse] == [FINDING],
    )
    noise = [row for _, row in rows if row.verdict == NOISE]
    screen.claim(
        f"everything else is the same finding again ({CARRIED}) or within noise: "
        f"{', '.join(f'{row.dimension.value} {row.raw:.0%}, by itself {row.noise:.0%}' for row in noise)}",
        bool(noise) and {row.dimension.value for _, row in rows if row not in noise} <= {FINDING, CARRIED},
    )
    cost = next((measure for measure in report.measures if measure.name == "cost"), None)
    before, after = (cost.primary, cost.candidate) if cost is not None else (0.0, inf)
    screen.claim(
        f"and it is cheaper: {before:.0f} > {after:.0f} millionths of a dollar per call (median)", after < before
    )
    return worse[0].worst[0] if worse and worse[0].worst else ""


async def _show(stage: Stage, pair: str) -> None:
    """The worst pair, what both sides wanted to do."""
    screen = stage.screen
    screen.command(f"trivet shadow show {pair}")
    detail = msgspec.json.decode(await stage.gateway.verb("shadow", "show", pair), type=PairDetail)
    for name, answer in (("live", detail.primary), ("candidate", detail.candidate)):
        if answer is not None:
            screen.say(f"{name}: {', '.join(answer.calls) or answer.text}")


async def _stop(stage: Stage, candidate: str) -> None:
    screen = stage.screen
    words = ("shadow", "stop", MODEL, candidate, "--reason")
    screen.command(f'trivet {" ".join(words)} "wrong argument"')
    moved = msgspec.json.decode(await stage.gateway.verb(*words, "wrong argument"), type=ShadowMoved)
    screen.claim(
        f"stopped; all {len(moved.acknowledged.milliseconds)} workers had it within {moved.acknowledged.slowest:.0f} ms",
        moved.changed and not moved.after and not moved.acknowledged.silent,
    )


async def _ended(stage: Stage, candidate: str, requests: int) -> dict[str, int]:
    """How so many requests ended in the shadow, by word. Raises GatewayFailed when they do not end."""
    done = 0
    with stage.screen.counting("the candidate answers", requests) as advance, anyio.move_on_after(PAIR_SECONDS):
        while True:
            page = await stage.gateway.look(f"shadows?alias={MODEL}")
            found = msgspec.json.decode(page or b"", type=ShadowStatus)
            results = next((row.results for row in found.shadows if row.candidate == candidate), {})
            for _ in range(done, sum(results.values())):
                advance()
            done = sum(results.values())
            if done >= requests:
                return results
            await anyio.sleep(0.1)
    raise GatewayFailed(
        f"{done} of {requests} requests ended in the shadow within {PAIR_SECONDS:.0f} s\n{stage.gateway.tail()}"
    )


def _word(row: DimensionRow) -> str:
    """The verdict, short enough for a table."""
    return row.verdict.removesuffix(" beyond noise")


def _interval(row: DimensionRow) -> str:
    return f"{100 * row.excess:+.0f} ({100 * row.low:+.0f} to {100 * row.high:+.0f})"


def _dollars(micro: int) -> str:
    """Money that people can compare."""
    return f"${micro / 1_000_000:.2f}" if micro >= 1_000_000 else f"${micro / 1_000_000:.3f}"
