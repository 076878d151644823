"""The retirement calendar: what ships, what is refused, and what follows from a date."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import data
from gateway.core.contract.sentinel import Retirement
from gateway.core.pinning.lifecycle import (
    HORIZON,
    WARNINGS,
    Calendar,
    CalendarError,
    callable_for,
    day,
    days_left,
    leaves_nothing,
    parse,
    retirement,
    successor,
    vendor_for,
    warning,
)
from gateway.core.pinning.table import parse as pins

FOLDER = Path(data.__file__).parent
DAY_MS = 86_400_000
NOW = day("2026-11-23") * DAY_MS + 5
ROW = {
    "model": '"a-1"',
    "retires": "2026-12-11",
    "proof": '"page"',
    "source": '"https://example.com"',
    "date": "2026-11-23",
}


def toml(*rows: dict[str, str]) -> str:
    """Rows of the vendor `acme`."""
    return "\n".join("[[acme]]\n" + "\n".join(f"{k} = {v}" for k, v in row.items()) for row in rows)


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    """The calendar that ships."""
    return parse((FOLDER / "lifecycle.toml").read_text())


def test_the_calendar_that_ships_is_read(calendar: Calendar) -> None:
    """It knows the vendors that people pin, by ids, with dates and replacements; an id of Google's is found with its prefix too."""
    assert {"openai", "anthropic", "google", "mistral"} <= calendar.vendors.keys()
    row = calendar.find("anthropic", "claude-sonnet-4-5-20250929")
    assert row is not None
    assert (row.retires, row.replacement, row.proof) == ("2026-11-30", "claude-sonnet-5-5", "page")
    assert calendar.find("google", "models/gemini-2.5-pro") == calendar.find("google", "gemini-2.5-pro")
    assert calendar.find("openai", "gpt-next") is None
    assert calendar.find("acme", "gpt-5") is None


def test_its_vendors_are_those_of_the_pinning_table(calendar: Calendar) -> None:
    """A vendor's name in the calendar is the one by which a provider's vendor is known, or the name providers of it usually get."""
    known = set(pins((FOLDER / "pinning.toml").read_text()).vendors)
    assert calendar.vendors.keys() - known <= {"xai"}


@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2099, 12, 31)))
def test_days_are_counted_as_the_calendar_has_them(date: datetime.date) -> None:
    """The number of a day is what the standard library says."""
    assert day(date.isoformat()) == (date - datetime.date(1970, 1, 1)).days


@pytest.mark.parametrize("text", ["", "2026-13-01", "2026-02-30", "2027-02-29", "26-01-01", "2026-01-01T00:00:00Z"])
def test_what_is_no_day_is_refused(text: str) -> None:
    """A text that names no day of the calendar is an error and never a date nearby."""
    with pytest.raises(ValueError, match="day"):
        day(text)


def test_days_left_and_their_warnings() -> None:
    """Whole days to the day itself, which has none left; a warning is the nearest threshold that has come."""
    assert days_left("2026-12-11", NOW) == 18
    assert days_left("2026-11-23", NOW) == 0
    assert days_left("2026-11-22", NOW) == -1
    assert days_left("", NOW) is None
    assert [warning(left) for left in (91, 90, 31, 30, 8, 7, 0, -5, None)] == [None, 90, 90, 30, 30, 7, 7, 7, None]
    assert sorted(WARNINGS, reverse=True) == [90, 30, 7]


def test_a_release_counts_while_its_model_outlives_the_horizon() -> None:
    """A model that retires within the horizon is none to roll back to; one of which nobody says anything is."""
    assert callable_for(HORIZON + 1)
    assert callable_for(None)
    assert not callable_for(HORIZON)
    assert leaves_nothing([])
    assert leaves_nothing([3, -10])
    assert not leaves_nothing([3, None])
    assert not leaves_nothing([3, HORIZON + 1])


def test_the_provider_beats_the_calendar(calendar: Calendar) -> None:
    """Its dates count, a withdrawn one too; the replacement stays the calendar's where it names none."""
    row = calendar.find("openai", "gpt-5-2025-08-07")
    name = "openai/gpt-5-2025-08-07"
    said = Retirement(name, "2027-03-01", "", "", "provider", 7)
    found = retirement(name, row, said)
    assert (found.retires, found.replacement, found.source, found.read_ms) == (
        "2027-03-01",
        "gpt-6.1-sol",
        "provider",
        7,
    )
    withdrawn = retirement(name, row, Retirement(name, "", "", "", "provider", 7))
    assert withdrawn.retires == ""
    alone = retirement(name, row, None)
    assert (alone.retires, alone.source[:8], alone.read_ms) == ("2026-12-11", "https://", day("2026-11-23") * DAY_MS)
    assert retirement(name, None, None).source == ""


def test_whose_dates_apply() -> None:
    """As for pinning, by host and name; a host nobody wrote rows for by its name; a machine of one's own only where a vendor is named."""
    assert vendor_for("main", "https://api.openai.com/v1") == "openai"
    assert vendor_for("xai", "https://api.x.ai") == "xai"
    assert vendor_for("openai", "https://openrouter.ai/api") == "openrouter"
    assert vendor_for("openai", "http://127.0.0.1:9000") == ""
    assert vendor_for("mine", "http://127.0.0.1:9000", "openai") == "openai"


def test_the_successor_is_one_that_stays() -> None:
    """Replacements that retire within the horizon are passed over for theirs; rings and unknown ids end the search."""
    row = {key: value for key, value in ROW.items() if key != "retires"}
    chain = parse(
        toml(
            row | {"model": '"one"', "replacement": '"two"'},
            row | {"model": '"two"', "replacement": '"three"', "retires": "2026-12-01"},
            row | {"model": '"three"', "replacement": '"four"', "retires": "2027-12-01"},
            row | {"model": '"ring"', "replacement": '"again"', "retires": "2026-01-01"},
            row | {"model": '"again"', "replacement": '"ring"', "retires": "2026-01-01"},
            row | {"model": '"last"'},
        )
    )
    assert successor(chain, "acme", "one", NOW) == "three"
    assert successor(chain, "acme", "three", NOW) == "four"
    assert successor(chain, "acme", "ring", NOW) == "again"
    assert successor(chain, "acme", "last", NOW) == successor(chain, "acme", "none", NOW) == ""


BAD_ROWS = [
    ({"model": '""'}, r"row 1: `model`"),
    ({"replacement": "7"}, r"row 1: `replacement`"),
    ({"replacement": '"a-1"'}, r"row 1 \(a-1\): it cannot replace itself"),
    ({"proof": '"rumour"'}, r"row 1 \(a-1\): proof 'rumour'"),
    ({"source": '"http://example.com"'}, r"row 1 \(a-1\): `source`"),
    ({"date": '"23.11.2026"'}, r"row 1 \(a-1\): `date`"),
    ({"retires": '"2026-02-30"'}, r"row 1 \(a-1\): `retires`: 2026-02-30 is no day"),
    ({"retires": "2026-11-23T10:00:00Z"}, r"row 1 \(a-1\): `retires`"),
    ({"deprecated": "2027-01-01"}, r"row 1 \(a-1\): it retires before it is deprecated"),
    ({"earliest": "2026-12-01"}, r"row 1 \(a-1\): `retires` and `earliest` exclude each other"),
    ({"colour": '"red"'}, r"row 1: missing \[\], not known \['colour'\]"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ROWS)
def test_a_bad_row_is_named(change: dict[str, str], message: str) -> None:
    """A calendar with a bad row is refused as a whole, and the message says which row and what about it."""
    with pytest.raises(CalendarError, match=message):
        parse(toml(ROW | change))


@pytest.mark.parametrize("member", ["model", "proof", "source", "date"])
def test_a_row_without_a_member_is_named(member: str) -> None:
    """A row says what it is about, how it is known, where from and when it was read."""
    with pytest.raises(CalendarError, match=rf"acme row 1: missing \['{member}'\]"):
        parse(toml({key: value for key, value in ROW.items() if key != member}))


def test_a_second_row_is_refused() -> None:
    """An id has one row: two would be two dates."""
    with pytest.raises(CalendarError, match=r"acme row 2 \(a-1\): has a row already"):
        parse(toml(ROW, ROW))


@pytest.mark.parametrize(
    ("text", "message"),
    [("not toml", "not TOML"), ("acme = 3", "'acme' must be rows"), ("[acme]\na = 1", "'acme' must be rows")],
)
def test_a_bad_calendar_is_refused(text: str, message: str) -> None:
    """What is no table of rows per vendor is refused with what it should have been."""
    with pytest.raises(CalendarError, match=message):
        parse(text)
