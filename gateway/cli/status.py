"""`trivet status`: is everything as it should be?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.cli import show
from gateway.cli.alias import alias_table
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Reach

if TYPE_CHECKING:
    from gateway.core.contract.records import Status


def status(*, reach: Reach = HERE) -> int:
    """Show store, workers and aliases. Exit code 1 when something needs a look."""
    from gateway.admin.table import Nothing  # noqa: PLC0415

    found: Status = reach.call("status", Nothing())
    reach.print(found, _people)
    bad = found.store_lost or bool(found.store_error) or bool(found.warnings)
    return Exit.REFUSED if bad else Exit.OK


def _people(record: Status) -> None:
    if record.store is not None:
        safe = "keeps what it acknowledges" if record.store.safe else "is not safe (`trivet store` says why)"
        show.line(f"store    {record.store.where}: {record.store.server or 'a server that does not tell'}, {safe}")
    if record.store_error:
        show.warn(f"store: {record.store_error}")
    show.table(
        ("worker", "last heard", "alive", "behind#"),
        [(w.worker, show.when(w.at_ms), w.alive, w.behind) for w in record.workers],
        empty="no worker is running",
    )
    alias_table(list(record.aliases))
    for warning in record.warnings:
        show.warn(warning)
    for note in record.notes:
        show.note(note)
