"""Everything the command line prints: tables for people, JSON for programs, and one line per refusal.

Rule of the file: with `--json` standard output holds one JSON document and nothing else; notes go to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.core.contract.exchange import Usage


def console(*, errors: bool = False) -> Console:
    """A rich console on standard output or error. Loaded late: most of the cost of `--help` would be rich's tables."""
    from rich.console import Console  # noqa: PLC0415 - see above

    return Console(stderr=errors, highlight=False, soft_wrap=True)


def json(record: Any) -> None:
    """Print a record as one JSON document."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(record), indent=2).decode() + "\n")


def raw(text: str) -> None:
    """Print a document as it is."""
    sys.stdout.write(text)


def note(text: str) -> None:
    """A remark for people, on standard error."""
    console(errors=True).print(text, style="dim", markup=False)


def warn(text: str) -> None:
    """Something to look at, on standard error."""
    console(errors=True).print(f"warning: {text}", style="yellow", markup=False)


def refuse(text: str) -> None:
    """Why it was not done, on standard error."""
    console(errors=True).print(f"trivet: {text}", style="red", markup=False)


def line(text: str, style: str = "") -> None:
    """A line on standard output."""
    console().print(text, style=style or None, markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "", empty: str = "none") -> None:
    """A table; `empty` is said in its place when there are no rows."""
    from rich import box  # noqa: PLC0415 - loaded when something is shown
    from rich.table import Table  # noqa: PLC0415

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False, show_edge=False)
    for column in columns:
        right = column.endswith("#")
        made.add_column(column.rstrip("#"), justify="right" if right else "left", overflow="fold", no_wrap=right)
    count = 0
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
        count += 1
    screen = console()
    if not screen.is_terminal:
        screen.width = 220  # a file or a pipe has no edge to fold at
    if count:
        screen.print(made)
    else:
        screen.print((f"{title}: " if title else "") + empty, markup=False)


def money(micro: int | None) -> str:
    """Millionths of a US dollar as dollars; nothing for an unknown amount."""
    if micro is None:
        return ""
    return f"${micro / 1_000_000:.6f}" if micro < 1_000_000 else f"${micro / 1_000_000:,.2f}"


def tokens(usage: Usage | None) -> str:
    """Tokens in and out, with what the provider's cache had of those in; nothing when nobody counted."""
    if usage is None:
        return ""
    cached = f" ({usage.cached} cached)" if usage.cached else ""
    return f"{usage.input}{cached}/{usage.output}"


def facts(rows: Iterable[tuple[str, object]]) -> None:
    """Names and values, one per line."""
    held = [(name, value) for name, value in rows if value not in ("", None, ())]
    width = max((len(name) for name, _ in held), default=0)
    screen = console()
    for name, value in held:
        screen.print(f"{name:<{width}}  {plain(value)}", markup=False)


@contextmanager
def working(text: str) -> Iterator[None]:
    """A spinner on standard error while something takes its time; nothing when it is not a terminal."""
    screen = console(errors=True)
    if not screen.is_terminal:
        yield
        return
    with screen.status(text):
        yield


def when(milliseconds: int) -> str:
    """A wall-clock time in UTC, to the second."""
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def lasting(milliseconds: float) -> str:
    """A duration with its unit."""
    if milliseconds >= 10_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def size(count: float) -> str:
    """Bytes with a binary unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def short(digest: str) -> str:
    """The first 12 digits of a digest."""
    return digest[:12]


def plain(value: object) -> str:
    """A value as one would say it."""
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(plain(v) for v in value)
    return str(value)


def _cell(value: object) -> Any:
    from rich.text import Text  # noqa: PLC0415 - what users named is never read as markup

    return Text(plain(value))


Printer = Callable[[Any], None]
