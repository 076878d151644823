"""The tables that ship with the gateway (`gateway/data`), as text: whoever needs one parses it."""

from __future__ import annotations

import re
from importlib import resources

from gateway.core.pinning import lifecycle
from gateway.core.pinning import prices as price_table
from gateway.core.pinning.lifecycle import Calendar
from gateway.core.pinning.prices import PriceTable
from gateway.core.pinning.table import PinTable, parse

_SUITE = re.compile(r"^[a-z][a-z0-9_]*$")
_NAME = re.compile(r"^[a-z][a-z0-9_]*\.(toml|json|md)$")


def text(name: str) -> str:
    """A table by file name, such as `pinning.toml`. Raises FileNotFoundError."""
    if not _NAME.match(name):
        raise FileNotFoundError(f"no table named {name[:40]!r}")
    return resources.files("gateway.data").joinpath(name).read_text(encoding="utf-8")


def suite(name: str) -> bytes:
    """A built-in eval suite by its name, such as `safety`. Raises FileNotFoundError."""
    if not _SUITE.match(name):
        raise FileNotFoundError(f"no suite named {name[:40]!r}")
    return resources.files("gateway.data").joinpath("suites", f"{name}.jsonl").read_bytes()


def pinning() -> PinTable:
    """Which model ids float, by vendor."""
    return parse(text("pinning.toml"))


def prices() -> PriceTable:
    """List prices, by vendor."""
    return price_table.parse(text("prices.toml"))


def calendar() -> Calendar:
    """When snapshots retire, by vendor."""
    return lifecycle.parse(text("lifecycle.toml"))
