"""Exit codes of every command: a public interface, the same for all verbs (docs list them)."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    """Done, or the answer is yes."""
    REFUSED = 1
    """Refused by the rules, or the answer is no: nothing was changed."""
    USAGE = 2
    """The command line or the configuration cannot be understood."""
    UNREACHABLE = 3
    """Neither the admin port nor the store answered, or not in time: for a change, look before trying again."""
    DENIED = 4
    """The admin token is missing, unknown, or lacks the right."""
    BROKEN = 5
    """The gateway failed; its log says how."""
    INCOMPLETE = 6
    """Done, but not every worker has confirmed it; the silent ones are named."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_of(status: int) -> Exit:
    """Exit code of a fault by its HTTP status."""
    if status in (401, 403):
        return Exit.DENIED
    if status in (502, 503, 504):
        return Exit.UNREACHABLE
    return Exit.BROKEN if status >= 500 else Exit.REFUSED
