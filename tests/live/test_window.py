"""A sliding minute of plain numbers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.live.window import SLOTS, WINDOW_SECONDS, Window

EVENTS = st.lists(st.tuples(st.floats(0, 40, width=32), st.integers(0, 50)), max_size=40)


@given(EVENTS, st.floats(0, 100_000, width=32))
def test_no_minute_holds_more_than_was_let_in(gaps: list[tuple[float, int]], start: float) -> None:
    """What is counted is at least what happened in the last 60 seconds, and at most what happened in one second more."""
    window, events, now = Window(), [], start
    for gap, count in gaps:
        now += gap
        counted = window.at(now)
        assert counted >= sum(n for at, n in events if at > now - WINDOW_SECONDS)
        assert counted <= sum(n for at, n in events if at > now - SLOTS)
        window.add(now, count)
        events.append((now, count))


@given(EVENTS, st.integers(0, 60))
def test_the_wait_is_long_enough_and_no_second_longer(gaps: list[tuple[float, int]], keep: int) -> None:
    """After `wait` seconds the minute holds no more than asked, and a second earlier it still does."""
    one, two, now = Window(), Window(), 1000.0
    for gap, count in gaps:
        now += gap
        one.add(now, count)
        two.add(now, count)
    wait = one.wait(now, keep)
    if wait >= 1:
        assert two.at(now + wait - 1) > keep
    assert one.at(now + wait) <= keep


def test_a_time_before_the_newest_counts_as_the_newest() -> None:
    """Heads that were complete before another request was counted are not lost, nor do they bring back what has passed."""
    window = Window()
    window.add(100.5, 1)
    window.add(99.0, 1)
    assert window.at(50.0) == 2
    assert window.at(161.0) == 0
