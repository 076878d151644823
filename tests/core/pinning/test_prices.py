"""Prices: the shipped table is whole and honest, a bad one is refused by naming its row, and costs are exact."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.data
from gateway.core.contract.exchange import Usage
from gateway.core.pinning.prices import Price, PriceError, PriceTable, cost, named, parse, price

TEXT = (Path(gateway.data.__file__).parent / "prices.toml").read_text()
ROW = """[[acme]]
pattern = 'a-\\d'
input = 1.5
output = 2
source = "https://example.com/prices"
date = 2026-11-23
examples = ["a-1"]
"""


@pytest.fixture(scope="module")
def table() -> PriceTable:
    """The table that ships."""
    return parse(TEXT)


def test_the_vendors_with_list_prices_are_there(table: PriceTable) -> None:
    """Every vendor that sells tokens by a public list has rows."""
    assert set(table.vendors) == {"openai", "anthropic", "google", "mistral", "deepseek"}


@pytest.mark.parametrize(
    ("vendor", "model", "usage", "micro"),
    [
        ("openai", "gpt-4o-2024-08-06", Usage(1_000_000, 1_000_000), 12_500_000),
        ("openai", "gpt-4o-2024-08-06", Usage(1000, 10, cached=400), 1500 + 500 + 100),
        ("openai", "gpt-5.4-2026-03-05", Usage(272_000, 0), 680_000),
        ("openai", "gpt-5.4-2026-03-05", Usage(272_001, 100), 1_360_005 + 2250),
        ("openai", "o1-pro", Usage(10, 1, cached=10), 1500 + 600),
        ("anthropic", "claude-opus-4-6", Usage(100, 10, cached=50, written=30, written_hour=10), 100 + 25 + 125 + 100 + 250),
        ("google", "models/gemini-2.5-pro", Usage(200_001, 0), 500_003),
        ("deepseek", "deepseek-v4-pro", Usage(100, 0, cached=100), 4),
    ],
)  # fmt: skip
def test_costs_are_those_of_the_list(table: PriceTable, vendor: str, model: str, usage: Usage, micro: int) -> None:
    """Caches, long contexts and cache writes cost what the vendor's list says."""
    found = table.find(vendor, model)
    assert found is not None
    assert cost(usage, found) == micro


@pytest.mark.parametrize(
    ("vendor", "model"), [("openai", "gpt-4o-2024-05-13"), ("openai", "my-own"), ("azure", "gpt-4o"), ("", "")]
)
def test_an_unknown_price_is_unknown(table: PriceTable, vendor: str, model: str) -> None:
    """A model or vendor without a row has no price, and not the price 0 either."""
    assert table.find(vendor, model) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[acme", "not TOML"),
        ("acme = 1", "must be rows"),
        (ROW.replace("output = 2\n", ""), "acme row 1"),
        (ROW + "colour = 1\n", "acme row 1"),
        (ROW.replace("1.5", "-1"), "input must be"),
        (ROW.replace("1.5", "true"), "input must be"),
        (ROW.replace('["a-1"]', "[]"), "example"),
        (ROW.replace('["a-1"]', '["b"]'), "example 'b'"),
        (ROW.replace("a-\\d", "("), "pattern"),
        (ROW + "over = 5\n", "go together"),
        (ROW + "over = 5\nlong = {input = 1}\n", "needs input and output"),
    ],
)
def test_a_bad_row_is_named(text: str, says: str) -> None:
    """A table with a row nobody can use is refused as a whole, and the message finds it."""
    with pytest.raises(PriceError, match=says):
        parse(text)


def test_an_operators_prices_go_by_name_then_by_pattern() -> None:
    """A name goes before a pattern, wherever it stands; a contract price may be 0."""
    own, rest = price({"input": 1, "output": 1}), price({"input": 0, "output": 0})
    prices = named([("*", rest), ("llama.3", own)])
    assert prices.find("llama.3") is own
    assert prices.find("llamax3") is rest
    assert cost(Usage(5000, 5000), rest) == 0


COUNT = st.integers(0, 10**7)
RATE = st.integers(0, 10**9)


@given(COUNT, COUNT, COUNT, COUNT, COUNT, RATE, RATE, RATE, RATE, RATE)
def test_a_cost_is_exact_to_half_a_millionth(
    plain: int, cached: int, written: int, hour: int, output: int, a: int, b: int, c: int, d: int, e: int
) -> None:
    """Whatever the counts and prices, the sum is the true one rounded once."""
    usage = Usage(plain + cached + written + hour, output, cached, written=written + hour, written_hour=hour)
    true = Fraction(plain * a + output * b + cached * c + written * d + hour * e, 10**6)
    assert abs(cost(usage, Price(a, b, c, d, e)) - true) <= Fraction(1, 2)


@given(COUNT, COUNT, COUNT)
def test_odd_counts_never_make_a_cost_negative(total: int, cached: int, written: int) -> None:
    """A provider that counts more parts than the whole is billed for the parts."""
    assert cost(Usage(total, 0, cached, written=written), price({"input": 3, "output": 1})) >= 0
