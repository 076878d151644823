"""`trivet alias`: what has releases, and which lane has which."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
    from gateway.core.contract.records import (
        Accepted,
        AliasDetail,
        AliasRow,
        HistoryEntry,
        Moved,
        PointerFile,
        TemplateList,
        TemplateRow,
    )


def build() -> App:
    """The noun and its verbs."""
    app = App(name="alias", help="Aliases: what has releases, and which lane has which.")
    app.command(list_, name="list")
    app.command(show_, name="show")
    app.command(history)
    app.command(prompts)
    app.command(undeclared)
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
            weights = tuple(f"{weight / 100:g}% of {lane}" for lane, weight in state.split.weights.items())
            show.line(f"canary {state.split.candidate} gets {show.plain(weights)}")
        for shadow in state.shadows:
            until = f" until {show.when(shadow.until_ms)}" if shadow.until_ms else ""
            show.line(f"shadow {shadow.candidate} on {shadow.rate / 100:g}% of runs{until}")
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


def prompts(alias: str, /, *, text: bool = False, reach: Reach = HERE) -> int:
    """List the prompt templates and toolsets that an alias is sent, as learnt from its requests.

    Parameters
    ----------
    text
        Print each template whole, with its holes: {...} where values change, {date}, {time}, {id}.
    """
    from gateway.admin.asks import AliasOne  # noqa: PLC0415

    found: TemplateList = reach.call("alias.prompts", AliasOne(alias=alias))

    def people(record: TemplateList) -> None:
        _templates(record.templates, empty="nothing was learnt yet", text=text)
        if record.unread:
            show.note(f"{record.unread} requests were not read: more different texts came than are looked at")

    reach.print(found, people)
    return Exit.OK


def undeclared(
    alias: str = "", /, *, accept: str = "", reason: str = "", text: bool = False, reach: Reach = HERE
) -> int:
    """List prompts and toolsets on the wire that no release declares; or accept one.

    Parameters
    ----------
    alias
        One alias; without it all.
    accept
        Id of a template of ALIAS to answer for: it is counted no more.
    reason
        Why it is accepted; kept for ever.
    text
        Print each template whole.
    """
    from gateway.admin.asks import TemplateAccept, Undeclared  # noqa: PLC0415

    if not accept:
        found: list[TemplateRow] = reach.call("alias.undeclared", Undeclared(alias=alias))
        reach.print(found, lambda rows: _templates(rows, empty="every prompt and toolset is declared", text=text))
        return Exit.OK
    if not alias:
        raise Failed(Exit.USAGE, "say whose template it is: trivet alias undeclared ALIAS --accept ID --reason WHY")
    done: Accepted = reach.call("alias.accept", TemplateAccept(alias=alias, id=accept, reason=reason))
    word = "is accepted" if done.changed else "was declared or accepted already"
    reach.print(done, lambda record: show.line(f"{record.id} of {record.alias} {word}"))
    return Exit.OK


def _templates(rows: Sequence[TemplateRow], *, empty: str, text: bool) -> None:
    show.table(
        ("alias", "id", "leg", "state", "share#", "requests#", "first seen", "last seen", "by", "begins"),
        [
            (
                r.alias,
                r.id,
                r.leg,
                r.state,
                f"{r.share:.1%}",
                r.requests,
                show.when(r.first_ms),
                show.when(r.last_ms),
                r.accepted or f"{'baseline of ' if r.state == 'baseline' else ''}{show.plain(r.releases)}",
                _begins(r.text),
            )
            for r in rows
        ],
        empty=empty,
    )
    for row in rows if text else ():
        show.line(f"\n{row.id}:")
        show.raw(f"{row.text or '(needs the right content, or too few requests had it)'}\n")


def _begins(text: str | None) -> str:
    """The first words of a template."""
    first = " ".join((text or "").split())
    return first if len(first) <= 48 else first[:47] + "…"


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
    said = f"{entry.reason} (override: {entry.override})" if entry.override else entry.reason
    # What moved no pointer is there for what it says.
    noted = entry.note and entry.before is None and entry.after is None
    return f"{said}; {entry.note}" if noted else said
