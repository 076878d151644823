"""`trivet drift probe`: ask the alias's own prompts now, and compare with the reference."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gateway.cli import drift_plot, show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.probing import ProbeProgress

PAUSE_SECONDS = 1.0
"""After a piece that came to nothing."""
STUCK = 20
"""Pieces in a row that bring no answer after which it is left to the gateway."""


def probe(
    alias: str,
    /,
    *,
    release: Annotated[str, Parameter(show_default=False)] = "",
    reach: Reach = HERE,
) -> int:
    """Run one window of probes now, and compare its answers with the reference; the first window is the reference.

    Exit code 0 when it is as the reference, or is the reference now; 1 when it differs, an alarm is open, or it could not be whole.

    Parameters
    ----------
    alias
        Whose `probes` of the configuration.
    release
        By default what is stable for everybody.
    """
    from gateway.admin.asks import DriftProbe  # noqa: PLC0415 - heavy; --help needs none

    done: ProbeProgress = reach.call("drift.probe", DriftProbe(alias, release, begin=True))
    before, idle, discarded = done, 0, done.discarded
    while done.going and not done.alarm and idle < STUCK:
        if not reach.json:
            show.note(f"{done.done} of {done.prompts * done.samples} answers{f'; {done.told}' if done.told else ''}")
        done = reach.call("drift.probe", DriftProbe(alias, release))
        idle = idle + 1 if done.calls == before.calls else 0
        if done.told and done.going:
            time.sleep(PAUSE_SECONDS)
        before = done
    reach.print(done, _people)
    differs = bool(done.windows) and done.windows[-1].p < LEVEL
    return Exit.REFUSED if done.alarm or differs or done.discarded > discarded or done.going else Exit.OK


LEVEL = 0.01


def _people(done: ProbeProgress) -> None:
    from gateway.control.drift_windows import progress  # noqa: PLC0415

    show.line(f"{done.alias} {done.release} on {done.snapshot}: {done.prompts} prompts, {done.samples} answers each")
    show.table(
        ("window", "statistic", "p", "calls#"),
        [(show.when(each.at_ms), f"{each.statistic:.4f}", f"{each.p:.4f}", each.calls) for each in done.windows],
        empty="no window has been compared with the reference yet",
    )
    for test in progress(done):
        if test.points:
            drift_plot.plot(test)
    if done.discarded:
        show.line(f"discarded because they were not whole in time: {done.discarded}")
    if done.told:
        (show.warn if done.alarm else show.line)(done.told)
    if done.alarm:
        show.note(f"`trivet drift status {done.snapshot}` says what to do.")
