"""`trivet alias`: what has releases, and which lane has which."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.moved import exit_code, moved
from gateway.cli.reach import HERE, Failed, Reach
from gateway.core.contract.fault import Fault

if TYPE_CHECKING:
    from gateway.core.contract.alias import AliasState
    from gateway.core.contract.records import AliasDetail, AliasRow, HistoryEntry, Moved, PointerFile


def build() -> App:
    """The noun and its verbs."""
    app = App(name="alias", help="Aliases: what has releases, and which lane has which.")
    app.command(list_, name="list")
    app.command(show_, name="show")
    app.command(history)
    app.command(export)
    app.command(apply)
    return app


def list_(*, reach: Reach = HERE) -> int:
    """List aliases and the release of each lane."""
    from gateway.admin.table import Nothing  # noqa: PLC0415

    found: list[AliasRow] = reach.call("alias.list", Nothing())
    reach.print(found, alias_table)
    return Exit.OK


def alias_table(rows: list[AliasRow]) -> None:
    """Aliases as a table; `trivet status` prints the same."""
    show.table(
        ("alias", "version#", "lanes", "stakes", "side effects", "canary", "made by"),
        [
            (
                r.name,
                r.version,
                ", ".join(f"{lane}={release}" for lane, release in sorted(r.lanes.items())),
                r.stakes.value,
                r.side_effects.value,
                f"{r.canary} {r.weight / 100:g}%" if r.canary else "",
                "learn" if r.learned else "",
            )
            for r in rows
        ],
        empty="no aliases yet; name one under `aliases` in the configuration",
    )


def show_(alias: str, /, *, reach: Reach = HERE) -> int:
    """Show an alias: its lanes, what rollback may return to, and which version each worker serves."""
    from gateway.admin.asks import AliasOne  # noqa: PLC0415

    found: AliasDetail = reach.call("alias.show", AliasOne(alias=alias))

    def people(detail: AliasDetail) -> None:
        state = detail.state
        show.facts(
            (
                ("alias", state.name),
                ("version", state.version),
                ("stakes", state.stakes.value),
                ("side effects", state.side_effects.value),
                ("learned", state.learned),
            )
        )
        show.table(
            ("lane", "stable", "model", "rollback may return to", "blocked"),
            [
                (
                    name,
                    lane.release,
                    detail.models.get(lane.release, ""),
                    lane.previous,
                    detail.blocked.get(lane.release, ""),
                )
                for name, lane in sorted(state.lanes.items())
            ],
        )
        if state.split is not None:
            show.line(
                f"canary {state.split.candidate} gets {state.split.weight / 100:g}% of {show.plain(state.split.lanes)}"
            )
        show.table(
            ("worker", "serves version#", "alive"),
            [(w.worker, w.versions.get(state.name, ""), w.alive) for w in detail.workers],
            empty="no worker is running",
        )

    reach.print(found, people)
    return Exit.OK


def history(alias: str, /, *, limit: int = 20, reach: Reach = HERE) -> int:
    """Show every write of an alias's pointer, newest first: who, why, before and after."""
    from gateway.admin.asks import AliasHistory  # noqa: PLC0415

    found: list[HistoryEntry] = reach.call("alias.history", AliasHistory(alias=alias, limit=limit))
    reach.print(
        found,
        lambda rows: show.table(
            ("at", "version#", "action", "by", "before", "after", "reason"),
            [
                (show.when(e.at_ms), e.version, e.action, e.actor, _lanes(e.before), _lanes(e.after), _why(e))
                for e in rows
            ],
        ),
    )
    return Exit.OK


def export(*, reach: Reach = HERE) -> int:
    """Print the pointers of all aliases as a document for version control; `trivet alias apply -f` takes it back."""
    from gateway.admin.table import Nothing  # noqa: PLC0415
    from gateway.control.aliases import as_yaml  # noqa: PLC0415

    found: PointerFile = reach.call("alias.export", Nothing())
    reach.print(found, lambda record: show.raw(as_yaml(record)))
    return Exit.OK


def apply(
    *,
    file: Annotated[str, Parameter(name=("--file", "-f"))],
    reason: str,
    override: str = "",
    attest: str = "",
    reach: Reach = HERE,
) -> int:
    """Move pointers to what a file says, under the rules of promotion. Refused when the store is newer than the file.

    Parameters
    ----------
    file
        As `trivet alias export` writes it; `-` reads standard input.
    reason
        Why; kept for ever.
    override
        Who overrides a missing proof, where the stakes allow that.
    attest
        Who says that an id of class unpinnable or unknown is fixed, and why.
    """
    from gateway.admin.asks import PointersApply  # noqa: PLC0415

    wanted = _pointers(file)
    ask = PointersApply(reason=reason, aliases=wanted.aliases, v=wanted.v, override=override, attested=attest)
    found: list[Moved] = reach.call("alias.apply", ask)

    def people(records: list[Moved]) -> None:
        for record in records:
            moved(record)

    reach.print(found, people)
    return exit_code(found)


def _pointers(file: str) -> PointerFile:
    from gateway.control.aliases import read_file  # noqa: PLC0415 - only this verb reads one

    try:
        return read_file(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except Fault as fault:
        raise Failed(Exit.USAGE, f"{file}: {fault.message}") from fault
    except (OSError, UnicodeDecodeError) as error:
        raise Failed(Exit.USAGE, f"{file} cannot be read as UTF-8 text") from error


def _lanes(state: AliasState | None) -> str:
    if state is None:
        return ""
    return ", ".join(f"{name}={lane.release}" for name, lane in sorted(state.lanes.items()))


def _why(entry: HistoryEntry) -> str:
    return f"{entry.reason} (override: {entry.override})" if entry.override else entry.reason
