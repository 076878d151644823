"""What the demo prints, and that a claim that did not hold is never silent."""

from __future__ import annotations

import io

from rich.console import Console

from gateway.demo.screen import Screen, milliseconds, percent


def screen(width: int = 60) -> tuple[Screen, io.StringIO]:
    """A screen that writes into a string."""
    text = io.StringIO()
    return Screen(fast=True, console=Console(file=text, width=width, highlight=False)), text


def test_claims_are_kept_and_marked() -> None:
    """What held and what did not is told apart, on the screen and for the exit code."""
    shown, text = screen()
    shown.claim("water is wet", held=True)
    shown.claim("two is three", held=False)
    assert (shown.held, shown.failed) == (["water is wet"], ["two is three"])
    lines = text.getvalue().splitlines()
    assert lines[0].split()[0] != lines[1].split()[0]


def test_an_old_terminal_gets_words() -> None:
    """Where the output is not UTF-8, claims are marked with plain words."""
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii", write_through=True), width=60)
    shown = Screen(console=console)
    shown.claim("water is wet", held=True)
    shown.claim("two is three", held=False)
    assert raw.getvalue().decode().split()[0] == "ok:"
    assert b"FAILED: two is three" in raw.getvalue()


def test_long_lines_wrap_and_commands_do_not() -> None:
    """Prose stays in the margin; a command can be copied as one line."""
    shown, text = screen(40)
    shown.say("word " * 20)
    shown.claim("claim " * 20, held=True)
    assert max(map(len, text.getvalue().splitlines())) <= 40
    shown.command("trivet " + "x" * 60)
    assert "  $ trivet " + "x" * 60 in text.getvalue().splitlines()


def test_text_is_never_read_as_markup() -> None:
    """Square brackets in what a program said are shown."""
    shown, text = screen()
    shown.say("[red]x[/red]")
    shown.table(("a", "n#"), [("[bold]", 1)])
    assert "[red]x[/red]" in text.getvalue() and "[bold]" in text.getvalue()


def test_bars_and_spinners_are_for_terminals() -> None:
    """A file or a pipe gets no moving parts."""
    shown, text = screen()
    with shown.counting("x", 3) as advance, shown.working("y"):
        advance()
    assert text.getvalue() == ""


def test_numbers_are_readable() -> None:
    """Durations and probabilities in their usual size."""
    assert [milliseconds(0.0123), milliseconds(1.5), milliseconds(12)] == ["12 ms", "1500 ms", "12.0 s"]
    assert [percent(1e-9), percent(0.004), percent(0.5)] == ["<0.1 %", "0.4 %", "50 %"]
