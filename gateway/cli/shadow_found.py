"""`trivet shadow report`, `pairs` and `show`: what a candidate does otherwise, from the whole down to two answers side by side."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach
from gateway.cli.since import since_ms

if TYPE_CHECKING:
    from rich.text import Text

    from gateway.core.contract.shadowing import AnswerText, PairDetail, PairRow, ShadowReport, TurnReport

TURNS = {"first": "first turns", "later": "later turns", "tool_result": "turns after tool results"}
WORSE = ("worse beyond noise", "differs beyond noise")
REQUEST_CHARACTERS = 2000


def add(app: App) -> None:
    """The verbs of this file."""
    app.command(report)
    app.command(pairs)
    app.command(show_, name="show")


def report(alias: str, /, *, candidate: str = "", since: str = "", reach: Reach = HERE) -> int:
    """Show what a candidate does otherwise, per dimension, beside how much the live release differs from itself.

    Raw is the share of pairs that differ, noise the share in which the live release differs from itself, excess the first
    less the second with its 95% interval. Turns of different kinds are never averaged together.

    Parameters
    ----------
    candidate
        Which; needed when the alias had several.
    since
        Requests made since then: 90m, 24h, 7d, or a UTC time such as 2026-11-02T08:00.
    """
    from gateway.admin.asks import ShadowOne  # noqa: PLC0415

    ask = ShadowOne(alias=alias, candidate=candidate, since_ms=since_ms(since))
    with show.working("reading pairs"):
        found: ShadowReport = reach.call("shadow.report", ask)
    reach.print(found, people)
    return Exit.OK


def people(record: ShadowReport) -> None:
    """A report as tables."""
    show.line(
        f"{record.candidate} beside {', '.join(record.primary) or 'nothing yet'} on {record.alias}: "
        f"{record.pairs} pairs, {record.trios} of them with a secondary"
    )
    if record.pairs:
        show.line(f"requests from {show.when(record.since_ms)} to {show.when(record.until_ms)}")
    for turn in record.turns:
        show.line("")
        _turn(turn)
    if record.measures:
        show.line("")
        show.table(
            ("median", "unit", "pairs#", "primary#", "candidate#", "secondary#"),
            [
                (m.name, m.unit, m.pairs, f"{m.primary:.4g}", f"{m.candidate:.4g}", _number(m.secondary))
                for m in record.measures
            ],
        )
    unknown = f", and {record.unpriced} calls whose price is not known" if record.unpriced else ""
    show.facts(
        (
            ("cost of the shadow", f"{show.money(record.cost_micro_usd)}{unknown}"),
            ("jobs ended as", tuple(f"{word} {count}" for word, count in sorted(record.results.items()))),
        )
    )


def pairs(
    alias: str,
    /,
    *,
    candidate: str = "",
    sort: Literal["severity", "time"] = "severity",
    limit: int = 10,
    reach: Reach = HERE,
) -> int:
    """List pairs, the gravest or the newest first, with what is different and where.

    Parameters
    ----------
    candidate
        Only those of this release.
    sort
        `severity` or `time`.
    limit
        At most so many.
    """
    from gateway.admin.asks import PairList  # noqa: PLC0415

    if limit < 1:
        raise Failed(Exit.USAGE, "--limit must be at least 1")
    ask = PairList(alias=alias, candidate=candidate, sort=sort, limit=limit)
    found: list[PairRow] = reach.call("shadow.pairs", ask)
    reach.print(
        found,
        lambda rows: show.table(
            ("pair", "class", "severity#", "likeness#", "turn", "run", "at", "differs in"),
            [
                (
                    r.pair,
                    r.pair_class.value,
                    f"{r.severity:.2f}",
                    f"{r.similarity:.0%}",
                    r.turn.value,
                    f"{r.run} step {r.step}",
                    show.when(r.at_ms),
                    r.differs,
                )
                for r in rows
            ],
            empty="no pairs yet",
        ),
    )
    return Exit.OK


def show_(pair: str, /, *, alias: str = "", tenant: str = "", reach: Reach = HERE) -> int:
    """Show the answers of a pair side by side with their differences marked. Contents need the right `content`.

    Parameters
    ----------
    alias
        Whose pair; spares a search.
    tenant
        Finds a pair whose line is gone from the stream.
    """
    from gateway.admin.asks import PairOne  # noqa: PLC0415

    found: PairDetail = reach.call("shadow.show", PairOne(pair=pair, alias=alias, tenant=tenant))
    reach.print(found, _pair)
    return Exit.OK


def _turn(turn: TurnReport) -> None:
    classes = ", ".join(f"{count} {name}" for name, count in sorted(turn.classes.items()))
    show.line(f"{TURNS[turn.turn.value]}: {turn.pairs} pairs, {turn.trios} with a secondary ({classes})", style="bold")
    grave = turn.verdict in WORSE
    show.line(f"as a whole: {turn.verdict}, e-value {_evidence(turn.e_value)}", style="red" if grave else "")
    show.table(
        ("dimension", "raw#", "noise#", "excess#", "95% interval", "e-value#", "verdict", "worst"),
        [
            (
                row.dimension.value,
                f"{row.raw:.1%}",
                f"{row.noise:.1%}" if row.trios else "",
                f"{row.excess:+.1%}" if row.trios else "",
                f"{row.low:+.1%} to {row.high:+.1%}" if row.trios else "",
                _evidence(row.e_value) if row.trios else "",
                row.verdict,
                row.worst[:2],
            )
            for row in turn.rows
        ],
        empty="no difference at all",
    )


def _pair(detail: PairDetail) -> None:
    line = detail.line
    show.facts(
        (
            ("pair", line.pair),
            ("run", f"{line.run} of {line.tenant}, step {line.step}, {TURNS[line.turn.value]}"),
            ("at", show.when(line.at_ms)),
            ("class", f"{line.pair_class.value}, severity {line.severity:.2f}, likeness {line.similarity:.0%}"),
            ("of itself", line.noise_class.value if line.noise_class is not None else "no secondary"),
            ("replayed", show.when(line.replay_ms)),
        )
    )
    show.table(
        ("dimension", "where", "primary", "candidate", "severity#", "worse"),
        [
            (d.dimension.value, d.path, d.primary, d.candidate, f"{d.severity:.2f}", "worse" if d.worse else "")
            for d in line.differences
        ],
        empty="no differences",
    )
    if detail.primary is None or detail.candidate is None:
        why = "the right `content` is needed" if detail.kept else f"capture {detail.capture or 'unknown'} keeps none"
        gone = "" if detail.kept or detail.capture else ", or shadow.ttl is over"
        show.note(f"The answers are not shown: {why}{gone}.")
        return
    request = detail.request or ""
    cut = " …" if len(request) > REQUEST_CHARACTERS else ""
    show.line("request", style="bold")
    show.line(request[:REQUEST_CHARACTERS] + cut)
    _beside(detail.primary, detail.candidate)


def _beside(one: AnswerText, other: AnswerText) -> None:
    from rich import box  # noqa: PLC0415 - loaded when something is shown
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True)
    for side, word in ((one, "primary"), (other, "candidate")):
        failed = f", failed: {side.failed}" if side.failed else ""
        made.add_column(f"{word} {side.release} {side.model}{failed}", ratio=1, overflow="fold")
    for left, right in (
        (one.reasoning, other.reasoning),
        (one.text, other.text),
        ("\n".join(one.calls), "\n".join(other.calls)),
        (one.finish and f"({one.finish})", other.finish and f"({other.finish})"),
    ):
        if left or right:
            made.add_row(*marked(left, right))
    screen = show.console()
    screen.print(made)


def marked(one: str, other: str) -> tuple[Text, Text]:
    """Two texts with the words that only one of them has marked: in the first struck out, in the second underlined."""
    from rich.text import Text  # noqa: PLC0415 - what models say is never read as markup

    left, right = one.split(" "), other.split(" ")
    sides = Text(), Text()
    for tag, a, b, c, d in difflib.SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        for side, words, style in ((sides[0], left[a:b], "red strike"), (sides[1], right[c:d], "green underline")):
            if words:
                side.append(" ".join(words), style="" if tag == "equal" else style)
                side.append(" ")
    return sides


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _evidence(value: float) -> str:
    return f"{value:.3g}" if value < 1e6 else "over 1e6"
