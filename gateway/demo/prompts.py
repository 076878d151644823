"""The fifth scene: a release brings another prompt and another tool, and no agent is deployed for it.

Rule of the file: the agent is the very object of the scenes before; what its runs did and which prompt went out is measured.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import anyio
import msgspec

from gateway.core.contract.records import ReleaseMade, RunDetail
from gateway.demo.agent import IN_TIME, MODEL, TOOLS, Run, cases, tool
from gateway.demo.measure import RARE, Gap, share
from gateway.demo.minds import VOUCHER
from gateway.demo.releases import followed, moved
from gateway.demo.screen import percent
from gateway.demo.served import GatewayFailed
from gateway.demo.stage import Caught, Stage, Working, work_all

RUNS = 16
"""Runs before, and as many after."""
POLICY = """\
{{app}}
From head office: orders older than 14 days are never refunded, whatever is said above. Who is refused gets a voucher.
"""
"""The prompt of the release: `{{app}}` stands for what the agent itself sends."""
TOOLSET = (*TOOLS, tool(VOUCHER, "Send a voucher of 10.00 to somebody whose refund is refused.", "order"))
OLD_RUN, NEW_RUN = "desk-thirty-days", "desk-fourteen-days"


async def serve_policy(stage: Stage, old: str) -> None:
    """Scene 5."""
    screen = stage.screen
    screen.heading("5. A release with another prompt and another tool; the agent is not deployed again")
    with screen.counting("agents at work", RUNS):
        before = await work_all(stage.pinned, cases(60_000, RUNS, IN_TIME), "desk")
    first, second = Caught(), Caught()
    one, other = Working(), Working()
    async with anyio.create_task_group() as group:
        group.start_soon(one.work, stage.pinned, cases(60_100, 1, IN_TIME)[0], OLD_RUN, first)
        await first.until(1)
        new = await _create(stage)
        await _promote(stage, new)
        after = await work_all(stage.pinned, cases(60_200, RUNS, IN_TIME), "desk")
        first.let_go()
        tell(stage, before, after, new)
        await _in_flight(stage, await one.done(), old, before)
        await screen.read(1.0)
        group.start_soon(other.work, stage.pinned, cases(60_300, 1, IN_TIME)[0], NEW_RUN, second)
        await second.until(1)
        await _roll_back(stage)
        back = await work_all(stage.pinned, cases(60_400, RUNS, IN_TIME), "desk")
        second.let_go()
        await _tell_back(stage, back, await other.done(), (old, new))
    await screen.read(1.0)


async def _create(stage: Stage) -> str:
    screen, folder = stage.screen, stage.gateway.folder
    (folder / "policy.md").write_text(POLICY, encoding="utf-8")
    (folder / "tools.json").write_text(json.dumps(TOOLSET), encoding="utf-8")
    screen.say(f"policy.md: {' / '.join(POLICY.splitlines())}")
    screen.say(f"tools.json: the agent's {len(TOOLS)} tools and {VOUCHER}, for which its code has been there unused")
    legs = ("--prompt", "policy.md", "--prompt-label", "desk@v2", "--tools", "tools.json")
    words = ("release", "create", "--alias", MODEL, "--from", "stable", *legs)
    screen.command("trivet " + " ".join(words))
    made = msgspec.json.decode(await stage.gateway.verb(*words), type=ReleaseMade)
    screen.say(made.id)
    return made.id


async def _promote(stage: Stage, new: str) -> None:
    words = ("rollout", "promote", MODEL, "--release", new, "--override", "demo", "--reason")
    stage.screen.command(f'trivet {" ".join(words)} "head office"')
    done = await moved(stage, *words, "head office")
    stage.screen.claim(f"promoted; {followed(done)}", done.changed and not done.acknowledged.silent)


async def _roll_back(stage: Stage) -> None:
    stage.screen.command(f'trivet rollback {MODEL} --reason "head office changed its mind"')
    done = await moved(stage, "rollback", MODEL, "--reason", "head office changed its mind")
    stage.screen.claim(
        f"rolled back; {followed(done)}",
        done.changed and not done.acknowledged.silent and done.acknowledged.slowest < 1000,
    )


def tell(stage: Stage, before: Sequence[Run], after: Sequence[Run], new: str) -> None:
    """Say what runs did before and after the promotion to `new`, and whether both behaviours changed."""
    found = [
        Gap(question, share(before, asks), share(after, asks))
        for question, asks in (
            ("refunded, 15 to 30 days after the order", lambda run: run.refunded),
            ("sent a voucher", lambda run: run.gave_voucher),
        )
    ]
    stage.screen.table(
        (f"of {RUNS} runs before > of {RUNS} after", "Trivet#", "by chance#"),
        [(gap.question, f"{gap.before.count} > {gap.after.count}", percent(gap.by_chance)) for gap in found],
    )
    stage.screen.claim(
        "same agent object, same model: both behaviours changed with the release, beyond chance",
        all(gap.by_chance < RARE for gap in found)
        and all(set(run.releases) == {new} for run in after)
        and {model for run in before for model in run.models} == {model for run in after for model in run.models},
    )


async def _in_flight(stage: Stage, run: Run, old: str, before: Sequence[Run]) -> None:
    steps = await journalled(stage, run)
    sent = {step.prompt for step in steps.steps}
    stage.screen.claim(
        f"the run that was in flight kept its prompt: {len(run.models)} steps, "
        f"{len(sent)} prompt in its journal, {'refunded' if run.refunded else 'refused'} as before",
        set(run.releases) == {old} and len(sent) == 1 and run.refunded and all(each.refunded for each in before),
    )


async def _tell_back(stage: Stage, back: Sequence[Run], run: Run, releases: tuple[str, str]) -> None:
    old, new = releases
    refunded = sum(each.refunded for each in back)
    stage.screen.claim(
        f"{refunded} of {RUNS} new runs refunded again, {sum(each.gave_voucher for each in back)} vouchers",
        refunded == RUNS and all(set(each.releases) == {old} for each in back),
    )
    prompts, tools = [
        {getattr(step, leg) for step in (await journalled(stage, run)).steps} for leg in ("prompt", "tools")
    ]
    stage.screen.claim(
        f"the run that was in flight kept {new}: all {len(run.models)} steps with its prompt and its tools",
        set(run.releases) == {new} and len(prompts) == len(tools) == 1,
    )


async def journalled(stage: Stage, run: Run) -> RunDetail:
    """The journal of a run once all its steps are in it."""
    with anyio.move_on_after(5):
        while True:
            page = await stage.gateway.look(f"runs/{run.name}")
            found = msgspec.json.decode(page or b"{}", type=RunDetail) if page is not None else None
            if found is not None and len(found.steps) >= len(run.models):
                return found
            await anyio.sleep(0.02)
    raise GatewayFailed(f"the journal of run {run.name} lacks steps")
