"""What must be true of an alias with a rollout after anything at all, and of the history that led there."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import msgspec

from gateway.core.contract.alias import EVERYONE, AliasState
from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import EXPOSED, TERMINAL, Phase, Rollout, Word
from gateway.core.rollout import machine
from gateway.core.rollout.table import Back, rows

WIDENS = frozenset({Word.GO, Word.OVERRIDE, Word.ADVANCE, Word.APPROVE})
"""Words after which more runs may be on a candidate."""
ENDS = frozenset({"rollback", "block"})
"""Orders by hand that end a rollout."""
MOVES = frozenset({"promote", "rollback", "apply"})
"""Orders that move stable pointers by hand."""


def check(state: AliasState, entries: Sequence[HistoryEntry]) -> None:
    """All that must be true. `entries` is the whole history, oldest first."""
    check_state(state)
    check_history(state, entries)


def check_state(state: AliasState) -> None:
    """Split and bars are those of the rollout, its pointer moved at the end only, and nobody is on a barred release."""
    rollout = state.rollout
    if rollout is None:
        assert state.split is None
        return
    weights = machine.weights(rollout)
    assert (dict(state.split.weights) if state.split is not None else {}) == weights
    assert bool(weights) == (rollout.phase in EXPOSED and rollout.at >= 0)
    if state.split is not None:
        assert (state.split.candidate, state.split.salt) == (rollout.candidate, rollout.id)
        assert state.split.candidate not in state.barred
        assert rollout.evidence or rollout.override, "runs on a candidate that nobody answers for"
    if not rollout.ended:
        assert {state.lanes[name].release for name in rollout.lanes if name in state.lanes} == {rollout.incumbent}
    if rollout.phase in TERMINAL - {Phase.COMPLETED} and not rollout.retried:
        assert rollout.candidate in state.barred


def check_history(state: AliasState, entries: Sequence[HistoryEntry]) -> None:
    """Every version is in the history once; each entry starts where the last one ended and makes the step that it names; pointers
    and weights move only by what may move them; the last one ended at what is stored."""
    assert [entry.version for entry in entries] == list(range(1, state.version + 1))
    for earlier, later in itertools.pairwise(entries):
        assert later.before is not None
        assert later.after is not None
        assert _unfenced(later.before) == _unfenced(earlier.after)
        assert later.actor and later.reason and later.operation
        _step(later, later.before, later.after)
    assert _unfenced(entries[-1].after) == _unfenced(state)


def _step(entry: HistoryEntry, before: AliasState, after: AliasState) -> None:
    word = Word(entry.action.removeprefix("rollout_")) if entry.action.startswith("rollout_") else None
    if pointers(before, after) != pointers(after, after):
        completed = after.rollout is not None and after.rollout.phase is Phase.COMPLETED
        assert entry.action in MOVES or (word is Word.ADVANCE and completed), entry.action
    if word is None:
        assert entry.action in ENDS or after.split == before.split
        return
    new = after.rollout
    assert new is not None
    if exposure(after) > exposure(before):
        assert word in WIDENS
        assert new.evidence or new.override
    if word is Word.RETRY:
        assert set(after.barred) < set(before.barred)
        return
    assert _unfenced(machine.state_after(before, new, 3)) == _unfenced(
        msgspec.structs.replace(after, version=before.version)
    )
    if word is Word.START:
        assert before.rollout is None or before.rollout.ended
        assert new.phase in (Phase.SHADOWING, Phase.GATED)
    else:
        assert before.rollout is not None
        assert before.rollout.id == new.id
        assert any(_leads(row.to, before.rollout, new) for row in rows(before.rollout.phase, word)), (
            before.rollout.phase,
            word,
            new.phase,
        )


def _leads(to: Phase | Back, old: Rollout, new: Rollout) -> bool:
    if isinstance(to, Phase):
        return new.phase is to
    return new.phase is (old.phase if to is Back.SAME else old.frozen_from)


def pointers(state: AliasState, names: AliasState) -> dict[str, str]:
    """What everybody without a split gets, for the lanes of `names`: a lane that is not there is `*`."""
    return {name: state.lanes.get(name, state.lanes[EVERYONE]).release for name in names.lanes}


def exposure(state: AliasState) -> int:
    """Shares of the lanes that are on a candidate."""
    return sum(state.split.weights.values()) if state.split is not None else 0


def _unfenced(state: AliasState | None) -> AliasState | None:
    """A state without its epoch, which a takeover raises without a write."""
    return None if state is None else msgspec.structs.replace(state, epoch=0)
