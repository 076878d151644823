"""How a transition is written down."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.turned import entry_of, told
from gateway.core.contract.rollout import Phase, Word
from tests.control.rolling import rollout

pytestmark = pytest.mark.anyio


async def test_an_entry_says_in_words_why(desk: Desk) -> None:
    """A step of the loop has its causes as sentences, one without causes says what was reached, a person's has the person's reason;
    evidence and overrides stand where it rests on them."""
    frozen = rollout("rel_b", "rel_a", Phase.FROZEN, causes=("signal:refusal", "no_units"), evidence=("d1", "d2"))
    entry = entry_of(desk, Word.FREEZE, frozen)
    assert (entry.action, entry.evidence) == ("rollout_freeze", "")
    assert entry.reason == told(("signal:refusal", "no_units"))
    assert "refusal" in entry.reason
    assert ";" in entry.reason
    running = rollout("rel_b", "rel_a", evidence=("d1", "d2"), override="alice: by hand")
    assert entry_of(desk, Word.GO, running).evidence == "d1 d2"
    assert entry_of(desk, Word.GO, running).reason == "the gate says GO"
    said = entry_of(desk, Word.OVERRIDE, running, reason="by hand")
    assert (said.reason, said.override, said.actor) == ("by hand", "alice: by hand", "alice")
