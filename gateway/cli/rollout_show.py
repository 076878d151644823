"""How a rollout is shown: where it is, the numbers that decide, and what it waits for; once, or live until it ends.

Rule of the file: everything shown stands in the record, so that `--json` tells the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.moved import acknowledged
from gateway.cli.reach import HERE, Failed, NobodyListens, Reach, ask_port

if TYPE_CHECKING:
    from rich.console import Group

    from gateway.control.plans import RolloutPlan
    from gateway.core.contract.records import HistoryEntry
    from gateway.core.contract.rolling import RolloutMoved, RolloutStatus, Wait
    from gateway.core.contract.rollout import Rollout

LOOK_SECONDS = 1.0
ROLLOUT = "rollout_"
POINTER = frozenset({"promote", "rollback", "apply", "first_release"})
"""Other actions that `rollout history` tells, because they move what a rollout moves."""


def add(app: App) -> None:
    """The verbs that only look."""
    app.command(status)
    app.command(history)


def status(
    alias: str, /, *, watch: Annotated[bool, Parameter(negative="", show_default=False)] = False, reach: Reach = HERE
) -> int:
    """Show where a rollout is, the numbers that decide, what it waits for, and the command that helps.

    With --watch it is shown anew each second until the rollout has ended: then 0 when it was completed, 1 when it ended in any
    other way. With --json --watch, a line of JSON for each change.

    Parameters
    ----------
    watch
        Go on looking until it has ended, or Ctrl-C.
    """
    found = _look(alias, reach)
    if watch:
        return _watch(alias, found, reach)
    reach.print(found, _print)
    return Exit.OK


def history(alias: str, /, *, limit: int = 20, reach: Reach = HERE) -> int:
    """Show the transitions of an alias's rollouts, newest first: who or what, why, phase and weights.

    Parameters
    ----------
    limit
        Newest entries of the alias's history that are looked at.
    """
    from gateway.admin.asks import AliasHistory  # noqa: PLC0415 - heavy; --help needs none

    entries: list[HistoryEntry] = reach.call("alias.history", AliasHistory(alias=alias, limit=limit))
    found = [each for each in entries if each.action.startswith(ROLLOUT) or each.action in POINTER]
    reach.print(
        found,
        lambda rows: show.table(
            ("at", "version#", "what", "by", "phase", "weights", "why"),
            [
                (
                    show.when(e.at_ms),
                    e.version,
                    e.action.removeprefix(ROLLOUT),
                    e.actor,
                    _phase(e.after.rollout) if e.after is not None and e.after.rollout is not None else "",
                    _shares(e.after.split.weights) if e.after is not None and e.after.split is not None else "",
                    f"{e.reason}{f' [override: {e.override}]' * bool(e.override)}{f' ({e.note})' * bool(e.note)}",
                )
                for e in rows
            ],
            empty="no rollout yet; `trivet rollout start -f FILE` begins one",
        ),
    )
    return Exit.OK


def moved(record: RolloutMoved) -> None:
    """Print an order: phase and weights before and after, how long the workers took, and what it waits for now."""
    for warning in record.warnings:
        show.warn(warning)
    if not record.changed:
        show.line(f"{record.alias}: nothing to do, version {record.version} stays")
        return
    before, after = record.before, record.after
    show.table(
        ("", "before", "after"),
        [
            ("phase", _phase(before), _phase(after)),
            ("weights", _weights(record.split_before), _weights(record.split_after)),
        ],
        title=f"{record.action.removeprefix(ROLLOUT)} {record.alias}: version {record.version}",
    )
    if record.override:
        show.warn(f"recorded for ever as an override: {record.override}")
    acknowledged(record.acknowledged)
    for wait in record.waits:
        show.line(f"  {_told(wait, ended=after is not None and after.ended)}")


def plan(record: RolloutPlan) -> None:
    """Print a forecast: a line for each stage."""
    told = record.forecast
    show.facts(
        (
            ("alias", record.alias),
            ("candidate", record.candidate),
            ("runs a day", tuple(f"{lane} {rate:.0f}" for lane, rate in record.runs_a_day.items())),
            ("failing today", f"{record.base_rate:.1%} of runs"),
            ("shadow", "none" if told.shadow_days == 0 else _days(told.shadow_days)),
            ("all stages", _days(told.days)),
        )
    )
    show.table(
        ("stage", "lane", "weight#", "runs needed#", "runs a day#", "takes", "smallest regression seen", "approval"),
        [
            (
                "promoting" if place == len(told.stages) else place,
                each.lane,
                f"{each.weight / 100:g} %",
                each.runs,
                f"{each.runs_a_day:.0f}",
                _days(each.days),
                f"x {each.smallest_ratio:.1f}" if each.smallest_ratio is not None else "none",
                each.approve,
            )
            for place, each in enumerate(told.stages, start=1)
        ],
    )
    for warning in record.warnings:
        show.warn(warning)
    for refusal in record.refused:
        show.refuse(refusal)


def rendered(record: RolloutStatus) -> Group:
    """The status as something to print, once or live."""
    from rich.console import Group  # noqa: PLC0415 - loaded when something is shown
    from rich.text import Text  # noqa: PLC0415

    if record.rollout is None:
        return Group(Text(f"{record.alias} never had a rollout; `trivet rollout start -f FILE` begins one"))
    parts: list[Any] = [*_head(record, record.rollout)]
    parts += [Text(), _stages(record, record.rollout)]
    if record.facts is not None and record.facts.findings:
        parts += [Text(), _findings(record)]
    parts += [Text()] + [Text(_told(wait, ended=record.rollout.ended)) for wait in record.waits]
    parts += [Text(f"warning: {warning}", style="yellow") for warning in record.warnings]
    return Group(*parts)


def _print(record: RolloutStatus) -> None:
    screen = show.console()
    if not screen.is_terminal:
        screen.width = 220  # a file or a pipe has no edge to fold at
    screen.print(rendered(record))


def _look(alias: str, reach: Reach) -> RolloutStatus:
    from gateway.admin.rollout_asks import RolloutOne  # noqa: PLC0415

    found: RolloutStatus = reach.call("rollout.status", RolloutOne(alias=alias))
    return found


def _look_again(alias: str, reach: Reach) -> RolloutStatus:
    """Another look in the middle of a screen: where the port has gone, the store is read without saying so again each second."""
    from dataclasses import replace  # noqa: PLC0415

    from gateway.admin.operations import OPERATIONS  # noqa: PLC0415
    from gateway.admin.rollout_asks import RolloutOne  # noqa: PLC0415

    if not reach.direct and not reach.admin:
        try:
            found: RolloutStatus = ask_port(reach.address(), OPERATIONS["rollout.status"], RolloutOne(alias=alias))
        except NobodyListens:
            reach = replace(reach, direct=True)
        else:
            return found
    return _look(alias, reach)


def _watch(alias: str, found: RolloutStatus, reach: Reach) -> int:
    screen = show.console()
    if reach.json or not screen.is_terminal:
        return _lines(alias, found, reach)
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(rendered(found), console=screen, auto_refresh=False, vertical_overflow="visible") as live:
        while not _over(found):
            time.sleep(LOOK_SECONDS)
            try:
                found = _look_again(alias, reach)
            except Failed as failed:
                live.update(Text(f"cannot be read: {failed.message}", style="red"), refresh=True)
                continue
            live.update(rendered(found), refresh=True)
    return _end(found)


def _lines(alias: str, found: RolloutStatus, reach: Reach) -> int:
    """A line for each change, where nobody looks on: of JSON, or of words."""
    import msgspec  # noqa: PLC0415

    shown: object = None
    while True:
        place = (found.version, found.rollout.phase if found.rollout is not None else "")
        if place != shown:
            shown = place
            text = msgspec.json.encode(found).decode() if reach.json else _sentence(found)
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        if _over(found):
            return _end(found)
        time.sleep(LOOK_SECONDS)
        try:
            found = _look_again(alias, reach)
        except Failed as failed:
            show.note(f"cannot be read: {failed.message}")


def _over(record: RolloutStatus) -> bool:
    return record.rollout is None or record.rollout.ended


def _end(record: RolloutStatus) -> Exit:
    return Exit.OK if record.rollout is not None and record.rollout.phase.value == "completed" else Exit.REFUSED


def _sentence(record: RolloutStatus) -> str:
    waits = "; ".join(wait.what for wait in record.waits)
    return f"{show.when(record.at_ms)} {record.alias} {_phase(record.rollout)} {_weights(record.split)}: {waits}"


def _head(record: RolloutStatus, rollout: Rollout) -> Iterator[Any]:
    from rich.text import Text  # noqa: PLC0415

    gate = record.facts.gate.verdict if record.facts is not None and not rollout.ended else ""
    shadow = record.facts.shadow if record.facts is not None else None
    driver = f"{record.conductor or 'nobody'}" + (f", heard {record.heard_ms} ms ago" if record.heard_ms >= 0 else "")
    rows = (
        ("alias", f"{record.alias}, stakes {record.stakes.value}, version {record.version}"),
        ("phase", _phase(rollout)),
        ("candidate", f"{rollout.candidate} {record.models.get(rollout.candidate, '')}".strip()),
        ("incumbent", f"{rollout.incumbent} {record.models.get(rollout.incumbent, '')}".strip()),
        ("weights", _weights(record.split)),
        ("started", f"{show.when(rollout.started_ms)} by {rollout.actor}" if not rollout.ended else ""),
        ("shadow", f"{shadow.trios} trios, {shadow.pairs} pairs, {shadow.failures} failed" if shadow else ""),
        ("gate", gate),
        ("override", rollout.override),
        ("driven by", driver if not rollout.ended else ""),
        ("ended because", "; ".join(rollout.causes) if rollout.ended else ""),
    )
    for name, value in rows:
        if value:
            yield Text(f"{name:<13}  {value}")


def _stages(record: RolloutStatus, rollout: Rollout) -> Any:
    from gateway.control.waits import lasting  # noqa: PLC0415

    completed = rollout.phase.value == "completed"
    table = _table("stage", "lane", "weight#", "bake", "runs needed#", "runs seen#", "")
    units = record.facts.tally.units if record.facts is not None else {}
    for place, stage in enumerate((*rollout.plan.stages, rollout.plan.promoting)):
        promoting = place == len(rollout.plan.stages)
        lanes = rollout.lanes if promoting else (stage.lane,)
        seen = sum(units.get(f"{lane} canary {stage.weight}", 0) for lane in lanes)
        table.add_row(
            "promoting" if promoting else str(place + 1),
            stage.lane,
            f"{stage.weight / 100:g} %",
            lasting(stage.bake_ms),
            str(stage.runs),
            str(seen or ""),
            "done" if place < rollout.at or completed else "now" if place == rollout.at and not rollout.ended else "",
        )
    return table


def _findings(record: RolloutStatus) -> Any:
    table = _table(
        "metric", "does", "verdict", "canary bad#", "of#", "control bad#", "of#", "evidence#", "acts at#", "limit#"
    )
    assert record.facts is not None
    for each in record.facts.findings:
        table.add_row(
            each.metric,
            each.action.value,
            each.verdict.value,
            str(each.canary_bad),
            str(each.canary_units),
            str(each.control_bad),
            str(each.control_units),
            f"{each.e_value:.3g}",
            f"{each.threshold:.3g}",
            f"{each.limit:g}" if each.limit is not None else "",
        )
    return table


def _table(*columns: str) -> Any:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        made.add_column(column.rstrip("#"), justify="right" if column.endswith("#") else "left")
    return made


def _told(wait: Wait, *, ended: bool = False) -> str:
    label = "" if wait.what.startswith("or ") else "now: " if ended else "waits for: "
    return label + wait.what + (f"\n    {wait.command}" if wait.command else "")


def _phase(rollout: Rollout | None) -> str:
    if rollout is None:
        return "(none)"
    if rollout.at < 0 or rollout.ended:
        return rollout.phase.value
    count = len(rollout.plan.stages)
    return f"{rollout.phase.value}, stage {rollout.at + 1} of {count}" if rollout.at < count else rollout.phase.value


def _weights(split: Any) -> str:
    return _shares(split.weights) if split is not None else "nobody on the candidate"


def _shares(weights: dict[str, int]) -> str:
    return ", ".join(f"{lane} {weight / 100:g} %" for lane, weight in weights.items())


def _days(days: float | None) -> str:
    if days is None:
        return "not known"
    if days >= 1:
        return f"{days:.1f} days"
    return f"{days * 24:.1f} h" if days * 24 >= 1 else f"{days * 1440:.0f} min"
