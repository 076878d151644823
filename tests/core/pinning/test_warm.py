"""Proven, unproven, dead: from a sequence of calls, with no clock and no store."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.sentinel import Proof
from gateway.core.pinning.warm import AGAIN_MS, BUSY_MS, OVER_MS, Seen, Sign, due, judged, learn, unseen

HOUR = 3_600_000
SIX = 6 * HOUR
signs = st.sampled_from(Sign)
calls = st.lists(st.tuples(st.integers(1, 100_000), signs, st.sampled_from(("live", "probe"))), max_size=30)


def after(*seen: tuple[int, Sign, str]) -> Proof:
    """The proof after these calls."""
    known = unseen("rel_1")
    for at_ms, sign, source in seen:
        known = learn(known, Seen(at_ms, sign, source, "x"))
    return known.proof


@given(calls)
def test_trouble_never_kills(seen: list[tuple[int, Sign, str]]) -> None:
    """Whatever order calls come in, a release is dead only after three refusals since its last success, a minute apart."""
    known = unseen("rel_1")
    refusals: list[int] = []
    for at_ms, sign, source in seen:
        fresh = at_ms > known.seen_ms
        known = learn(known, Seen(at_ms, sign, source))
        if fresh and sign is Sign.WORKED:
            refusals.clear()
            assert known.proof is Proof.PROVEN
        elif fresh and sign is not Sign.TROUBLE:
            refusals.append(at_ms)
        assert (known.proof is Proof.DEAD) == (len(refusals) >= 3 and refusals[-1] - refusals[0] >= OVER_MS)


def test_one_failure_of_live_traffic_takes_no_proof() -> None:
    """Three in a row do, and so does one probe; a success brings it back."""
    ok, bad = Sign.WORKED, Sign.TROUBLE
    assert after((1, ok, "live"), (2, bad, "live"), (3, bad, "live")) is Proof.PROVEN
    assert after((1, ok, "live"), (2, bad, "live"), (3, bad, "live"), (4, bad, "live")) is Proof.UNPROVEN
    assert after((1, ok, "live"), (2, bad, "probe")) is Proof.UNPROVEN
    assert after((1, ok, "live"), (2, bad, "probe"), (3, ok, "live")) is Proof.PROVEN


def test_a_proof_ages() -> None:
    """It counts for as long as was configured, and its age stays readable afterwards."""
    known = learn(unseen("rel_1"), Seen(1000, Sign.WORKED, "live"))
    assert judged(known, 1000 + SIX - 1, SIX).proof is Proof.PROVEN
    old = judged(known, 1000 + SIX, SIX)
    assert (old.proof, old.at_ms, old.source) == (Proof.UNPROVEN, 1000, "live")


def test_a_probe_is_due_when_nothing_proves_a_release() -> None:
    """At once when never asked, soon while it is refused, later while it is busy, rarely once it is dead."""
    known = unseen("rel_1")
    assert due(known, HOUR, SIX)
    asked = msgspec.structs.replace(known, asked_ms=HOUR)
    assert not due(asked, HOUR + BUSY_MS - 1, SIX)
    assert due(asked, HOUR + BUSY_MS, SIX)
    refused = learn(asked, Seen(HOUR, Sign.GONE, "probe"))
    assert not due(refused, HOUR + AGAIN_MS - 1, SIX)
    assert due(refused, HOUR + AGAIN_MS, SIX)
    dead = msgspec.structs.replace(refused, proof=Proof.DEAD)
    assert not due(dead, HOUR + SIX - 1, SIX)
    assert due(dead, HOUR + SIX, SIX)
    proven = learn(known, Seen(HOUR, Sign.WORKED, "live"))
    assert not due(proven, HOUR + SIX - 1, SIX)
    assert due(proven, HOUR + SIX, SIX)
