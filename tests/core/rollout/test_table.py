"""The state table as data: complete, without overlaps, and every cause explained."""

from __future__ import annotations

from itertools import product

import pytest

from gateway.core.contract.alias import Stakes
from gateway.core.contract.rollout import TERMINAL, Phase, Word
from gateway.core.rollout.table import (
    CAUSES,
    LIVING,
    PERSONAL,
    ROWS,
    UNKNOWN,
    Back,
    Effect,
    Guard,
    When,
    cause,
    rows,
    sentence,
)

ALWAYS_POSSIBLE = (Word.REGRESSION, Word.FREEZE, Word.ABORT, Word.ROLLBACK, Word.EXPIRE)


@pytest.mark.parametrize(("phase", "word"), list(product(LIVING, ALWAYS_POSSIBLE)))
def test_the_way_out_is_everywhere(phase: Phase, word: Word) -> None:
    """A regression, a freeze, an abort, a rollback and the deadline have a row without a condition in every phase that lives."""
    (row,) = rows(phase, word)
    assert row.when is When.ALWAYS
    assert set(row.guard.values()) == {Guard.FREE}


def test_the_end_is_the_end() -> None:
    """Only two rows leave from an end: the rollback of what was completed, and the lifting of a bar, which changes no phase."""
    found = {(phase, row.word, row.to) for row in ROWS for phase in row.of if phase in TERMINAL}
    assert found == {
        (Phase.COMPLETED, Word.ROLLBACK, Phase.ROLLED_BACK),
        (Phase.ABORTED, Word.RETRY, Back.SAME),
        (Phase.ROLLED_BACK, Word.RETRY, Back.SAME),
        (Phase.EXPIRED, Word.RETRY, Back.SAME),
    }


def test_rows_of_a_cell_have_conditions_that_exclude_each_other() -> None:
    """A phase and a word have one row, or rows whose conditions cannot hold at once."""
    apart = [
        {When.STAGE, When.APPROVAL, When.LAST},
        {When.STAGE, When.APPROVAL},
        {When.MORE, When.DONE},
        {When.LIFTED, When.PARTLY},
    ]
    for phase, word in product(Phase, Word):
        found = [row.when for row in rows(phase, word)]
        assert len(found) <= 1 or (set(found) in apart and len(set(found)) == len(found)), (phase, word)


def test_every_word_and_phase_has_a_row() -> None:
    """Nothing in the vocabulary is without meaning, and every phase but the draft is reached."""
    assert {row.word for row in ROWS} == set(Word)
    assert {row.to for row in ROWS if isinstance(row.to, Phase)} == set(Phase) - {Phase.DRAFT}


def test_exposure_grows_only_from_canary_steps() -> None:
    """Rows that put a greater weight in force are a GO, an override, an approval and an advance; no row of a frozen rollout does."""
    widening = {row.word for row in ROWS if Effect.NEXT in row.effects or Effect.POINTER in row.effects}
    assert widening == {Word.GO, Word.OVERRIDE, Word.APPROVE, Word.ADVANCE}
    assert not any(Effect.NEXT in row.effects for row in ROWS if Phase.FROZEN in row.of)


def test_guards_never_fall_with_the_stakes() -> None:
    """What is asked at higher stakes is at least what is asked at lower ones."""
    order = list(Guard)
    for row in ROWS:
        asked = [order.index(row.guard[stakes]) for stakes in (Stakes.LOW, Stakes.STANDARD, Stakes.HIGH)]
        assert asked == sorted(asked), row


def test_data_has_no_guard() -> None:
    """What only the data says asks nobody for a reason."""
    assert all(set(row.guard.values()) == {Guard.FREE} for row in ROWS if row.word not in PERSONAL)


def test_causes_read_as_sentences() -> None:
    """Each cause has half a sentence for users, and a word of a person that goes on in spite of it."""
    for code, found in CAUSES.items():
        assert found.sentence[0].islower() or found.sentence.startswith("no ")
        assert not found.sentence.endswith(".")
        ending = not found.freezes
        assert found.lifted_by in ({Word.RETRY} if ending else {Word.RESUME, Word.ACCEPT, Word.OVERRIDE})
        assert sentence(code) == found.sentence
    assert sentence("signal:refusal") == f"refusal: {CAUSES['signal'].sentence}"


def test_only_data_that_may_come_back_clears_by_itself() -> None:
    """A signal, a metric that says too little, missing data, unreadable numbers and the gate clear; alarms wait for a person."""
    assert {code for code, found in CAUSES.items() if found.clears} == {
        "signal",
        "inconclusive",
        "no_data",
        "no_units",
        "analysis_error",
        "missing_outcomes",
        "gate_no_go",
        "gate_missing",
    }


def test_an_unknown_cause_needs_a_person() -> None:
    """A cause of a newer version freezes at any stakes and does not clear."""
    assert cause("from_the_future:detail") is UNKNOWN
    assert not UNKNOWN.clears
    assert set(UNKNOWN.freezes) == set(Stakes)
