"""The incomplete beta function and Student's t, against values that are known in closed form or stand in every table."""

from __future__ import annotations

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.stats.beta import incomplete_beta, rising_root, t_quantile


@settings(max_examples=60, deadline=None)
@given(trials=st.integers(1, 60), share=st.floats(0.001, 0.999), data=st.data())
def test_it_is_the_tail_of_a_binomial(trials: int, share: float, data: st.DataObject) -> None:
    """For whole parameters it is the chance of so many successes or more, summed up term by term."""
    least = data.draw(st.integers(1, trials))
    tail = sum(comb(trials, k) * share**k * (1 - share) ** (trials - k) for k in range(least, trials + 1))
    assert incomplete_beta(share, least, trials - least + 1) == pytest.approx(tail, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(x=st.floats(0.001, 0.999), a=st.floats(0.1, 5000), b=st.floats(0.1, 5000))
def test_it_mirrors(x: float, a: float, b: float) -> None:
    """I_x(a, b) and I_(1-x)(b, a) add up to one, for large parameters too."""
    assert incomplete_beta(x, a, b) + incomplete_beta(1 - x, b, a) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),
    [
        (0.975, 1, 12.706),
        (0.975, 2, 4.303),
        (0.95, 5, 2.015),
        (0.975, 10, 2.228),
        (0.99, 30, 2.457),
        (0.975, 99, 1.984),
        (0.95, 1_000_000, 1.645),
        (0.5, 7, 0.0),
    ],
)
def test_quantiles_of_t(probability: float, degrees: int, value: float) -> None:
    """The quantiles are those of the printed tables."""
    assert t_quantile(probability, degrees) == pytest.approx(value, abs=6e-4)


def test_what_cannot_be() -> None:
    """Outside of its range the function is 0 or 1; a quantile of nothing is an error; a root is found."""
    assert (incomplete_beta(-1, 2, 3), incomplete_beta(2, 2, 3)) == (0, 1)
    assert rising_root(lambda x: x * x, 2, 0, 2) == pytest.approx(2**0.5)
    for probability, degrees in ((0.4, 3), (1.0, 3), (0.9, 0)):
        with pytest.raises(ValueError, match="degrees"):
            t_quantile(probability, degrees)
