"""Times as people type them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from gateway.cli.exits import Exit
from gateway.cli.reach import Failed

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def since_ms(text: str) -> int:
    """`90m`, `24h`, `7d` before now, or a UTC time, as milliseconds since the epoch; 0 for nothing. Raises Failed."""
    if not text:
        return 0
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return max(0, time.time_ns() // 1_000_000 - int(match[1]) * _UNITS[match[2]] * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Failed(Exit.USAGE, f"{text!r} is not a time: write 90m, 24h, 7d or 2026-11-02T08:00") from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def until_ms(text: str) -> int:
    """`48h` or `7d` from now, or a UTC time, as milliseconds since the epoch; 0 for nothing. Raises Failed."""
    if match := re.fullmatch(r"(\d{1,6})([smhd])", text):
        return time.time_ns() // 1_000_000 + int(match[1]) * _UNITS[match[2]] * 1000
    return since_ms(text)
