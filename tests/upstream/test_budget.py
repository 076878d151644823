"""The retry budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.budget import WINDOW, RetryBudget


def test_the_minimum_holds_without_traffic() -> None:
    """A quiet gateway may repeat a few calls."""
    budget = RetryBudget(0.1, 3)
    budget.count(5.0)
    assert [budget.spend(5.0) for _ in range(4)] == [True, True, True, False]


def test_the_share_holds_under_traffic() -> None:
    """A busy gateway repeats no more than its share."""
    budget = RetryBudget(0.1, 3)
    for _ in range(100):
        budget.count(7.5)
    assert sum(budget.spend(7.9) for _ in range(50)) == 10


def test_the_window_passes() -> None:
    """What was spent comes back after ten seconds, and traffic that is over gives nothing."""
    budget = RetryBudget(0.1, 3)
    for _ in range(100):
        budget.count(0.0)
    assert sum(budget.spend(0.0) for _ in range(50)) == 10
    assert not budget.spend(WINDOW - 0.1)
    assert sum(budget.spend(WINDOW + 0.1) for _ in range(50)) == 3
    assert budget.spend(10_000.0)


@given(
    st.lists(st.tuples(st.floats(0, 2), st.booleans()), max_size=300),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.1, 0.5]),
)
def test_never_over_the_budget(steps: list[tuple[float, bool]], minimum: int, share: float) -> None:
    """In no window of ten whole seconds are more retries granted than the share of its requests, or the minimum."""
    budget = RetryBudget(share, minimum)
    now = 0.0
    requests: list[int] = []
    granted: list[int] = []
    for wait, retry in steps:
        now += wait
        budget.count(now)
        requests.append(int(now))
        if retry:
            held = sum(1 for at in granted if at > int(now) - WINDOW)
            seen = sum(1 for at in requests if at > int(now) - WINDOW)
            may = held + 1 <= max(minimum, share * seen)
            assert budget.spend(now) is may
            if may:
                granted.append(int(now))
