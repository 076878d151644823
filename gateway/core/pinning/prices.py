"""What tokens cost: list prices read from the text of `gateway/data/prices.toml`, prices of the operator before them.

Rule of the file: an unknown price is None, never 0, and all sums are whole numbers. A price is kept as millionths of a US
dollar per million tokens, so a token times a price is a count of 10^-12 USD, and only a whole exchange is rounded.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.core.contract.exchange import Usage

MICRO = 1_000_000
"""Millionths in one US dollar."""
HALF = MICRO // 2
_RATES = frozenset({"input", "output", "cached", "written", "written_hour"})
_MEMBERS = _RATES | {"pattern", "over", "long", "note", "source", "date", "checked", "examples"}
_NEEDED = ("pattern", "input", "output", "source", "date", "examples")


class PriceError(ValueError):
    """The table cannot be used; the message names the vendor and the row."""


@dataclass(frozen=True, slots=True)
class Price:
    """Prices of one model in millionths of a US dollar per million tokens.

    A request with more than `over` input tokens pays `long` for all its tokens: so OpenAI, Anthropic and Google charge it.
    """

    input: int
    output: int
    cached: int
    written: int
    written_hour: int
    over: int = 0
    long: Price | None = None


def price(rates: Mapping[str, float]) -> Price:
    """A price from US dollars per million tokens; what is missing of the cache costs what the input costs."""
    usd = {name: round(value * MICRO) for name, value in rates.items()}
    written = usd.get("written", usd["input"])
    return Price(
        input=usd["input"],
        output=usd["output"],
        cached=usd.get("cached", usd["input"]),
        written=written,
        written_hour=usd.get("written_hour", written),
    )


def cost(usage: Usage, at: Price) -> int:
    """What an exchange costs in millionths of a US dollar, rounded half up.

    The parts of the input are priced apart and the rest of it as input; reasoning is output, as every vendor bills it
    (developers.openai.com/api/docs/pricing, platform.claude.com/docs/en/about-claude/pricing,
    ai.google.dev/gemini-api/docs/pricing).
    """
    if at.long is not None and usage.input > at.over:
        at = at.long
    cached, written = usage.cached, usage.written
    plain = usage.input - cached - written
    total = usage.output * at.output + cached * at.cached
    if plain > 0:
        total += plain * at.input
    if written:
        hour = min(usage.written_hour, written)
        total += (written - hour) * at.written + hour * at.written_hour
    return (total + HALF) // MICRO


@dataclass(frozen=True, slots=True)
class Prices:
    """Rows in the order they are tried: a whole id against each pattern."""

    rows: tuple[tuple[re.Pattern[str], Price], ...]

    def find(self, model: str) -> Price | None:
        """The price of a model id; None when no row knows it."""
        return next((found for pattern, found in self.rows if pattern.fullmatch(model)), None)


NO_PRICES = Prices(())


@dataclass(frozen=True, slots=True)
class PriceTable:
    """List prices of all vendors."""

    vendors: Mapping[str, Prices]

    def find(self, vendor: str, model: str) -> Price | None:
        """The list price of a vendor's model; None when unknown."""
        return self.vendors.get(vendor, NO_PRICES).find(model)


def named(prices: Iterable[tuple[str, Price]]) -> Prices:
    """Prices of an operator: model names, in which `*` stands for anything; a name without `*` goes before one with."""
    ordered = sorted(prices, key=lambda each: "*" in each[0])
    return Prices(tuple((glob(name), found) for name, found in ordered))


def glob(name: str) -> re.Pattern[str]:
    """The pattern of a name in which `*` stands for anything."""
    return re.compile(".*".join(map(re.escape, name.split("*"))), re.DOTALL)


def parse(text: str) -> PriceTable:
    """Read the table. Raises PriceError that names the row at fault: a table is taken whole or not at all."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PriceError(f"price table: not TOML: {error}") from None
    return PriceTable({vendor: _vendor(vendor, rows) for vendor, rows in value.items()})


def _vendor(vendor: str, value: Any) -> Prices:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise PriceError(f"price table: {vendor!r} must be rows, written [[{vendor}]]")
    read = [_row(f"price table: {vendor} row {n}", row) for n, row in enumerate(value, 1)]
    found = Prices(tuple(read))
    for n, (row, (_, own)) in enumerate(zip(value, read, strict=True), 1):
        for example in row["examples"]:
            if found.find(example) is not own:
                raise PriceError(f"price table: {vendor} row {n}: its example {example!r} is not its own")
    return found


def _row(where: str, row: Mapping[str, Any]) -> tuple[re.Pattern[str], Price]:
    missing = [name for name in _NEEDED if name not in row]
    if missing or row.keys() - _MEMBERS:
        raise PriceError(f"{where}: needs {', '.join(_NEEDED)} and may have {', '.join(sorted(_MEMBERS))}")
    if not row["examples"]:
        raise PriceError(f"{where}: needs an example")
    if ("over" in row) != ("long" in row):
        raise PriceError(f"{where}: `over` and `long` go together")
    base = _rates(where, row)
    made = price(base)
    if "long" in row:
        above = price(_rates(where, row["long"]))
        made = Price(made.input, made.output, made.cached, made.written, made.written_hour, int(row["over"]), above)
    try:
        return re.compile(row["pattern"], re.DOTALL), made
    except re.error:
        raise PriceError(f"{where}: its pattern is no regular expression") from None


def _rates(where: str, row: Mapping[str, Any]) -> dict[str, float]:
    rates = {name: row[name] for name in _RATES & row.keys()}
    if not {"input", "output"} <= rates.keys():
        raise PriceError(f"{where}: needs input and output")
    for name, value in rates.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
            raise PriceError(f"{where}: {name} must be US dollars per million tokens, zero or more")
    return rates
