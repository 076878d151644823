"""How a moved pointer is shown: before, after, and how long the workers took. Shared by rollback, promote and apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli import show
from gateway.cli.exits import Exit

if TYPE_CHECKING:
    from gateway.core.contract.records import Acknowledgement, Moved


def moved(record: Moved) -> None:
    """Print one alias's move."""
    if not record.changed:
        show.line(f"{record.alias}: nothing to do, version {record.version} stays")
    lanes = sorted({*record.before, *record.after})
    rows = []
    for lane in lanes:
        before, after = record.before.get(lane), record.after.get(lane)
        one = before.release if before else ""
        other = after.release if after else ""
        rows.append((lane, one, other if other != one else "(unchanged)"))
    if record.changed:
        show.table(("lane", "before", "after"), rows, title=f"{record.action} {record.alias}: version {record.version}")
    if record.split_before is not None and record.split_after is None:
        show.line(f"  the canary {record.split_before.candidate} has ended")
    for warning in record.warnings:
        show.warn(warning)
    if record.override:
        show.warn(f"recorded for ever as an override: {record.override}")
    if record.where == "local":
        show.line("  in force on this host; the store learns it when it is back")
    if record.changed:
        acknowledged(record.acknowledged)


def acknowledged(record: Acknowledgement) -> None:
    """Print how long the workers took, and name the silent ones."""
    count = len(record.milliseconds)
    if count:
        show.line(f"  {count} {'worker' if count == 1 else 'workers'} confirmed within {show.lasting(record.slowest)}")
    elif not record.silent:
        show.line("  no worker is running; the next one starts with this version")
    for worker in record.silent:
        show.warn(f"worker {worker} has not confirmed version {record.version}")


def exit_code(records: list[Moved]) -> Exit:
    """INCOMPLETE when a worker kept silent."""
    return Exit.INCOMPLETE if any(r.changed and r.acknowledged.silent for r in records) else Exit.OK
