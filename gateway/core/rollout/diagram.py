"""The state table as documentation shows it: a Mermaid diagram, a table of rows, a table of causes. Pure text from data.

Rule of the file: nothing is said here that the table does not say; `docs/rollout.md` holds this text between marks, and a test
holds it in step. `render()` prints all three blocks.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rollout import TERMINAL, Phase
from gateway.core.rollout.table import CAUSES, LIVING, ROWS, Back, Cause, Guard, Row


def diagram() -> str:
    """The phases and what leads from one to another, without what is possible everywhere."""
    arrows: dict[tuple[Phase, Phase], list[str]] = {}
    for row in ROWS:
        if row.of == LIVING or Phase.FROZEN in row.of or not isinstance(row.to, Phase):
            continue
        for phase in row.of:
            arrows.setdefault((phase, row.to), []).append(row.word)
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    lines += [f"    {start} --> {end}: {' or '.join(dict.fromkeys(words))}" for (start, end), words in arrows.items()]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in TERMINAL]
    always = ", ".join(f"{row.word} to {row.to}" for row in ROWS if row.of == LIVING)
    back = ", ".join(dict.fromkeys(row.word.value for row in ROWS if row.of == (Phase.FROZEN,)))
    lines += ["    note right of frozen", f"        from every phase that lives: {always}"]
    lines += [f"        back to where it came from: {back}", "    end note"]
    return "\n".join(lines)


def transitions() -> str:
    """Every row as a Markdown table."""
    head = ("From", "Word", "If", "Low", "Standard", "High", "To", "Effects")
    return _table(head, (_cells(row) for row in ROWS))


def causes() -> str:
    """Every cause as a Markdown table."""
    head = ("Cause", "Means", "Clears by itself", "A person goes on with", "Freezes at")
    return _table(
        head,
        (
            (
                f"`{code}`",
                cause.sentence,
                "when the data no longer shows it" if cause.clears else "no",
                f"`{cause.lifted_by}`",
                _stakes(cause),
            )
            for code, cause in CAUSES.items()
        ),
    )


def render() -> dict[str, str]:
    """Each block by the name of its marks in the documentation."""
    return {"diagram": f"```mermaid\n{diagram()}\n```", "transitions": transitions(), "causes": causes()}


def _cells(row: Row) -> tuple[str, ...]:
    start = "every phase that lives" if row.of == LIVING else ", ".join(row.of)
    end = row.to if isinstance(row.to, Phase) else {Back.SAME: "stays", Back.CAME_FROM: "where it came from"}[row.to]
    guards = ["yes" if row.guard[s] is Guard.FREE else row.guard[s].value for s in Stakes]
    return (start, f"`{row.word}`", row.when.value, *guards, end, "; ".join(row.effects))


def _stakes(cause: Cause) -> str:
    if not cause.freezes:
        return "never: it ends the rollout"
    return "all stakes" if len(cause.freezes) == len(Stakes) else ", ".join(cause.freezes)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)
