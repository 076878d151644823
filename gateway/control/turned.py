"""How a transition of a rollout is written down, by the loop and by people alike.

Rule of the file: an entry says in words what the codes mean, so that who reads the history needs nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import Rollout, Word
from gateway.core.rollout.table import sentence

AUTHOR = "trivet"
"""Actor of what the loop does by itself."""
PREFIX = "rollout_"
"""Actions of a history that are transitions of a rollout begin so."""


def told(causes: Iterable[str]) -> str:
    """Causes in words, one after the other."""
    return "; ".join(dict.fromkeys(sentence(code) for code in causes))


def entry_of(desk: Desk, word: Word, rollout: Rollout, *, note: str = "", reason: str = "") -> HistoryEntry:
    """The history entry of a word that led to this rollout. `reason` is a person's; the loop's own are its causes."""
    why = reason or told(rollout.causes) or _SPOKEN.get(word, "")
    override = rollout.override if word is Word.OVERRIDE else ""
    entry = desk.entry(PREFIX + word.value, why, override=override, note=note)
    return msgspec.structs.replace(entry, evidence=" ".join(rollout.evidence) if word in _RESTS else "")


_RESTS = frozenset({Word.GO, Word.ADVANCE, Word.OVERRIDE, Word.NO_GO})
_SPOKEN = {
    Word.SHADOWED: "enough answers were compared, and the candidate did not fail",
    Word.GO: "the gate says GO",
    Word.ADVANCE: "bake time over, enough runs seen, every guardrail clean",
    Word.CLEARED: "what froze it is gone",
}
