"""The ninth scene claims a promotion in steps that touched no run, and each of it can fail."""

from __future__ import annotations

import pytest

from gateway.core.contract.records import HistoryEntry
from gateway.core.contract.rollout import Phase
from gateway.demo.minds import BETTER
from gateway.demo.promoted import HELD, TRIOS, tell_runs, tell_shadow, tell_way
from tests.demo.test_rollouts import NEW, OLD, entry, run
from tests.demo.test_screen import screen

WAY = [
    entry("start", Phase.SHADOWING, by="local"),
    entry("shadowed", Phase.GATED),
    entry("go", Phase.CANARY, 2500),
    entry("advance", Phase.CANARY, 5000),
    entry("advance", Phase.PROMOTING, 8000),
    entry("advance", Phase.COMPLETED, release=NEW),
]
PAUSED = [*WAY[:3], entry("freeze", Phase.FROZEN, 2500), entry("cleared", Phase.CANARY, 2500), *WAY[3:]]
EARLY = [*WAY[:4], entry("advance", Phase.PROMOTING, 8000, release=NEW), WAY[-1]]
JUMPED = [*WAY[:2], entry("override", Phase.CANARY, 2500), *WAY[3:]]


@pytest.mark.parametrize(
    ("entries", "held"),
    [(WAY, True), (PAUSED, True), (WAY[:-1], False), (EARLY, False), (JUMPED, False)],
    ids=["the whole way", "with a pause", "not completed", "the pointer moved early", "past the gate"],
)
def test_the_way_is_claimed_when_every_step_was_made(entries: list[HistoryEntry], held: bool) -> None:
    """Start, shadow, gate, stages, and the pointer at the last: anything else fails the claim."""
    shown, _ = screen(120)
    state = entries[-1].after
    assert state is not None
    tell_way(shown, entries, state, NEW)
    assert bool(shown.held) is held


def test_a_run_on_two_releases_is_noticed() -> None:
    """During the canary and over the promotion no run may change, and all new ones are on the new release."""
    during, held, after = [run(OLD), run(NEW)], [run(OLD)] * HELD, [run(NEW, model=BETTER)]
    for runs, failed in (
        ((during, held, after), 0),
        (([*during, run(OLD, NEW)], held, after), 1),
        ((during, [*held[1:], run(OLD, NEW)], after), 1),
        ((during, held, [run(OLD)]), 1),
    ):
        shown, _ = screen(120)
        tell_runs(shown, runs, OLD, NEW)
        assert len(shown.failed) == failed and len(shown.held) == 3 - failed


def test_a_shadow_that_leaks_or_compares_little_is_noticed() -> None:
    """Enough trios, and every run on the live release."""
    for trios, release, held in ((TRIOS, OLD, True), (TRIOS - 1, OLD, False), (TRIOS, NEW, False)):
        shown, _ = screen(120)
        tell_shadow(shown, trios, [run(release)], OLD)
        assert bool(shown.held) is held
