"""Asking before something that cannot be taken back."""

from __future__ import annotations

import sys

from gateway.cli.exits import Exit
from gateway.cli.reach import Failed


def confirmed(question: str) -> None:
    """Return when the person says yes. Raises Failed otherwise, and where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Failed(Exit.USAGE, f"{question} There is nobody to ask here: say --yes.")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Failed(Exit.REFUSED, "nothing was changed")
