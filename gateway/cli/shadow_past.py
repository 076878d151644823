"""`trivet shadow rediff`, `replay` and `export`: what was stored, compared again, asked again, or taken elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from gateway.cli import show
from gateway.cli.exits import Exit
from gateway.cli.reach import HERE, Failed, Reach
from gateway.cli.since import since_ms

if TYPE_CHECKING:
    from gateway.core.contract.pair import Line
    from gateway.core.contract.shadowing import LinePage, Rediffed, Replayed

LOOK_SECONDS = 2.0
"""Time between two looks at a replay, at least: a look reads every line of the time."""


def add(app: App) -> None:
    """The verbs of this file."""
    app.command(rediff)
    app.command(replay)
    app.command(export)


def rediff(alias: str, /, *, since: str = "", reach: Reach = HERE) -> int:
    """Compare stored pairs again with the rules of this version. A pair keeps one line: the new one.

    Only pairs whose contents were kept whole (`capture: full`) can be compared again; the others keep their line.

    Parameters
    ----------
    since
        Requests made since then: 90m, 24h, 7d, or a UTC time.
    """
    from gateway.admin.asks import RediffAsk  # noqa: PLC0415
    from gateway.core.contract.shadowing import Rediffed  # noqa: PLC0415

    ask = RediffAsk(alias=alias, since_ms=since_ms(since))
    looked = changed = 0
    classes: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    with show.working("comparing"):
        while True:
            found: Rediffed = reach.call("shadow.rediff", ask)
            looked, changed = looked + found.looked, changed + found.changed
            classes.update(found.classes)
            passed.update(found.passed_over)
            if not found.before:
                break
            ask = msgspec.structs.replace(ask, before=found.before)
    whole = Rediffed(alias, looked, changed, dict(classes), dict(passed), "")

    def people(record: Rediffed) -> None:
        show.facts(
            (
                ("pairs", record.looked),
                ("other lines now", record.changed),
                ("classes", tuple(f"{word} {n}" for word, n in sorted(record.classes.items()))),
                ("left as they were", tuple(f"{word} {n}" for word, n in sorted(record.passed_over.items()))),
            )
        )

    reach.print(whole, people)
    return Exit.OK


def replay(  # noqa: PLR0913 - a verb has the options it needs
    alias: str,
    /,
    *,
    candidate: str,
    since: str = "24h",
    limit: int = 1000,
    budget: float = 0.0,
    secondary: float = 0.2,
    wait: Annotated[bool, Parameter(show_default=False)] = True,
    reach: Reach = HERE,
) -> int:
    """Ask a candidate about the past: stored requests become jobs of the shadow's workers, under the same caps.

    Only requests kept whole (`capture: full`) can be asked again. Interrupted, or ended by its budget, it goes on where it
    was when it is started again.

    Parameters
    ----------
    candidate
        The release to ask.
    since
        Requests made since then: 90m, 24h, 7d, or a UTC time.
    limit
        At most so many, the newest first.
    budget
        US dollars after which no more is handed over; by default only `shadow.budget` holds.
    secondary
        Share of pairs for which the live release is asked again as well.
    wait
        Stay until every pair has its result; with --no-wait hand over what may wait, and leave.
    """
    from gateway.admin.asks import ReplayAsk  # noqa: PLC0415

    if limit < 1 or not 0 <= secondary <= 1 or budget < 0:
        raise Failed(Exit.USAGE, "--limit is at least 1, --secondary from 0 to 1, --budget not below 0")
    ask = ReplayAsk(alias, candidate, since_ms(since), limit, round(budget * 1_000_000), secondary)
    found: Replayed = reach.call("shadow.replay", ask)
    if wait and not _over(found):
        found = _waited(reach, ask, found)
    reach.print(found, _replayed)
    return Exit.REFUSED if found.stopped == "budget" else Exit.OK


def export(
    alias: str,
    /,
    *,
    format_: Annotated[Literal["jsonl", "parquet"], Parameter(name="--format")] = "jsonl",
    output: Annotated[str, Parameter(name=("--output", "-o"))] = "",
    candidate: str = "",
    since: str = "",
    reach: Reach = HERE,
) -> int:
    """Write the lines of an alias's pairs, newest first: a record each, with the values of differences by the right `content`.

    Parameters
    ----------
    format_
        `jsonl`, or `parquet` with the extra `trivet[export]`.
    output
        File to write; standard output by default, which Parquet cannot have.
    candidate
        Only those of this release.
    since
        Requests made since then: 90m, 24h, 7d, or a UTC time.
    """
    lines = _lines(reach, alias, candidate, since_ms(since))
    if format_ == "parquet":
        count = _parquet(lines, output)
    else:
        count = 0
        with Path(output).open("wb") if output else nullcontext(sys.stdout.buffer) as file:
            for line in lines:
                file.write(msgspec.json.encode(line) + b"\n")
                count += 1
    if output:
        show.note(f"{count} lines in {output}")
    return Exit.OK


def _lines(reach: Reach, alias: str, candidate: str, since: int) -> Iterator[Line]:
    from gateway.admin.asks import LineList  # noqa: PLC0415

    ask = LineList(alias=alias, candidate=candidate, since_ms=since)
    while True:
        page: LinePage = reach.call("shadow.lines", ask)
        yield from page.lines
        if not page.before:
            return
        ask = msgspec.structs.replace(ask, before=page.before)


def _parquet(lines: Iterator[Line], output: str) -> int:
    """A column per plain member; sides and differences as JSON text, so that every reader has the same columns."""
    if not output:
        raise Failed(Exit.USAGE, "Parquet needs a file: -o pairs.parquet")
    try:
        import pyarrow  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise Failed(Exit.USAGE, "Parquet needs the extra: pip install 'trivet[export]'") from error
    rows = [_flat(line) for line in lines]
    if not rows:
        raise Failed(Exit.REFUSED, "there are no pairs to export")
    parquet.write_table(pyarrow.Table.from_pylist(rows), Path(output))
    return len(rows)


def _flat(line: Line) -> dict[str, Any]:
    members = {name: getattr(line, name) for name in line.__struct_fields__}
    found: dict[str, Any] = {}
    for name, value in members.items():
        if isinstance(value, tuple | msgspec.Struct):
            found[name] = msgspec.json.encode(value).decode()
        else:
            found[name] = str(value) if hasattr(value, "value") else value
    for word in ("primary", "candidate"):
        side = members[word]
        usage = side.observed.usage if side.observed is not None else None
        found[f"{word}_release"], found[f"{word}_total_ms"], found[f"{word}_cost"] = (
            side.release,
            side.total_ms,
            side.cost,
        )
        found[f"{word}_output_tokens"] = usage.output if usage is not None else None
    return found


def _over(found: Replayed) -> bool:
    """Nothing is to be handed over any more, and nothing is on its way."""
    return not found.queued and (not found.left or found.stopped == "budget")


def _waited(reach: Reach, ask: Any, found: Replayed) -> Replayed:
    """Hand over and look until it is over, with a bar on standard error. Ctrl-C leaves; what is queued goes on."""
    from rich.progress import Progress  # noqa: PLC0415 - loaded when something is shown

    screen = show.console(errors=True)
    with Progress(console=screen, disable=not screen.is_terminal) as bar:
        task = bar.add_task(f"replay of {ask.alias}", total=found.pairs or None, completed=found.done)
        while not _over(found):
            begun = time.monotonic()
            found = reach.call("shadow.replay", ask)
            bar.update(task, total=found.pairs or None, completed=found.done)
            if not _over(found):
                time.sleep(max(LOOK_SECONDS, 5 * (time.monotonic() - begun)))
    return found


def _replayed(record: Replayed) -> None:
    unknown = f", and {record.unpriced} calls whose price is not known" if record.unpriced else ""
    show.facts(
        (
            ("stored requests", record.pairs),
            ("with a result", record.done),
            ("on their way", record.queued),
            ("left", record.left),
            ("cannot be asked again", tuple(f"{word} {n}" for word, n in sorted(record.passed_over.items()))),
            ("spent", f"{show.money(record.spent_micro)}{unknown}"),
        )
    )
    if record.stopped == "budget":
        show.warn("the budget is spent; a higher --budget goes on from here")
    if record.queued:
        show.note("Workers of the shadow take it from here; `trivet shadow report` tells what they find.")
