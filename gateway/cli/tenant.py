"""`trivet tenant`: taking away what is stored of a tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.confirm import confirmed
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.shadowing import Erased


def build() -> App:
    """The noun and its verbs."""
    app = App(name="tenant", help="What is stored of a tenant.")
    app.command(erase)
    return app


def erase(
    tenant: str,
    /,
    *,
    reason: str,
    run: str = "",
    yes: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    reach: Reach = HERE,
) -> int:
    """Take away everything that is stored of a tenant, or of one of its runs, for good. Prints a receipt, which is kept.

    Runs that go on lose their binding; what a tenant sends afterwards is stored anew, so take its keys away first. Users
    are not stored: what belongs to one is found by the runs the application gave them.

    Parameters
    ----------
    reason
        Why; kept with the receipt.
    run
        Only this run.
    yes
        Do not ask.
    """
    from gateway.admin.asks import TenantErase  # noqa: PLC0415

    if not yes:
        what = f"run {run} of tenant {tenant}" if run else f"tenant {tenant}"
        confirmed(f"Everything stored of {what} is taken away for good. Go on?")
    ask = TenantErase(tenant=tenant, reason=reason, run=run)
    with show.working("erasing"):
        found: Erased = reach.call("tenant.erase", ask)
        while not found.done:
            found = reach.call("tenant.erase", msgspec.structs.replace(ask, cursor=found.cursor))
    reach.print(found, receipt)
    return Exit.OK


def receipt(record: Erased) -> None:
    """Print the receipt of an erasure."""
    show.facts(
        (
            ("erased", f"run {record.run} of tenant {record.tenant}" if record.run else f"tenant {record.tenant}"),
            ("at", show.when(record.at_ms)),
            ("by", record.actor),
            ("reason", record.reason),
            ("removed", tuple(f"{kind} {n}" for kind, n in sorted(record.removed.items())) or "nothing was stored"),
            ("receipt", record.receipt),
        )
    )
    for sentence in record.kept:
        show.note(f"Still there: {sentence}.")
