"""What is kept of probes reads back as it was stored, and an empty series takes no room."""

from __future__ import annotations

import msgspec

from gateway.core.contract.probing import Series, Window


def test_a_series_reads_back() -> None:
    """Texts, windows and log-probabilities."""
    series = Series(
        2,
        {"1": ("a", "b")},
        5,
        {"1": ("c",)},
        6,
        going=True,
        failed=1,
        windows=(Window(7, 0.1, 0.5, 2),),
        chances_open=({"a": -1.0},),
    )
    assert msgspec.json.decode(msgspec.json.encode(series), type=Series) == series
    assert msgspec.json.encode(Series()) == b"{}"
