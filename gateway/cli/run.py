"""`trivet run`: agent runs, what they are bound to, and what they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach
from gateway.cli.release import run_table
from gateway.cli.since import since_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.core.contract.journal import Step
    from gateway.core.contract.records import RunDetail, RunRestart, RunRow


def build() -> App:
    """The noun and its verbs."""
    app = App(name="run", help="Agent runs: what they are bound to, and what they did.")
    app.command(list_, name="list")
    app.command(show_, name="show")
    app.command(restart)
    return app


def list_(
    *,
    release: Annotated[str, Parameter(show_default=False)] = "",
    since: str = "",
    limit: int = 100,
    reach: Reach = HERE,
) -> int:
    """List runs, newest first.

    Parameters
    ----------
    release
        Only those bound to this release.
    since
        Bound since then: 90m, 24h, 7d, or a UTC time such as 2026-11-02T08:00.
    limit
        At most so many.
    """
    from gateway.admin.asks import RunList  # noqa: PLC0415

    if limit < 1:
        raise Failed(Exit.USAGE, "--limit must be at least 1")
    ask = RunList(release=release, since_ms=since_ms(since), limit=limit)
    found: list[RunRow] = reach.call("run.list", ask)
    reach.print(found, run_table)
    return Exit.OK


def show_(run: str, /, *, tenant: str = "", reach: Reach = HERE) -> int:
    """Show a run: its stamps, and every step with asked, pinned and answering model, status, times, tokens and cost.

    Parameters
    ----------
    run
        Its id, or the RUN of its key in Redis.
    tenant
        Whose run, when several tenants have one of this id.
    """
    from gateway.admin.asks import RunOne  # noqa: PLC0415

    found: RunDetail = reach.call("run.show", RunOne(run=run, tenant=tenant))
    reach.print(found, _people)
    return Exit.OK


def _people(detail: RunDetail) -> None:
    spent = Spent.of(detail.steps)
    show.facts(
        (
            ("run", detail.run),
            ("tenant", detail.tenant),
            ("tokens", spent.tokens),
            ("cost", spent.cost),
            ("forgotten in", f"{detail.ttl_s / 3600:.1f} h without a step" if detail.ttl_s > 0 else ""),
        )
    )
    show.table(
        ("alias", "release", "model", "pin", "lane", "arm", "by", "bound at"),
        [
            (s.alias, s.release, s.model, s.pin.value, s.lane, s.arm.value, s.source.value, show.when(s.at_ms))
            for s in detail.stamps
        ],
        title="bound to",
    )
    show.table(
        (
            "step#",
            "at",
            "alias",
            "asked",
            "pinned",
            "answered",
            "outcome",
            "first byte#",
            "total#",
            "tokens in/out#",
            "cost#",
            "calls",
            "prompt",
            "tools",
        ),
        [_step(s) for s in detail.steps],
        title="steps",
    )
    if detail.outcomes:
        show.table(
            ("at", "metric", "value"),
            [(show.when(o.at_ms), name, value) for o in detail.outcomes for name, value in sorted(o.metrics.items())],
            title="outcomes",
        )
    if detail.unread:
        show.warn(f"{detail.unread} journal entries were written by a newer version and are not shown")


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run used so far, for people."""

    tokens: str
    cost: str

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Spent:
        """The sums over its steps; a step whose cost is unknown is said to be missing."""
        usages = [step.usage for step in steps if step.usage is not None]
        costs = [step.cost_micro for step in steps if step.cost_micro is not None]
        unpriced = len(usages) - len(costs)
        tokens = f"{sum(u.input for u in usages)} in, {sum(u.output for u in usages)} out" if usages else ""
        cost = show.money(sum(costs)) if costs else ""
        if unpriced > 0:
            cost = f"{cost or 'unknown'} ({unpriced} of {len(usages)} steps without a price)"
        return cls(tokens, cost)


def calls(step: Step) -> str:
    """How many calls were made, and, where it was not one at the only endpoint, whom they reached."""
    log = step.attempt_log
    if not log and "#" not in step.endpoint:
        return str(step.attempts)
    served = () if log and log[-1].startswith(f"{step.endpoint}:") else (step.endpoint,)
    return f"{step.attempts}: {', '.join((*log, *served))}"


def _step(step: Step) -> tuple[object, ...]:
    outcome = step.outcome.value if not step.code else f"{step.outcome.value} ({step.code})"
    tokens = show.tokens(step.usage)
    return (
        f"{step.step} {step.label}".strip(),
        show.when(step.at_ms),
        step.alias,
        step.asked,
        step.model,
        step.answered,
        f"{step.status} {outcome}",
        show.lasting(step.first_byte_ms) if step.first_byte_ms else "",
        show.lasting(step.total_ms),
        tokens,
        show.money(step.cost_micro),
        calls(step),
        show.short(step.prompt),
        show.short(step.tools),
    )


def restart(run: str, /, *, tenant: str = "", reach: Reach = HERE) -> int:
    """Make a new run on the current releases of an old one's aliases. The old run stays as it is.

    Parameters
    ----------
    tenant
        Whose run, when several tenants have one of this id.
    """
    from gateway.admin.asks import RunRestartAsk  # noqa: PLC0415

    found: RunRestart = reach.call("run.restart", RunRestartAsk(run=run, tenant=tenant))

    def people(record: RunRestart) -> None:
        show.line(record.run, "bold")
        show.note(f"Send it as x-trivet-run; the old run was {record.old}.")
        show.table(("alias", "release", "model"), [(s.alias, s.release, s.model) for s in record.stamps])

    reach.print(found, people)
    return Exit.OK
