"""`trivet gate run`: ask two releases the same questions, score the answers, and say whether one may take the other's place."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from gateway.cli import gate_shown, show
from gateway.cli.confirm import confirmed
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach

if TYPE_CHECKING:
    from gateway.admin.gate_asks import GateWork
    from gateway.core.contract.gate_run import GateFinished, GatePlan, GateProgress

PAUSE_SECONDS = 1.0
"""Before the next look while somebody else asks what is left."""
AGAIN = 20
"""Looks in a row that may fail once something was answered: the gateway may be starting anew."""
AGAIN_SECONDS = 3.0


def run(  # noqa: PLR0913 - a verb has the options it needs
    alias: str,
    /,
    *,
    release: str = "",
    against: str = "",
    suite: Literal["", "task", "regression", "safety"] = "",
    budget: float | None = None,
    resume: str = "",
    url: str = "",
    plan: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reach: Reach = HERE,
) -> int:
    """Ask a candidate and the incumbent the alias's suites through this gateway, store the scores as evidence, and judge it.

    Prints first what it will cost. Ends with 0 for GO, 1 for NO-GO, 2 for INSUFFICIENT, 7 where it was refused. Interrupted, it goes on with --resume.

    Parameters
    ----------
    release
        The candidate.
    against
        The release to compare it with; by default the one that is stable for everybody. The candidate itself is a self-test.
    suite
        Only this suite; by default all that the alias declares.
    budget
        US dollars after which no more is asked; 0 is no limit, by default what the configuration says.
    resume
        Go on with this run; what was asked and has no score is asked again.
    url
        With --direct: the data port, where it is not this machine's.
    plan
        Only say what it would ask and cost.
    yes
        Do not ask before spending.
    """
    from gateway.admin.gate_asks import GateOne  # noqa: PLC0415 - heavy; --help needs none

    _checked(release, resume, url, budget, reach)
    if plan or not resume:
        planned = _planned(reach, alias, release, against, suite)
        if plan:
            reach.print(planned, show_plan)
            return Exit.NO_VERDICT if planned.refusals else Exit.OK
        found = _begun(reach, planned, suite, budget, yes=yes)
    else:
        found = reach.call("gate.show", GateOne(resume))
        if found.alias != alias:
            raise Failed(Exit.USAGE, f"run {found.id} is of alias {found.alias}")
    try:
        found = _worked(reach, found, _micro(budget), again=bool(resume))
    except (KeyboardInterrupt, Failed):
        show.note("What was answered is kept for a day.")
        raise
    if found.done < found.calls:
        return _broken_off(reach, found)
    finished: GateFinished = reach.call("gate.finish", GateOne(found.id))
    reach.print(finished, show_finished)
    return gate_shown.EXITS[finished.report.verdict.value]


def _checked(release: str, resume: str, url: str, budget: float | None, reach: Reach) -> None:
    if bool(release) == bool(resume):
        raise Failed(Exit.USAGE, "name either the candidate with --release, or with --resume a run to go on with")
    if budget is not None and budget < 0:
        raise Failed(Exit.USAGE, "--budget is not below 0")
    if url:
        if not reach.direct:
            raise Failed(Exit.USAGE, "--url needs --direct: a gateway calls its own data port and no other")
        os.environ["TRIVET_DATA_URL"] = url


def _planned(reach: Reach, alias: str, release: str, against: str, suite: str) -> GatePlan:
    from gateway.admin.gate_asks import GatePlanAsk  # noqa: PLC0415
    from gateway.core.contract.suite import SuiteKind  # noqa: PLC0415

    kind = SuiteKind(suite) if suite else None
    with show.working("reading the suites"):
        found: GatePlan = reach.call("gate.plan", GatePlanAsk(alias, release, against, kind))
    return found


def _begun(reach: Reach, planned: GatePlan, suite: str, budget: float | None, *, yes: bool) -> GateProgress:
    from gateway.admin.gate_asks import GateBegin  # noqa: PLC0415
    from gateway.core.contract.suite import SuiteKind  # noqa: PLC0415

    if not reach.json:
        show_plan(planned)
    if planned.refusals:
        raise Failed(Exit.REFUSED, "; ".join(planned.refusals))
    if not yes:
        confirmed(f"Ask {planned.calls + planned.judged} questions?")
    kind = SuiteKind(suite) if suite else None
    ask = GateBegin(planned.alias, planned.candidate, planned.incumbent, kind, _micro(budget))
    found: GateProgress = reach.call("gate.begin", ask)
    show.note(f"run {found.id}; should it break off: trivet gate run {found.alias} --resume {found.id}")
    return found


def _micro(budget: float | None) -> int:
    return -1 if budget is None else round(budget * 1_000_000)


def _worked(reach: Reach, found: GateProgress, budget_micro: int, *, again: bool) -> GateProgress:
    """Go on until nothing is to be asked any more, with a bar on standard error."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from gateway.admin.gate_asks import GateWork  # noqa: PLC0415

    screen = show.console(errors=True)
    columns: tuple[Any, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task(_said(found), total=found.calls, completed=found.done)
        first = True
        while first or not found.over:
            ask = GateWork(found.id, budget_micro, again and first)
            first, before = False, found.done
            found = _next(reach, ask)
            bar.update(task, completed=found.done, description=_said(found))
            if found.done == before and not found.over:
                time.sleep(PAUSE_SECONDS)
    return found


def _next(reach: Reach, ask: GateWork) -> GateProgress:
    """One piece of work, asked for again while the gateway is away. Raises Failed."""
    left = AGAIN
    while True:
        try:
            found: GateProgress = reach.call("gate.work", ask)
        except Failed as failed:
            if failed.code != Exit.UNREACHABLE or not left or not _begun_already(reach, ask.id):
                raise
            show.note(f"{failed.message}; trying again")
            time.sleep(AGAIN_SECONDS)
            left -= 1
        else:
            return found


def _begun_already(reach: Reach, run: str) -> bool:
    """Whether something was answered, or nobody can say: then it was a fine run until now, and not a wrong address."""
    from gateway.admin.gate_asks import GateOne  # noqa: PLC0415

    try:
        found: GateProgress = reach.call("gate.show", GateOne(run))
    except Failed as failed:
        return failed.code == Exit.UNREACHABLE
    return found.done > 0


def _said(found: GateProgress) -> str:
    sides = (f"{side} {found.passed.get(side, 0)}/{_scored(found, side)}" for side in ("candidate", "incumbent"))
    lost = sum(found.unscored.values())
    return f"{', '.join(sides)}{f', {lost} without a score' if lost else ''}, {show.money(found.spent_micro)}"


def _scored(found: GateProgress, side: str) -> int:
    return found.passed.get(side, 0) + found.failed.get(side, 0)


def _broken_off(reach: Reach, found: GateProgress) -> int:
    """No more is asked although not all is answered: nothing is known, so nothing is green."""
    reach.print(found, show_progress)
    if found.stopped == "budget":
        show.warn(f"the budget is spent: trivet gate run {found.alias} --resume {found.id} --budget USD goes on")
    else:
        show.warn(
            "most answers have no score, so no more is asked; see why above: "
            f"trivet gate run {found.alias} --resume {found.id} asks them again"
        )
    return gate_shown.EXITS["INSUFFICIENT"]


def show_plan(plan: GatePlan) -> None:
    """What a run asks and costs."""
    show.table(
        ("suite", "items#", "repeats#", "calls#", "what its size can show"),
        [(s.suite, s.items, s.repeats, s.calls, s.needs) for s in plan.suites],
        title=f"{plan.candidate} ({plan.candidate_model}) against {plan.incumbent} ({plan.incumbent_model})",
    )
    most = f", at most {show.money(plan.most_micro)}" if plan.most_micro is not None else ""
    show.facts(
        (
            ("questions", f"{plan.calls}{f', and {plan.judged} of the judge at most' if plan.judged else ''}"),
            ("tokens, about", f"{plan.input_tokens} in, {plan.output_tokens} out"),
            ("cost, about", show.money(plan.cost_micro) + most if plan.cost_micro is not None else "not known"),
            ("budget", show.money(plan.budget_micro) if plan.budget_micro else "no limit"),
        )
    )
    for warning in plan.warnings:
        show.warn(warning)


def show_progress(record: GateProgress) -> None:
    """How far a run is."""
    show.facts(
        (
            ("run", record.id),
            ("answers", f"{record.done} of {record.calls}"),
            ("candidate passes", f"{record.passed.get('candidate', 0)} of {_scored(record, 'candidate')}"),
            ("incumbent passes", f"{record.passed.get('incumbent', 0)} of {_scored(record, 'incumbent')}"),
            ("without a score", tuple(f"{why} {n}" for why, n in sorted(record.unscored.items()))),
            ("tokens", f"{record.input_tokens} in, {record.output_tokens} out"),
            ("spent", show.money(record.spent_micro) + (f", {record.unpriced} calls of unknown price" if record.unpriced else "")),
        )
    )  # fmt: skip


def show_finished(record: GateFinished) -> None:
    """What a run came to."""
    show_progress(record.progress)
    if record.progress.unscored:
        show.note(
            f"answers without a score are asked again by trivet gate run {record.progress.alias} --resume {record.id}"
        )
    show.facts((("evidence", record.evidence),))
    gate_shown.report(record.report)
