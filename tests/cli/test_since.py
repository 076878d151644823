"""Times as people type them."""

from __future__ import annotations

import time

import pytest

from gateway.cli.reach import Failed
from gateway.cli.since import since_ms, until_ms


def test_durations_count_back_from_now() -> None:
    """90m, 24h and 7d are that long ago."""
    now = time.time_ns() // 1_000_000
    for text, seconds in (("30s", 30), ("90m", 5400), ("24h", 86400), ("7d", 604800)):
        assert abs(now - since_ms(text) - seconds * 1000) < 2000


def test_times_are_utc_unless_they_say() -> None:
    """A time without a zone is UTC; an offset counts."""
    assert since_ms("2026-01-01T00:00") == 1767225600000
    assert since_ms("2026-01-01T01:00+01:00") == 1767225600000
    assert since_ms("") == 0


@pytest.mark.parametrize("text", ["yesterday", "7", "7w", "-1h", "2026-13-01"])
def test_other_words_are_refused(text: str) -> None:
    """What is no time is a usage error that shows how to write one."""
    with pytest.raises(Failed, match="write 90m") as caught:
        since_ms(text)
    assert caught.value.code == 2


def test_until_is_ahead() -> None:
    """A duration counts from now on, a time stands for itself, nothing is 0."""
    now = time.time_ns() // 1_000_000
    assert 0 <= until_ms("2h") - now - 7_200_000 < 5000
    assert until_ms("2026-11-02T08:00") == since_ms("2026-11-02T08:00")
    assert until_ms("") == 0
