"""What follows from an answer's own words on who gave it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.release import PinClass
from gateway.core.contract.sentinel import Alarm, Identity, Watched
from gateway.core.pinning.identity import ENDPOINTS, NAMES, RECENT_MS, Moved, acknowledged, learn, reference

PIN = "gpt-4o-2024-08-06"
PINNED, FLOATING, UNKNOWN = PinClass.PINNED, PinClass.FLOATING, PinClass.UNKNOWN


def said(model: str, at_ms: int, endpoint: str = "openai", fingerprint: str = "") -> Identity:
    """An answer; whether it is the pin's is as the live worker tells it."""
    mismatch = bool(model) and model != PIN and not model.endswith("/" + PIN)
    return Identity(f"openai/{PIN}", endpoint, model, fingerprint, "rel_1", "agent", at_ms, mismatch)


def after(*entries: Identity, pin: PinClass = PINNED, known: Watched | None = None) -> Watched:
    """What is known after these."""
    known = known or Watched()
    for entry in entries:
        known, _ = learn(known, entry, pin)
    return known


def test_another_model_opens_an_epoch() -> None:
    """With before, after and endpoint; evidence of the epoch before counts no more, and strict aliases are closed."""
    known = after(said(PIN, 1000), said("other", 2000))
    epoch = known.epoch
    assert (epoch.number, epoch.since_ms, epoch.alarm, epoch.before, epoch.after) == (
        2,
        2000,
        Alarm.MODEL,
        PIN,
        "other",
    )
    assert (epoch.endpoint, known.drifted, known.told, epoch.open) == ("openai", 2, 1, True)
    assert (known.observed["openai"].model, known.observed["openai"].since_ms) == ("other", 2000)


def test_the_first_answer_by_another_model_is_one_too() -> None:
    """Nobody has to have seen the right one first; of an id that is no pin nobody knows the right one."""
    assert after(said("other", 1)).epoch.before == PIN
    assert after(said("other", 1), pin=UNKNOWN).epoch.number == 1
    assert after(said("other", 1), said("third", 2), pin=UNKNOWN).epoch.number == 2


@pytest.mark.parametrize("entries", [
    (said(PIN, 1), said("publisher/" + PIN, 2), said(PIN, 3)),
    (said(PIN, 1, fingerprint="fp_1"), said(PIN, 2, fingerprint="fp_2")),
    (said(PIN, 1), said("", 2)),
    (said(PIN, 1, "a"), said(PIN, 2, "b")),
])  # fmt: skip
def test_the_pin_in_other_words_is_no_alarm(entries: tuple[Identity, ...]) -> None:
    """A publisher before the id, another fingerprint, an answer that names nobody, another endpoint."""
    assert after(*entries).epoch.number == 1


def test_a_provider_that_wavers_raises_one_alarm() -> None:
    """What was named lately is no news, at any endpoint; a return after a long time is."""
    flips = [said(PIN if turn % 2 else "other", turn * 1000, f"e{turn % 3}") for turn in range(40)]
    known = after(said(PIN, 0), *flips)
    assert known.epoch.number == 2
    assert after(said(PIN, 0), said("other", 1)).epoch.number == 2
    back = after(said(PIN, RECENT_MS + 2), known=after(said(PIN, 0), said("other", 1)))
    assert (back.epoch.number, back.epoch.before, back.epoch.after) == (3, "other", PIN)


def test_names_without_end_are_told_once_and_make_evidence_stale_each_time() -> None:
    """A server that makes up a name per answer: every epoch counts, one in fifteen minutes is told, and what is kept is bounded."""
    first = msgspec.structs.replace(after(said("m", 0)), told=2)
    known = after(*(said(f"m{turn}", turn, f"e{turn}") for turn in range(100)), known=first)
    assert known.epoch.number == 102
    assert known.told == 102
    assert len(known.names) <= NAMES and len(known.observed) <= ENDPOINTS
    untold = after(said("m", 1), said("n", 2))
    assert (untold.told, untold.epoch.number) == (1, 3)


def test_acknowledging_makes_what_is_there_the_reference() -> None:
    """All of it, where a provider wavers; then only a further change is an alarm."""
    known = acknowledged(after(said(PIN, 0), said("other", 1)), 2)
    assert (known.epoch.number, known.epoch.alarm, known.epoch.open, known.drifted) == (3, Alarm.ACKNOWLEDGED, False, 0)
    assert known.epoch.after == f"{PIN}, other"
    assert reference(known) == {PIN, "other"}
    assert reference(after(said("third", 3), known=known)) == reference(Watched()) == frozenset()
    assert after(said(PIN, 3), said("other", 4, "b"), known=known).epoch.number == 3
    assert after(said("other", 10 * RECENT_MS), known=known).epoch.number == 3
    assert after(said("third", 3), known=known).epoch.number == 4


def test_a_floating_name_moves_without_an_epoch() -> None:
    """Before and after are told, once in fifteen minutes."""
    first, none = learn(Watched(), said("gpt-4o-2024-05-13", 1), FLOATING)
    known, moved = learn(first, said(PIN, RECENT_MS + 2), FLOATING)
    assert (none, moved) == (None, Moved("gpt-4o-2024-05-13", PIN, "openai"))
    assert (known.epoch.number, known.drifted) == (1, 0)
    assert learn(known, said("gpt-4o-2024-11-20", RECENT_MS + 3), FLOATING)[1] is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([PIN, "x/" + PIN, "b", "c", ""]), st.integers(0, 4 * RECENT_MS), st.sampled_from("ef")
        ),
        max_size=30,
    )
)
def test_the_same_answer_again_never_changes_an_epoch(answers: list[tuple[str, int, str]]) -> None:
    """Whatever came before: an entry that is read twice opens nothing, and numbers only rise."""
    known, number = Watched(), 1
    for model, at_ms, endpoint in sorted(answers, key=lambda each: each[1]):
        known = after(said(model, at_ms, endpoint), known=known)
        assert known.epoch.number in (number, number + 1)
        number = known.epoch.number
        assert after(said(model, at_ms, endpoint), known=known).epoch.number == number
