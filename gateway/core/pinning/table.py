"""The pinning table as values: rows per vendor, read from the text of `gateway/data/pinning.toml`.

Rule of the file: a bad row never becomes a verdict. Reading refuses the whole table and names the row; an id is matched as a
whole, by one compiled expression per vendor, in time linear in its length for every row that the table holds.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.contract.release import PinClass

MEMBERS = ("pattern", "class", "why", "source", "date", "examples")
"""Every row has exactly these."""
DAY = re.compile(r"20\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")
DEFAULT = ".*"
"""The pattern of a vendor's last row."""


class TableError(ValueError):
    """The table cannot be used; the message names the vendor and the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a vendor says about the ids of one pattern."""

    pattern: str
    pin: PinClass
    why: str
    """Half a sentence for users, without a full stop."""
    source: str
    """The public page that says so."""
    date: str
    """The day the page was read, YYYY-MM-DD."""
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one vendor in the order they are tried, and one expression that tries them in that order."""

    rows: tuple[Row, ...]
    expression: re.Pattern[str]

    def find(self, model: str) -> Row:
        """The first row whose pattern matches the whole id; the default row matches everything."""
        match = self.expression.fullmatch(model)
        return self.rows[match.lastindex - 1] if match is not None and match.lastindex else self.rows[-1]


@dataclass(frozen=True, slots=True)
class PinTable:
    """All vendors. `unknown` is the vendor of hosts the table has no rows of their own for."""

    vendors: Mapping[str, Rows]

    def rows(self, vendor: str) -> Rows:
        """The rows of a vendor, or those of `unknown` for a vendor without rows."""
        return self.vendors.get(vendor) or self.vendors[UNKNOWN_VENDOR]


UNKNOWN_VENDOR = "unknown"
"""The vendor of a host that nobody has written rows for."""


def parse(text: str) -> PinTable:
    """Read the table. Raises TableError that names the row at fault: a table is taken whole or not at all."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"pinning table: not TOML: {error}") from None
    vendors = {vendor: _vendor(vendor, rows) for vendor, rows in value.items()}
    if UNKNOWN_VENDOR not in vendors:
        raise TableError(
            f"pinning table: no rows for the vendor {UNKNOWN_VENDOR!r}, which every other host falls back to"
        )
    return PinTable(vendors)


def _vendor(vendor: str, value: Any) -> Rows:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise TableError(f"pinning table: {vendor!r} must be rows, written [[{vendor}]]")
    rows = tuple(_row(f"pinning table: {vendor} row {n}", row) for n, row in enumerate(value, 1))
    if not rows or rows[-1].pattern != DEFAULT or rows[-1].pin is not PinClass.UNKNOWN:
        raise TableError(
            f"pinning table: the last row of {vendor} must be the default: pattern {DEFAULT!r}, class 'unknown'"
        )
    found = Rows(rows, re.compile("|".join(f"({row.pattern})" for row in rows), re.DOTALL))
    for n, row in enumerate(rows, 1):
        for example in row.examples:
            if found.find(example) is not row:
                other = rows.index(found.find(example)) + 1
                raise TableError(f"pinning table: {vendor} row {n}: its example {example!r} is decided by row {other}")
    return found


def _row(where: str, value: dict[str, Any]) -> Row:
    missing = [name for name in MEMBERS if name not in value]
    foreign = [name for name in value if name not in MEMBERS]
    if missing or foreign:
        raise TableError(f"{where}: missing {missing}, not known {foreign}; a row has {', '.join(MEMBERS)}")
    for name in ("pattern", "class", "why", "source"):
        if not isinstance(value[name], str) or not value[name]:
            raise TableError(f"{where}: `{name}` must be a text that is not empty")
    where = f"{where} ({value['pattern']})"
    if value["class"] not in set(PinClass):
        raise TableError(f"{where}: class {value['class']!r} is none of {', '.join(PinClass)}")
    if not value["source"].startswith("https://"):
        raise TableError(f"{where}: `source` must be the https:// address of a public page")
    day = str(value["date"])
    if not DAY.fullmatch(day):
        raise TableError(f"{where}: `date` must be the day the page was read, for example 2026-11-23")
    examples = value["examples"]
    if not isinstance(examples, list) or not examples or not all(isinstance(e, str) and e for e in examples):
        raise TableError(f"{where}: `examples` must name at least one id that this row decides")
    _check_pattern(where, value["pattern"])
    return Row(
        value["pattern"],
        PinClass(value["class"]),
        value["why"],
        value["source"],
        day,
        tuple(examples),
    )


def _check_pattern(where: str, pattern: str) -> None:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise TableError(f"{where}: not a regular expression: {error}") from None
    if compiled.groups:
        raise TableError(f"{where}: has a capturing group; write (?:...) instead")
