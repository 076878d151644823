"""The pinning table: the shipped one is whole and honest, and a bad one is refused by naming its row."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import gateway.data
from gateway.core.contract.release import PinClass
from gateway.core.pinning.table import DEFAULT, PinTable, TableError, parse

TEXT = (Path(gateway.data.__file__).parent / "pinning.toml").read_text()
VENDORS = {
    "openai",
    "anthropic",
    "google",
    "vertex",
    "azure",
    "bedrock",
    "openrouter",
    "mistral",
    "deepseek",
    "self-hosted",
    "unknown",
}
ROW = {
    "pattern": "'a-.*'",
    "class": '"pinned"',
    "why": '"it says so"',
    "source": '"https://example.com/docs"',
    "date": "2026-11-23",
    "examples": '["a-1"]',
}
LAST = ROW | {"pattern": "'.*'", "class": '"unknown"', "examples": '["b"]'}


def toml(vendor: str, *rows: dict[str, str]) -> str:
    """Rows as TOML text."""
    return "".join(f"[[{vendor}]]\n" + "".join(f"{key} = {value}\n" for key, value in row.items()) for row in rows)


def read(*rows: dict[str, str]) -> PinTable:
    """A table with these rows for one vendor, and a default vendor."""
    return parse(toml("acme", *rows) + toml("unknown", LAST))


@pytest.fixture(scope="module")
def table() -> PinTable:
    """The table that ships."""
    return parse(TEXT)


def test_every_named_vendor_has_rows(table: PinTable) -> None:
    """The table speaks of every vendor that the product names, and of all others."""
    assert set(table.vendors) == VENDORS


def test_every_row_has_source_date_and_reason(table: PinTable) -> None:
    """A verdict can always be traced to a public page and the day it was read."""
    for vendor, rows in table.vendors.items():
        for row in rows.rows:
            assert row.source.startswith("https://"), (vendor, row)
            assert re.fullmatch(r"20\d\d-\d\d-\d\d", row.date), (vendor, row)
            assert row.why, (vendor, row)
            assert not row.why.endswith("."), (vendor, row)
            assert row.examples, (vendor, row)


def test_every_vendor_ends_in_unknown(table: PinTable) -> None:
    """An id that no row speaks of is unknown at every vendor, never pinned by default."""
    for rows in table.vendors.values():
        assert rows.rows[-1].pin is PinClass.UNKNOWN
        assert rows.find("\n\x00 nothing anybody has heard of ☃").pin is PinClass.UNKNOWN


def test_examples_are_decided_by_their_row(table: PinTable) -> None:
    """No row hides behind an earlier one: each decides the ids it gives as examples."""
    for rows in table.vendors.values():
        for row in rows.rows:
            assert all(rows.find(example) is row for example in row.examples)


def test_a_pattern_matches_the_whole_id(table: PinTable) -> None:
    """An id with something before or after a known one is another id."""
    rows = table.rows("openai")
    assert rows.find("gpt-4o-2024-08-06").pin is PinClass.PINNED
    for text in (
        "xgpt-4o-2024-08-06",
        "gpt-4o-2024-08-06-x",
        "gpt-4o-2024-08-06\n",
        " gpt-4o-2024-08-06",
        "gpt-4o-2024-08-06 ",
    ):
        assert rows.find(text).pin is PinClass.UNKNOWN, text


def test_unlisted_vendors_fall_back(table: PinTable) -> None:
    """A vendor without rows is judged by the rows for every other host."""
    assert table.rows("acme-cloud") is table.rows("unknown")


@pytest.mark.parametrize(
    "text", ["a" * 512, "claude-" + "a-" * 250, "ft:gpt" + "-2024-07-18" * 40, "us." * 170, "0" * 512, "-" * 512]
)
def test_no_id_buys_time(table: PinTable, text: str) -> None:
    """The longest id that is looked at is judged in well under a millisecond at every vendor, whatever it is made of."""
    for rows in table.vendors.values():
        best = 1.0
        for _ in range(3):
            start = time.perf_counter()
            rows.find(text)
            best = min(best, time.perf_counter() - start)
        assert best < 0.005


def test_a_small_table_is_read() -> None:
    """Rows keep their order, and dates become text."""
    rows = read(ROW, LAST).rows("acme").rows
    assert [row.pattern for row in rows] == ["a-.*", DEFAULT]
    assert rows[0].date == "2026-11-23"


BAD_ROWS = [
    ({"pattern": "'('"}, "row 1 .*not a regular expression"),
    ({"pattern": "'(a)-.*'"}, "row 1 .*capturing group"),
    ({"pattern": "''"}, "row 1: `pattern`"),
    ({"pattern": "7"}, "row 1: `pattern`"),
    ({"class": '"pined"'}, r"row 1 \(a-\.\*\): class 'pined'"),
    ({"class": "true"}, "row 1: `class`"),
    ({"why": '""'}, "row 1: `why`"),
    ({"source": '"http://example.com"'}, r"row 1 \(a-\.\*\): `source`"),
    ({"source": "[]"}, "row 1: `source`"),
    ({"date": '"23.11.2026"'}, r"row 1 \(a-\.\*\): `date`"),
    ({"date": '"2026-13-01"'}, r"row 1 \(a-\.\*\): `date`"),
    ({"date": "2026-11-23T10:00:00Z"}, r"row 1 \(a-\.\*\): `date`"),
    ({"examples": "[]"}, r"row 1 \(a-\.\*\): `examples`"),
    ({"examples": '"a-1"'}, r"row 1 \(a-\.\*\): `examples`"),
    ({"examples": "[1]"}, r"row 1 \(a-\.\*\): `examples`"),
    ({"examples": '["b-1"]'}, "acme row 1: its example 'b-1' is decided by row 2"),
    ({"colour": '"red"'}, r"row 1: missing \[\], not known \['colour'\]"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ROWS)
def test_a_bad_row_is_named(change: dict[str, str], message: str) -> None:
    """A table with a bad row is refused as a whole, and the message says which row and what about it."""
    with pytest.raises(TableError, match=message):
        read(ROW | change, LAST)


@pytest.mark.parametrize("member", list(ROW))
def test_a_row_without_a_member_is_named(member: str) -> None:
    """Every member of a row is required, source and date among them."""
    row = {key: value for key, value in ROW.items() if key != member}
    with pytest.raises(TableError, match=rf"acme row 1: missing \['{member}'\]"):
        read(row, LAST)


def test_a_hidden_row_is_refused() -> None:
    """A row that an earlier one hides could never decide anything, so the table with it is refused."""
    with pytest.raises(TableError, match="acme row 2: its example 'a-1' is decided by row 1"):
        read(ROW, ROW | {"class": '"floating"'}, LAST)


@pytest.mark.parametrize("last", [ROW, LAST | {"class": '"pinned"'}])
def test_the_last_row_is_the_default(last: dict[str, str]) -> None:
    """A vendor whose last row does not say unknown of everything is refused."""
    with pytest.raises(TableError, match="the last row of acme must be the default"):
        read(last)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not toml", "not TOML"),
        ("acme = 3", "'acme' must be rows"),
        ("acme = [3]", "'acme' must be rows"),
        ("[acme]\npattern = 'a'", "'acme' must be rows"),
        (toml("acme", ROW, LAST), "no rows for the vendor 'unknown'"),
        ("", "no rows for the vendor 'unknown'"),
    ],
)
def test_a_bad_table_is_refused(text: str, message: str) -> None:
    """What is no table of rows per vendor is refused with what it should have been."""
    with pytest.raises(TableError, match=message):
        parse(text)


def test_an_empty_vendor_is_refused() -> None:
    """A vendor without a single row has no default either."""
    with pytest.raises(TableError, match="the last row of acme must be the default"):
        parse("acme = []")
