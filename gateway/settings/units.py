"""Durations, sizes and money as people write them, read to plain numbers: seconds, bytes, USD.

A bare number is already in the plain unit. Anything else is a number and a unit; there is no guessing, and no message
quotes the text, because what stands in the wrong place may be a secret.
"""

from __future__ import annotations

import math
import re

MINUTE = 60.0
HOUR = 3600.0
DAY = 86400.0

_SECONDS = {"ms": 0.001, "s": 1.0, "m": MINUTE, "min": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_PERIODS = {"h": HOUR, "hour": HOUR, "d": DAY, "day": DAY, "w": 7 * DAY, "week": 7 * DAY}

_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_PLAIN = re.compile(rf"^{_NUMBER}$")
_DURATION = re.compile(rf"^(?:{_NUMBER}\s*(?:ms|s|min|m|h|d|w)\s*)+$")
_DURATION_PART = re.compile(rf"({_NUMBER})\s*(ms|s|min|m|h|d|w)")
_SIZE = re.compile(rf"^({_NUMBER})\s*(b|kb|mb|gb|kib|mib|gib)$", re.IGNORECASE)
_POINTS = re.compile(rf"^({_NUMBER})\s*pp$")
_AMOUNT = re.compile(rf"^\$?\s*({_NUMBER})\s*(?:usd)?$", re.IGNORECASE)
_MONEY = re.compile(rf"^\$?\s*({_NUMBER})\s*(?:usd)?\s*(?:/\s*(hour|h|day|d|week|w))?$", re.IGNORECASE)


class UnitError(ValueError):
    """The text is not of the unit; the message says how to write it and never quotes the text."""


def seconds(value: float | str) -> float:
    """`72h`, `30d`, `1h30m`, `250ms` or a plain number of seconds."""
    if not isinstance(value, str):
        return _number(value, "a duration such as 30s, 5m, 72h or 30d")
    text = value.strip()
    if _PLAIN.match(text):
        return float(text)
    if not _DURATION.match(text):
        raise UnitError("must be a duration such as 30s, 5m, 72h or 30d, or a number of seconds")
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _DURATION_PART.findall(text))


def size(value: float | str) -> int:
    """`64MiB`, `1GB` or a plain number of bytes."""
    if not isinstance(value, str):
        return int(_number(value, "a size such as 64MiB"))
    text = value.strip()
    if _PLAIN.match(text):
        return int(float(text))
    found = _SIZE.match(text)
    if not found:
        raise UnitError("must be a size such as 64KiB, 64MiB or 1GiB, or a number of bytes")
    return int(float(found[1]) * _BYTES[found[2].lower()])


def money(value: float | str, per: float) -> float:
    """USD per `per` seconds: `5 USD/h`, `1 USD/day`, or a plain number that is already per that period."""
    if not isinstance(value, str):
        return _number(value, "an amount such as 5 USD/h or 1 USD/day")
    found = _MONEY.match(value.strip())
    if not found:
        raise UnitError("must be an amount such as 5 USD/h or 1 USD/day, or a number")
    amount = float(found[1])
    period = found[2]
    return amount if period is None else amount * per / _PERIODS[period.lower()]


def amount(value: float | str) -> float:
    """USD: `5 USD`, or a plain number."""
    if not isinstance(value, str):
        return _number(value, "an amount such as 5 USD")
    found = _AMOUNT.match(value.strip())
    if not found:
        raise UnitError("must be an amount such as 5 USD, or a number")
    return float(found[1])


def points(value: float | str) -> float:
    """A share from percentage points: `5pp` is 0.05, as is a plain 0.05."""
    if not isinstance(value, str):
        return _number(value, "percentage points such as 5pp, or a share such as 0.05")
    text = value.strip()
    if _PLAIN.match(text):
        return float(text)
    found = _POINTS.match(text)
    if not found:
        raise UnitError("must be percentage points such as 5pp, or a share such as 0.05")
    return float(found[1]) / 100


def _number(value: float, shape: str) -> float:
    if isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise UnitError(f"must be {shape}, zero or more")
    return float(value)
