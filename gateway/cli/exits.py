"""Exit codes of every command: a public interface, the same for all verbs (docs list them)."""

from __future__ import annotations

from collections.abc import Sequence
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
    NO_VERDICT = 7
    """Of verbs that answer GO, NO-GO or INSUFFICIENT with 0, 1 or 2: there is no answer, where another verb ends with 1 or 2."""
    INTERRUPTED = 130
    """Ctrl-C."""


VERDICTS = frozenset((("gate", "run"), ("gate", "check"), ("gate", "inspect"), ("evidence", "import")))
"""Verbs whose codes 0, 1 and 2 are the gate's word and nothing else: a script must not take a slip for a NO-GO."""


def unanswered(code: int, words: Sequence[str]) -> int:
    """The code of a command that failed, by its words: never one that its verb has for an answer."""
    no_word = tuple(words[:2]) in VERDICTS and code in (Exit.REFUSED, Exit.USAGE)
    return Exit.NO_VERDICT if no_word else code


def exit_of(status: int) -> Exit:
    """Exit code of a fault by its HTTP status."""
    if status in (401, 403):
        return Exit.DENIED
    if status in (502, 503, 504):
        return Exit.UNREACHABLE
    return Exit.BROKEN if status >= 500 else Exit.REFUSED
