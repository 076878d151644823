"""`trivet warm`: can we roll back right now, and to what?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach

if TYPE_CHECKING:
    from gateway.core.contract.sentinel import WarmRow

PLACES = {-1: "candidate", 0: "stable"}


def warm(
    alias: str = "",
    /,
    *,
    probe: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reach: Reach = HERE,
) -> int:
    """Show which releases each lane can go back to right now, since when that is known, and from what.

    Exit code 0 when every lane can roll back now, 1 when one cannot: nothing that it was on before is proven.

    Parameters
    ----------
    alias
        Only this one.
    probe
        Ask every release of the alias one cheap question now, instead of reading what is known.
    """
    from gateway.admin.asks import WarmList, WarmProbe  # noqa: PLC0415 - heavy; --help needs none
    from gateway.control.warm import stuck  # noqa: PLC0415

    if probe and not alias:
        raise Failed(Exit.USAGE, "--probe asks the releases of one alias: name it")
    if probe:
        with show.working("asking every release"):
            rows: list[WarmRow] = reach.call("warm.probe", WarmProbe(alias))
    else:
        rows = reach.call("warm.list", WarmList(alias))
    reach.print(rows, _people)
    return Exit.REFUSED if stuck(rows) else Exit.OK


def _people(rows: list[WarmRow]) -> None:
    from gateway.control.warm import age, stuck  # noqa: PLC0415

    show.table(
        ("alias", "lane", "place", "release", "model", "proof", "age", "by", "days left#", "why"),
        [
            (
                row.alias,
                row.lane,
                PLACES.get(row.place, f"back {row.place}"),
                row.release,
                row.model,
                row.proof.value,
                "never" if row.age_ms is None else age(row.age_ms),
                row.source,
                "" if row.days_left is None else row.days_left,
                row.why,
            )
            for row in rows
        ],
        empty="no alias has a release yet",
    )
    lost = stuck(rows)
    for alias, lane in lost:
        first = [row for row in rows if (row.alias, row.lane) == (alias, lane) and row.place > 0]
        told = "none of the releases it was on is proven" if first else "it was on no other release before"
        show.warn(f"lane {lane} of {alias} cannot roll back now: {told}")
    for alias, lane in {(row.alias, row.lane) for row in rows}.difference(lost):
        target = min((r for r in rows if (r.alias, r.lane) == (alias, lane) and r.place > 0 and r.ready), key=_place)
        show.line(f"{alias} {lane}: can go back right now: `trivet rollback {alias} --to {target.release}`")


def _place(row: WarmRow) -> int:
    return row.place
