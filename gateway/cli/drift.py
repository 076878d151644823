"""`trivet drift`: is it still the same model that answers?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cyclopts import App

from gateway.cli import drift_plot, show
from gateway.cli.drift_probe import probe
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.sentinel import DriftAcknowledged, DriftRow


def build() -> App:
    """The noun and its verbs."""
    app = App(name="drift", help="Whether the models behind the releases are still the same.")
    app.command(status)
    app.command(ack)
    app.command(probe)
    return app


def status(snapshot: str = "", /, *, reach: Reach = HERE) -> int:
    """Show the drift epoch of every model that an alias names, who answers for it, and what to do.

    Exit code 1 when an alarm is open: another model answers, or it behaves otherwise, and nobody has acknowledged that.

    Parameters
    ----------
    snapshot
        Only this one, `provider/model-id`.
    """
    from gateway.admin.asks import DriftList  # noqa: PLC0415 - heavy; --help needs none

    found: list[DriftRow] = reach.call("drift.status", DriftList(snapshot))
    reach.print(found, _one if snapshot else _all)
    return Exit.REFUSED if any(row.open for row in found) else Exit.OK


def ack(snapshot: str, /, *, reason: str, reach: Reach = HERE) -> int:
    """Say that what answers for a model now is right: it is the reference from now on.

    Strict aliases take new runs again; rollouts that were frozen by it may be resumed; gate evidence stays stale.

    Parameters
    ----------
    snapshot
        As `drift status` lists it, `provider/model-id`.
    reason
        Why; kept for ever.
    """
    from gateway.admin.asks import DriftAck  # noqa: PLC0415

    done: DriftAcknowledged = reach.call("drift.ack", DriftAck(snapshot, reason))
    reach.print(done, _acknowledged)
    return Exit.OK


def _all(rows: list[DriftRow]) -> None:
    show.table(
        ("model", "pin", "epoch#", "since", "why", "answers now", "windows", "used by"),
        [
            (
                row.snapshot,
                row.pin,
                row.epoch,
                show.when(row.since_ms),
                f"{row.alarm}, open" if row.open else row.alarm,
                tuple(dict.fromkeys(each.model for each in row.observed)) or "nobody yet",
                drift_plot.spark(row.tests),
                tuple(dict.fromkeys(f"{use.alias} {use.role}" for use in row.used)),
            )
            for row in rows
        ],
        empty="no alias names a model yet",
    )
    for row in rows:
        if row.open:
            _alarm(row)


def _one(rows: list[DriftRow]) -> None:
    for row in rows:
        show.facts(
            (
                ("model", f"{row.snapshot}, {row.pin}"),
                ("epoch", f"{row.epoch} since {show.when(row.since_ms)}" if row.since_ms else row.epoch),
                ("why", row.alarm),
                ("used by", tuple(f"{use.alias} {use.role} {use.release}" for use in row.used)),
            )
        )
        show.table(
            ("endpoint", "answers", "fingerprint", "since", "told last", ""),
            [
                (
                    each.endpoint,
                    each.model,
                    each.fingerprint,
                    show.when(each.since_ms),
                    show.when(each.at_ms),
                    "not the pinned one" if each.mismatch else "",
                )
                for each in row.observed
            ],
            empty="no answer has named a model yet",
        )
        for test in row.tests:
            drift_plot.plot(test)
        if row.open:
            _alarm(row)


def _alarm(row: DriftRow) -> None:
    told = f": {row.after} in place of {row.before}" if row.after else ""
    show.warn(f"{row.snapshot}{told} ({row.test or row.alarm})")
    for sentence in row.advice:
        show.line(f"  {sentence}")


def _acknowledged(done: DriftAcknowledged) -> None:
    if not done.changed:
        show.line(f"Nothing was open: {done.snapshot} is in epoch {done.epoch}.")
        return
    right = ", ".join(done.reference) or "what answers next"
    show.line(f"{done.snapshot} is in epoch {done.epoch}: {right} is right from now on.")
    for alias in done.frozen:
        show.note(f"The rollout of {alias} is frozen still: trivet rollout resume {alias} --reason '...'")
