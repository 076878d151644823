"""When snapshots retire: the calendar as values, and what follows from a date.

Rule of the file: a bad row never becomes a date. Reading refuses the whole calendar and names the row; what nobody says stays
unknown, which is neither safe nor an alarm. What a provider's own endpoint says beats the calendar.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.contract.sentinel import Retirement
from gateway.core.pinning.classify import is_local, vendor_of
from gateway.core.pinning.table import UNKNOWN_VENDOR

NEEDED = ("model", "proof", "source", "date")
DATES = ("deprecated", "retires", "earliest", "date")
MEMBERS = frozenset((*NEEDED, *DATES, "replacement"))
PROOFS = ("page", "reports")
"""How a row is known: the vendor's page itself, or independent reports of it that agree."""
DAY = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
WARNINGS = (90, 30, 7)
"""Days before a retirement at which somebody is told, once each."""
HORIZON = 30
"""Days for which a release has to stay callable to count as one to roll back to."""
PROVIDER = "provider"
"""Source of what a provider's own model endpoint says."""
_DAY_MS = 86_400_000
_STEPS = 8
"""Replacements of replacements that are followed."""


class CalendarError(ValueError):
    """The calendar cannot be used; the message names the vendor and the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a vendor says of one model id. Dates are YYYY-MM-DD, empty where it says none."""

    model: str
    deprecated: str
    retires: str
    earliest: str
    """It will not retire before; no date to plan by."""
    replacement: str
    proof: str
    source: str
    date: str
    """The day the source was read."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """Rows by vendor and model id."""

    vendors: Mapping[str, Mapping[str, Row]]

    def find(self, vendor: str, model: str) -> Row | None:
        """What is known of an id, exactly as written but for Google's `models/`; None when nothing is."""
        return self.vendors.get(vendor, {}).get(model.removeprefix("models/"))


def vendor_for(provider: str, base_url: str = "", vendor: str = "") -> str:
    """The vendor whose dates apply to a provider: what the configuration says, else as for pinning, else the provider's own name.

    Empty for a host of one's own of which the configuration says no vendor: what runs there retires when its owner says.
    """
    if not vendor and is_local(base_url):
        return ""
    found = vendor_of(provider, base_url, vendor)
    return found if found != UNKNOWN_VENDOR else provider.lower()


def parse(text: str) -> Calendar:
    """Read the calendar. Raises CalendarError that names the row at fault: it is taken whole or not at all."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CalendarError(f"retirement calendar: not TOML: {error}") from None
    return Calendar({vendor: _vendor(vendor, rows) for vendor, rows in value.items()})


def day(text: str) -> int:
    """The number of a day written YYYY-MM-DD, counted from 1970-01-01 in the Gregorian calendar. Raises ValueError."""
    if not DAY.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is no day; write it as 2026-11-23")
    year, month, date = int(text[:4]), int(text[5:7]), int(text[8:])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    lengths = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    if date > lengths[month - 1]:
        raise ValueError(f"{text} is no day of that month")
    before = year - 1
    leaps = before // 4 - before // 100 + before // 400
    return before * 365 + leaps + sum(lengths[: month - 1]) + date - 719_163


def days_left(retires: str, now_ms: int) -> int | None:
    """Whole days (UTC) until the day of retirement: 0 on it, negative after it, None when nobody says."""
    return day(retires) - now_ms // _DAY_MS if retires else None


def warning(left: int | None) -> int | None:
    """The nearest of WARNINGS that has come: 30 with 12 days left. None while it is further off, or unknown."""
    return min((each for each in WARNINGS if left is not None and left <= each), default=None)


def callable_for(left: int | None, horizon: int = HORIZON) -> bool:
    """Whether a release whose model has so many days left is one to roll back to; an unknown date does not count against it."""
    return left is None or left > horizon


def leaves_nothing(previous: Collection[int | None], horizon: int = HORIZON) -> bool:
    """Whether none of the releases one could roll back to stays callable, by the days that the model of each has left.

    True as well when there is none at all.
    """
    return not any(callable_for(left, horizon) for left in previous)


def retirement(snapshot: str, row: Row | None, said: Retirement | None, read_ms: int = 0) -> Retirement:
    """What is known of a snapshot (`provider/model-id`) from its row and from what its provider said.

    The provider's dates beat the row's, a date that it withdrew among them; its replacement is the row's where it names none.
    """
    replacement = row.replacement if row is not None else ""
    if said is not None:
        return Retirement(
            snapshot=snapshot,
            retires=said.retires,
            deprecated=said.deprecated,
            replacement=said.replacement or replacement,
            source=PROVIDER,
            read_ms=said.read_ms,
        )
    if row is None:
        return Retirement(snapshot=snapshot, retires="", deprecated="", replacement="", source="", read_ms=read_ms)
    return Retirement(
        snapshot=snapshot,
        retires=row.retires,
        deprecated=row.deprecated,
        replacement=replacement,
        source=row.source,
        read_ms=day(row.date) * _DAY_MS,
        earliest=row.earliest,
    )


def successor(calendar: Calendar, vendor: str, model: str, now_ms: int, horizon: int = HORIZON) -> str:
    """The id to go to: the vendor's replacement, or that one's where it retires within the horizon itself. Empty when unknown."""
    seen = [model]
    row = calendar.find(vendor, model)
    while row is not None and row.replacement and row.replacement not in seen and len(seen) <= _STEPS:
        seen.append(row.replacement)
        row = calendar.find(vendor, row.replacement)
        if row is None or callable_for(days_left(row.retires, now_ms), horizon):
            break
    return seen[-1] if len(seen) > 1 else ""


def _vendor(vendor: str, value: Any) -> dict[str, Row]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise CalendarError(f"retirement calendar: {vendor!r} must be rows, written [[{vendor}]]")
    rows: dict[str, Row] = {}
    for n, each in enumerate(value, 1):
        row = _row(f"retirement calendar: {vendor} row {n}", each)
        if row.model in rows:
            raise CalendarError(f"retirement calendar: {vendor} row {n} ({row.model}): has a row already")
        rows[row.model] = row
    return rows


def _row(where: str, value: Mapping[str, Any]) -> Row:
    missing = [name for name in NEEDED if name not in value]
    foreign = sorted(value.keys() - MEMBERS)
    if missing or foreign:
        raise CalendarError(
            f"{where}: missing {missing}, not known {foreign}; a row may have {', '.join(sorted(MEMBERS))}"
        )
    for name in ("model", "replacement"):
        if name in value and (not isinstance(value[name], str) or not value[name]):
            raise CalendarError(f"{where}: `{name}` must be a text that is not empty")
    where = f"{where} ({value['model']})"
    if value["proof"] not in PROOFS:
        raise CalendarError(f"{where}: proof {value['proof']!r} is none of {', '.join(PROOFS)}")
    if not str(value["source"]).startswith("https://"):
        raise CalendarError(f"{where}: `source` must be the https:// address of a public page")
    days = {name: _day(where, name, value) for name in DATES}
    if value.get("replacement") == value["model"]:
        raise CalendarError(f"{where}: it cannot replace itself")
    if days["retires"] and days["earliest"]:
        raise CalendarError(f"{where}: `retires` and `earliest` exclude each other")
    if days["retires"] and days["deprecated"] > days["retires"]:
        raise CalendarError(f"{where}: it retires before it is deprecated")
    return Row(
        model=value["model"],
        deprecated=days["deprecated"],
        retires=days["retires"],
        earliest=days["earliest"],
        replacement=value.get("replacement", ""),
        proof=value["proof"],
        source=value["source"],
        date=days["date"],
    )


def _day(where: str, name: str, value: Mapping[str, Any]) -> str:
    if name not in value:
        return ""
    text = str(value[name])
    try:
        day(text)
    except ValueError as error:
        raise CalendarError(f"{where}: `{name}`: {error}") from None
    return text
