"""What a stored pair says."""

from __future__ import annotations

import msgspec

from gateway.core.contract.pair import Difference, Dimension


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
