"""The life of a rollout as one table: from which phase, on which word, under which stakes, to which phase, with which effects.

Rule of the file: what a rollout may do is a row of ROWS and nothing else. What is not in the table is refused and changes
nothing. `machine` carries the rows out, `judge` says which word the data speaks, `diagram` draws them for the documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rollout import TERMINAL, Phase, Word


class Guard(StrEnum):
    """What a word asks of who says it."""

    FREE = "nothing"
    WARNED = "nothing, with a warning"
    REASON = "a reason"
    NAMED = "a name and a reason"
    REFUSED = "refused"


class When(StrEnum):
    """What must hold of the rollout for a row to apply. Rows of one phase and word exclude each other."""

    ALWAYS = ""
    STAGE = "a stage follows that needs no approval"
    APPROVAL = "what follows needs an approval"
    LAST = "it was the last stage, and promoting needs no approval"
    MORE = "a stage follows"
    DONE = "it was the last stage"
    LIFTED = "it lifts every cause"
    PARTLY = "it lifts some of the causes"


class Back(StrEnum):
    """Where a row leads that names no phase."""

    SAME = "the same"
    CAME_FROM = "the phase it came from"


class Effect(StrEnum):
    """What a row does besides its phase. NEXT and CLOCK change the rollout; the others tell what `state_after` makes of it."""

    SHADOW = "the candidate is shadowed"
    UNSHADOW = "its shadow ends"
    NEXT = "the next weight is in force"
    CLOCK = "the clock of the stage starts"
    HOLD = "no weight changes"
    ZERO = "weight 0 in every lane"
    BAR = "the candidate is barred"
    UNBAR = "the bar is lifted"
    POINTER = "every lane points at the candidate"
    RETURN = "lanes on the candidate go back to the incumbent"


def _guard(low: Guard, standard: Guard, high: Guard) -> Mapping[Stakes, Guard]:
    return MappingProxyType({Stakes.LOW: low, Stakes.STANDARD: standard, Stakes.HIGH: high})


_FREE = _guard(Guard.FREE, Guard.FREE, Guard.FREE)


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `guard` is by stakes."""

    of: tuple[Phase, ...]
    word: Word
    to: Phase | Back
    effects: tuple[Effect, ...]
    when: When = When.ALWAYS
    guard: Mapping[Stakes, Guard] = field(default_factory=lambda: _FREE)


LIVING = tuple(phase for phase in Phase if phase not in TERMINAL)
"""Every phase that is not the end."""
PERSONAL = frozenset(
    {
        Word.START,
        Word.SKIP_SHADOW,
        Word.OVERRIDE,
        Word.APPROVE,
        Word.FREEZE,
        Word.RESUME,
        Word.ACCEPT,
        Word.ABORT,
        Word.ROLLBACK,
        Word.RETRY,
    }
)
"""Words that a person says; the others only the data speaks."""

_REASON = _guard(Guard.REASON, Guard.REASON, Guard.REASON)
_SKIP = _guard(Guard.FREE, Guard.REASON, Guard.REFUSED)
_OVERRIDE = _guard(Guard.WARNED, Guard.NAMED, Guard.REFUSED)
_APPROVE = _guard(Guard.FREE, Guard.FREE, Guard.REASON)
_ACCEPT = _guard(Guard.REASON, Guard.REASON, Guard.REFUSED)
"""At high only data answers what the data left open."""
_BEGINS = (Effect.NEXT, Effect.CLOCK)
_ENDS = (Effect.ZERO, Effect.BAR, Effect.UNSHADOW)

ROWS: tuple[Row, ...] = (
    Row((Phase.DRAFT,), Word.START, Phase.SHADOWING, (Effect.SHADOW, Effect.CLOCK)),
    Row((Phase.DRAFT, Phase.SHADOWING), Word.SKIP_SHADOW, Phase.GATED, (Effect.UNSHADOW, Effect.CLOCK), guard=_SKIP),
    Row((Phase.SHADOWING,), Word.SHADOWED, Phase.GATED, (Effect.UNSHADOW, Effect.CLOCK)),
    Row((Phase.SHADOWING,), Word.SHADOW_FAILED, Phase.ABORTED, _ENDS),
    Row((Phase.GATED,), Word.GO, Phase.CANARY, _BEGINS, When.STAGE),
    Row((Phase.GATED,), Word.GO, Phase.AWAITING_APPROVAL, (Effect.CLOCK,), When.APPROVAL),
    Row((Phase.GATED,), Word.NO_GO, Phase.ABORTED, _ENDS),
    Row((Phase.GATED,), Word.OVERRIDE, Phase.CANARY, _BEGINS, When.STAGE, _OVERRIDE),
    Row((Phase.GATED,), Word.OVERRIDE, Phase.AWAITING_APPROVAL, (Effect.CLOCK,), When.APPROVAL, _OVERRIDE),
    Row((Phase.CANARY,), Word.ADVANCE, Phase.CANARY, _BEGINS, When.STAGE),
    Row((Phase.CANARY,), Word.ADVANCE, Phase.AWAITING_APPROVAL, (Effect.HOLD, Effect.CLOCK), When.APPROVAL),
    Row((Phase.CANARY,), Word.ADVANCE, Phase.PROMOTING, _BEGINS, When.LAST),
    Row((Phase.AWAITING_APPROVAL,), Word.APPROVE, Phase.CANARY, _BEGINS, When.MORE, _APPROVE),
    Row((Phase.AWAITING_APPROVAL,), Word.APPROVE, Phase.PROMOTING, _BEGINS, When.DONE, _APPROVE),
    Row((Phase.PROMOTING,), Word.ADVANCE, Phase.COMPLETED, (Effect.POINTER, Effect.ZERO)),
    Row(LIVING, Word.REGRESSION, Phase.ROLLED_BACK, _ENDS),
    Row(LIVING, Word.FREEZE, Phase.FROZEN, (Effect.HOLD,)),
    Row((Phase.FROZEN,), Word.CLEARED, Back.CAME_FROM, (Effect.HOLD,)),
    Row((Phase.FROZEN,), Word.RESUME, Back.CAME_FROM, (Effect.HOLD,), When.LIFTED, _REASON),
    Row((Phase.FROZEN,), Word.RESUME, Phase.FROZEN, (Effect.HOLD,), When.PARTLY, _REASON),
    Row((Phase.FROZEN,), Word.ACCEPT, Back.CAME_FROM, (Effect.HOLD,), When.LIFTED, _ACCEPT),
    Row((Phase.FROZEN,), Word.ACCEPT, Phase.FROZEN, (Effect.HOLD,), When.PARTLY, _ACCEPT),
    Row((Phase.FROZEN,), Word.OVERRIDE, Back.CAME_FROM, (Effect.HOLD,), When.LIFTED, _OVERRIDE),
    Row((Phase.FROZEN,), Word.OVERRIDE, Phase.FROZEN, (Effect.HOLD,), When.PARTLY, _OVERRIDE),
    Row(LIVING, Word.ABORT, Phase.ABORTED, _ENDS),
    Row(LIVING, Word.ROLLBACK, Phase.ROLLED_BACK, _ENDS),
    Row(LIVING, Word.EXPIRE, Phase.EXPIRED, _ENDS),
    Row((Phase.COMPLETED,), Word.ROLLBACK, Phase.ROLLED_BACK, (Effect.RETURN, Effect.BAR)),
    Row((Phase.ABORTED, Phase.ROLLED_BACK, Phase.EXPIRED), Word.RETRY, Back.SAME, (Effect.UNBAR,), guard=_REASON),
)
"""All there is. What needs an approval: `machine.needs_approval`."""


def rows(phase: Phase, word: Word) -> tuple[Row, ...]:
    """The rows of a phase and a word; none when the word is illegal there."""
    return tuple(row for row in ROWS if row.word is word and phase in row.of)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a rollout is frozen or has ended."""

    sentence: str
    """For users; half a sentence that goes on from `frozen: ` or `ended: `."""
    clears: bool = False
    """It ends by itself when the data no longer shows it; else a person has to say so."""
    lifted_by: Word = Word.RESUME
    """The word of a person that goes on in spite of it. `resume` excuses it until the next stage begins."""
    freezes: tuple[Stakes, ...] = tuple(Stakes)
    """Stakes at which it freezes; at the others it is only counted and listed. At none: it only ever ends a rollout."""
    event: bool = False
    """It happened, and is over: once resumed, one that says which (`CODE:DETAIL`) is excused for the rest of the rollout."""


_HIGH = (Stakes.HIGH,)
CAUSES: Mapping[str, Cause] = MappingProxyType(
    {
        "guardrail": Cause(
            "a guardrail regressed: the candidate is worse than tolerated", lifted_by=Word.RETRY, freezes=()
        ),
        "tripwires": Cause("tripwires were hit as often as rolls back", lifted_by=Word.RETRY, freezes=()),
        "tripwire": Cause("a tripwire was hit", event=True),
        "signal": Cause("a signal regressed: the candidate is worse than tolerated", clears=True),
        "inconclusive": Cause(
            "the stage is over, and the metric neither passes nor fails", clears=True, lifted_by=Word.ACCEPT
        ),
        "no_data": Cause("the stage is over, and the metric was never observed", clears=True, lifted_by=Word.ACCEPT),
        "no_units": Cause("no new run was bound to the candidate for longer than `grace`", clears=True),
        "analysis_error": Cause("the numbers could not be read several times in a row", clears=True),
        "sample_ratio": Cause("the share of runs on the candidate is not the weight: the comparison is off"),
        "exposed_twice": Cause("the same units were exposed to both arms: the comparison is off"),
        "missing_outcomes": Cause("outcomes are missing from one arm more than from the other", clears=True),
        "events_lost": Cause("the stream of events was trimmed before it was counted", event=True),
        "drift": Cause("the model behind the stable or the candidate release changed", event=True),
        "undeclared": Cause("prompts or tools are sent that no release declares", freezes=_HIGH, event=True),
        "nameless_tools": Cause("too many requests that carry tools name no run", freezes=_HIGH),
        "gate_no_go": Cause("the gate says NO-GO", clears=True, lifted_by=Word.OVERRIDE),
        "gate_missing": Cause(
            "the evidence that the gate said GO on no longer counts", clears=True, lifted_by=Word.OVERRIDE
        ),
        "shadow_failed": Cause("too many of the candidate's calls failed in shadow", lifted_by=Word.RETRY, freezes=()),
        "deadline": Cause("the stage lasted longer than its deadline", lifted_by=Word.RETRY, freezes=()),
        "approval": Cause("nobody approved in time", lifted_by=Word.RETRY, freezes=()),
        "operator": Cause("a person said so"),
    }
)
"""Every cause, by code. What clears by itself clears by data, never by time."""

UNKNOWN = Cause("a cause that this version does not know")


def cause(code: str) -> Cause:
    """The cause of `CODE` or `CODE:DETAIL`. One that is not in CAUSES freezes at any stakes and needs a person."""
    return CAUSES.get(code.partition(":")[0], UNKNOWN)


def sentence(code: str) -> str:
    """A cause for users, with its detail."""
    _, _, detail = code.partition(":")
    told = cause(code).sentence
    return f"{detail}: {told}" if detail else told
