"""`trivet lifecycle`: when the models of releases in use retire, and the way to their successors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.sentinel import LifecyclePath, LifecycleRow

SOON = 30
"""Days within which a retirement makes the exit code 1."""
NEAR = 90
"""Days within which one is told in colour."""


def lifecycle(*, plan: Annotated[bool, Parameter(negative="", show_default=False)] = False, reach: Reach = HERE) -> int:
    """Show when the models retire that a release in use names: stable, candidate, or warm to roll back to.

    Exit code 1 when one of them retires within 30 days, or has.

    Parameters
    ----------
    plan
        Print the whole way to each successor as commands, for every stable release whose model retires within 90 days.
    """
    from gateway.admin.table import Nothing  # noqa: PLC0415 - heavy; --help needs none

    if plan:
        paths: list[LifecyclePath] = reach.call("lifecycle.plan", Nothing())
        reach.print(paths, _paths)
        return _code([path.days_left for path in paths])
    rows: list[LifecycleRow] = reach.call("lifecycle.list", Nothing())
    reach.print(rows, _rows)
    return _code([row.days_left for row in rows])


def _code(days: list[int | None]) -> int:
    return Exit.REFUSED if any(left is not None and left <= SOON for left in days) else Exit.OK


def _rows(rows: list[LifecycleRow]) -> None:
    show.table(
        ("model", "retires", "days left#", "replacement", "used by", "says", "read"),
        [
            (
                row.snapshot,
                row.retires or (f"not before {row.earliest}" if row.earliest else ""),
                "" if row.days_left is None else row.days_left,
                row.replacement,
                row.used,
                row.source or "nobody",
                show.when(row.read_ms)[:10],
            )
            for row in rows
        ],
        empty="no release is in use yet",
    )
    near = [row for row in rows if row.days_left is not None and row.days_left <= NEAR]
    for row in near:
        said = f"retired on {row.retires}" if (row.days_left or 0) < 0 else f"retires in {row.days_left} days"
        show.warn(f"{row.snapshot} {said}")
    if any(" stable " in f" {use} " for row in near for use in row.used):
        show.note("`trivet lifecycle --plan` prints the way to each successor.")


def _paths(paths: list[LifecyclePath]) -> None:
    if not paths:
        show.line(f"No stable release names a model that retires within {NEAR} days.")
    for path in paths:
        when = (
            f"retired on {path.retires}"
            if path.days_left < 0
            else f"retires on {path.retires}, in {path.days_left} days"
        )
        show.line(f"# {path.alias} {', '.join(path.lanes)}: {path.snapshot} of {path.release} {when}", "bold")
        for note in path.notes:
            show.line(f"# {note}", "yellow")
        for command in path.commands:
            show.line(command)
