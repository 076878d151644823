"""How a lane's pointer moves. Pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.alias import Lane
from gateway.core.rollout.lanes import backward, forward

NAMES = st.sampled_from("ABCDE")


@given(st.lists(st.tuples(st.booleans(), NAMES), max_size=20), st.integers(1, 4))
def test_lane_invariants(moves: list[tuple[bool, str]], warm: int) -> None:
    """Whatever is promoted and rolled back: no repeats, never itself among the former ones, rollback only to former ones."""
    lane = Lane("A")
    for ahead, name in moves:
        before = lane
        if ahead:
            lane = forward(lane, name, warm)
            assert name == before.release or lane.rolled_back == ""
            assert len(lane.previous) <= max(warm, len(before.previous))
        elif name in lane.previous:
            lane = backward(lane, name)
            assert lane.rolled_back == before.release
            assert lane.previous[-1] == before.release
        assert lane.release not in lane.previous
        assert len(set(lane.previous)) == len(lane.previous)


def test_promote_after_rollback_returns_to_the_good_one() -> None:
    """The release that was rolled back from is the last choice, not the first."""
    lane = forward(forward(Lane("A"), "B", 3), "C", 3)
    lane = backward(lane, "B")
    assert lane.previous == ("A", "C")
    assert forward(lane, "D", 3).previous == ("B", "A", "C")


def test_going_where_it_is_changes_nothing() -> None:
    """A lane that serves the release already is left as it is."""
    lane = Lane("B", ("A",), rolled_back="C")
    assert forward(lane, "B", 3) is lane
    assert backward(lane, "B") is lane
