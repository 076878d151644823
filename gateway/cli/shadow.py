"""`trivet shadow`: candidates that run beside the live release, and what they do otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway.cli import shadow_found, shadow_past, shadow_work, show
from gateway.cli.confirm import confirmed
from gateway.cli.exits import Exit
from gateway.cli.moved import acknowledged
from gateway.cli.reach import HERE, Reach
from gateway.cli.since import until_ms

if TYPE_CHECKING:
    from gateway.core.contract.alias import Shadow
    from gateway.core.contract.shadowing import ShadowMoved, ShadowPlan, ShadowStatus

WHOLE = 10_000


def build() -> App:
    """The noun and its verbs."""
    app = App(name="shadow", help="Candidates that run beside the live release.")
    app.command(start)
    app.command(stop)
    app.command(status)
    shadow_found.add(app)
    shadow_past.add(app)
    app.command(shadow_work.work)
    return app


def start(  # noqa: PLR0913 - a verb has the options it needs
    alias: str,
    /,
    *,
    candidate: str,
    reason: str,
    rate: float = 0.1,
    secondary: float | None = None,
    for_: Annotated[str, Parameter(name="--for")] = "",
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reach: Reach = HERE,
) -> int:
    """Run a candidate alongside on a share of the runs. Prints first what it will cost, and the cap.

    The live answer is the same byte for byte; the candidate's tool calls are never carried out. Started again, a candidate
    changes how it runs.

    Parameters
    ----------
    candidate
        The release to compare with the live one.
    reason
        Why; kept for ever.
    rate
        Share of the runs, above 0 and at most 1.
    secondary
        Share of pairs for which the live release is asked a second time, to know its noise; by default `shadow.secondary`.
    for_
        How long, such as 48h, or until when; by default until it is stopped.
    yes
        Answer for what needs an answer: every run, contents kept readable, no budget.
    """
    from gateway.admin.asks import ShadowPlanAsk, ShadowStart  # noqa: PLC0415 - heavy; --help needs none

    until = until_ms(for_)
    plan: ShadowPlan = reach.call("shadow.plan", ShadowPlanAsk(alias, candidate, rate, secondary, until))
    if not reach.json:
        _plan(plan)
    if plan.acknowledge and not yes:
        confirmed(f"{'; '.join(plan.acknowledge)}. Start it?")
    ask = ShadowStart(alias, candidate, reason, rate, secondary, until, acknowledged=bool(plan.acknowledge))
    with show.working("waiting for the workers"):
        found: ShadowMoved = reach.call("shadow.start", ask)
    reach.print(found, moved)
    return _exit(found)


def stop(alias: str, candidate: str = "all", /, *, reason: str, reach: Reach = HERE) -> int:
    """End a shadow. Jobs that wait are skipped, results stay.

    Parameters
    ----------
    candidate
        Which; by default every one of the alias.
    reason
        Why; kept for ever.
    """
    from gateway.admin.asks import ShadowStop  # noqa: PLC0415

    with show.working("waiting for the workers"):
        found: ShadowMoved = reach.call("shadow.stop", ShadowStop(alias=alias, candidate=candidate, reason=reason))
    reach.print(found, moved)
    return _exit(found)


def status(alias: str = "", /, *, reach: Reach = HERE) -> int:
    """Show candidates, how their jobs ended, the queue, and what was spent in this hour."""
    from gateway.admin.asks import ShadowList  # noqa: PLC0415

    found: ShadowStatus = reach.call("shadow.status", ShadowList(alias=alias))

    def people(record: ShadowStatus) -> None:
        show.table(
            ("alias", "candidate", "model", "runs", "of runs#", "secondary#", "since", "until", "jobs ended as"),
            [
                (
                    r.alias,
                    r.candidate,
                    r.model,
                    r.running,
                    f"{r.rate:.2%}" if r.rate else "",
                    f"{r.secondary:.0%}" if r.rate else "",
                    show.when(r.started_ms),
                    show.when(r.until_ms),
                    tuple(f"{word} {count}" for word, count in sorted(r.results.items())),
                )
                for r in record.shadows
            ],
            empty="no shadow yet; `trivet shadow start` starts one",
        )
        cap = f" of {show.money(record.cap_micro)}" if record.cap_micro else ", without a limit"
        show.facts(
            (
                ("queue", f"{record.queue} jobs"),
                ("oldest job", show.when(record.oldest_ms)),
                ("spent this hour", show.money(record.spent_micro) + cap),
                ("paused", tuple(f"{name} until {show.when(until)}" for name, until in record.paused.items())),
                ("capture", record.capture),
            )
        )

    reach.print(found, people)
    return Exit.OK


def moved(record: ShadowMoved) -> None:
    """Print the write of a shadow: what runs now, and how long the workers took."""
    for warning in record.warnings:
        show.warn(warning)
    if not record.changed:
        show.line(f"{record.alias}: nothing to do, version {record.version} stays")
        return
    show.table(
        ("candidate", "before", "after"),
        [
            (name, _rate(record.before, name), _rate(record.after, name))
            for name in dict.fromkeys(each.candidate for each in (*record.before, *record.after))
        ],
        title=f"{record.action} {record.alias}: version {record.version}",
    )
    acknowledged(record.acknowledged)


def _plan(plan: ShadowPlan) -> None:
    told = plan.estimate
    day = [amount for amount in (told.candidate_micro, told.secondary_micro) if amount is not None]
    show.facts(
        (
            ("candidate", f"{plan.shadow.candidate} ({plan.model})"),
            ("requests of the last day", told.requests),
            ("mean tokens in/out", f"{told.input}/{told.output} of {told.sampled} requests" if told.sampled else ""),
            ("candidate, a day", show.money(told.candidate_micro) or "not known"),
            ("secondary, a day", show.money(told.secondary_micro) or "not known"),
            ("together, a day", show.money(sum(day)) if len(day) == 2 else "not known"),
            ("cap of all shadows, a day", show.money(told.cap_micro) if told.cap_micro else "none"),
            ("not known", told.why),
        )
    )
    for warning in plan.warnings:
        show.warn(warning)


def _rate(shadows: tuple[Shadow, ...], name: str) -> str:
    for each in shadows:
        if each.candidate == name:
            ends = f" until {show.when(each.until_ms)}" if each.until_ms else ""
            return f"{each.rate / WHOLE:.2%} of runs, {each.secondary / WHOLE:.0%} twice{ends}"
    return "(none)"


def _exit(record: ShadowMoved) -> Exit:
    return Exit.INCOMPLETE if record.changed and record.acknowledged.silent else Exit.OK
