"""What a stored pair says."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.pair import CAPTURES, Difference, Dimension, least


def test_a_difference_reads_back() -> None:
    """Differences are stored as JSON under their public names and read back equal."""
    found = Difference(Dimension.NUMBERS, "$.text", "40", "400", 0.6)
    stored = msgspec.json.encode(found)
    assert msgspec.json.decode(stored) == {
        "dimension": "numbers",
        "path": "$.text",
        "primary": "40",
        "candidate": "400",
        "severity": 0.6,
    }
    assert msgspec.json.decode(stored, type=Difference) == found


@given(st.sampled_from(CAPTURES), st.sampled_from(CAPTURES))
def test_a_header_may_only_lower(one: str, other: str) -> None:
    """The mode that keeps less wins, whichever comes first."""
    assert least(one, other) == least(other, one) == CAPTURES[min(CAPTURES.index(one), CAPTURES.index(other))]
