"""Memory over time: the arithmetic always, the hour of load with `make soak`."""

from __future__ import annotations

import os

import pytest

from bench import soak


def test_growth_is_the_slope_of_the_second_half() -> None:
    """Warming up is no leak; a steady rise after it is."""
    times = [float(second) for second in range(0, 3600, 60)]
    warm = [20 + min(at, 600) / 100 for at in times]
    assert abs(soak.growth_per_hour(times, warm)) < 0.01
    leak = [20 + at / 3600 * 5 for at in times]
    assert soak.growth_per_hour(times, leak) == pytest.approx(5.0)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_memory_is_flat_over_an_hour() -> None:
    """A live worker stays below 35 MB and grows by less than 2 MB in an hour of load. TRIVET_SOAK_MINUTES sets another time."""
    times, sizes, errors = soak.soak(float(os.environ.get("TRIVET_SOAK_MINUTES", "60")), rate=300, slice_seconds=10)
    assert errors == 0
    assert max(sizes) <= soak.LIMIT
    assert soak.growth_per_hour(times, sizes) <= soak.GROWTH
