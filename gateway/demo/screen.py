"""What the demo prints: plain lines, tables, a moving bar while something takes its time, and claims that are checked.

Rule of the file: a claim is printed together with whether it held, and one that did not hold makes the demo fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import anyio
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

Advance = Callable[[], None]


class Screen:
    """Standard output, and what was claimed on it. `fast` leaves out the pauses for the reader."""

    def __init__(self, *, fast: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self.fast = fast
        self.held: list[str] = []
        self.failed: list[str] = []
        plain = not self.console.encoding.lower().startswith("utf")
        self._yes, self._no = ("ok:", "FAILED:") if plain else ("✓", "✗")

    async def read(self, seconds: float) -> None:
        """Give the reader time."""
        await anyio.sleep(0 if self.fast else seconds)

    def heading(self, text: str) -> None:
        """Open a part of the story."""
        self.console.print()
        self.console.print(text, style="bold", markup=False)

    def say(self, text: str, style: str = "") -> None:
        """A line."""
        self.console.print(Padding(Text(text, style=style), (0, 0, 0, 2), expand=False))

    def command(self, text: str) -> None:
        """A command that is really run."""
        self.console.print(f"  $ {text}", style="cyan", markup=False, soft_wrap=True)

    def claim(self, text: str, held: bool) -> None:
        """Say something that was measured; False makes the demo fail."""
        (self.held if held else self.failed).append(text)
        mark, style = (self._yes, "green") if held else (self._no, "bold red")
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(" ", Text(mark, style=style), Text(text))
        self.console.print(line)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """A table; columns whose name ends in # are numbers."""
        made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
        for column in columns:
            made.add_column(column.rstrip("#"), justify="right" if column.endswith("#") else "left", overflow="fold")
        for row in rows:
            made.add_row(*(Text(str(value)) for value in row))
        self.console.print(made)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """A spinner; nothing where there is no terminal."""
        if not self.console.is_terminal:
            yield
            return
        with self.console.status(text):
            yield

    @contextmanager
    def counting(self, text: str, total: int) -> Iterator[Advance]:
        """A bar that the given function moves by one; nothing where there is no terminal."""
        if not self.console.is_terminal:
            yield lambda: None
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(text, total=total)
            yield lambda: progress.advance(task)


def milliseconds(seconds: float) -> str:
    """A duration that people can compare."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def percent(probability: float) -> str:
    """A probability in words of this size."""
    if probability < 0.001:
        return "<0.1 %"
    return f"{100 * probability:.0f} %" if probability >= 0.01 else f"{100 * probability:.1f} %"
