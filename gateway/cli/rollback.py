"""`trivet rollback`: back to a release that was stable, in one write."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.moved import exit_code, moved
from gateway.cli.reach import HERE, Failed, Reach

if TYPE_CHECKING:
    from gateway.core.contract.records import Moved


def rollback(
    alias: str,
    /,
    *,
    reason: str,
    lane: Annotated[str, Parameter(show_default=False)] = "",
    to: Annotated[str, Parameter(show_default=False)] = "",
    stop_runs: Annotated[bool, Parameter(negative="")] = False,
    local: Annotated[bool, Parameter(negative="")] = False,
    reach: Reach = HERE,
) -> int:
    """Go back to a release that was stable; prints before and after, and how many milliseconds all workers took.

    Runs in flight stay on the release they are bound to; new ones get the old release. Asking twice is harmless.
    Works while the background process is down, and with --local while the store is down.

    Parameters
    ----------
    alias
        Whose pointer.
    reason
        Why; kept for ever.
    lane
        Only this lane: `tenant:NAME`, `segment:NAME` or `*`. Without it, every lane that serves the bad release.
    to
        A release that was stable there before; by default the last one.
    stop_runs
        Also block the bad release: its runs in flight get 409 and never another model.
    local
        For the workers of this host only, through a file, while the store is dead.
    """
    from gateway.admin.asks import Rollback  # noqa: PLC0415

    # An admin URL may stand in the environment for good; in an outage it must not be in the way of --local.
    if local and (stop_runs or reach.admin not in ("", os.environ.get("TRIVET_ADMIN_URL", ""))):
        raise Failed(Exit.USAGE, "--local works on this host's file alone: not with --stop-runs or --admin")
    ask = Rollback(alias=alias, reason=reason, lane=lane, to=to, stop_runs=stop_runs)
    with show.working("waiting for the workers"):
        found: Moved = reach.locally(ask) if local else reach.call("rollback", ask)
    reach.print(found, moved)
    return Exit(exit_code([found]))
