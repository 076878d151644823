"""Tables that ship with the gateway."""

from __future__ import annotations

import pytest

from gateway.core.contract.release import PinClass
from gateway.core.pinning.classify import classify
from gateway.settings import tables


def test_the_pinning_table_is_there() -> None:
    """The table in the package is read and judges ids."""
    assert classify(tables.pinning(), "openai", "gpt-4o-2024-08-06").pin is PinClass.PINNED


@pytest.mark.parametrize("name", ["nope.toml", "../settings/load.py", "__init__.py", "/etc/passwd", "a/b.toml"])
def test_only_tables_are_read(name: str) -> None:
    """A name that is no table of ours reads nothing."""
    with pytest.raises(FileNotFoundError):
        tables.text(name)


@pytest.mark.parametrize("name", ["nope", "../pinning", "safety.jsonl", ""])
def test_only_suites_are_read(name: str) -> None:
    """A name that is no suite of ours reads nothing."""
    with pytest.raises(FileNotFoundError):
        tables.suite(name)


def test_the_calendar_is_read() -> None:
    """When snapshots retire ships with the gateway and is one that it can read."""
    assert tables.calendar().find("openai", "gpt-4o-2024-08-06") is not None
