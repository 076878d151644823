"""`trivet shadow work`: a worker of the shadow's queue in the foreground, on any machine that reaches the store."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from gateway.cli.exits import Exit
from gateway.cli.reach import Failed


def work(*, config: Annotated[str, Parameter(env_var="TRIVET_CONFIG", show_default=False)] = "") -> int:
    """Work on the shadow's queue until told to end (ctrl-C, SIGTERM). Any number may run, on any machine: limits are the store's.

    `trivet serve` runs one by itself; `--roles live,control` leaves it out.

    Parameters
    ----------
    config
        Configuration file; found as `trivet serve` finds it.
    """
    from gateway.wiring import configured, shadow  # noqa: PLC0415 - only this verb runs a worker
    from gateway.wiring.process import EXIT_CONFIG, Assignment, Line  # noqa: PLC0415

    path = configured.find(config)
    status = shadow.start(Assignment("shadow", 0, str(path or ""), ""), Line(-1))
    if status == EXIT_CONFIG:
        raise Failed(Exit.USAGE, "the shadow worker cannot start with this configuration")
    return Exit(status)
