"""Key names: nothing a client can name breaks out of its hash tag."""

from __future__ import annotations

import inspect
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.contract.run import run_digest
from gateway.store.keys import Keys

NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAME, NAME)
def test_one_tag_per_key(one: str, two: str) -> None:
    """Every key has at most one hash tag, whatever the names hold, and two pairs of names never share a key."""
    keys = Keys("p")
    for key in (
        keys.alias(one),
        keys.history(one),
        keys.steps(one),
        keys.events(one),
        keys.link(one, two),
        keys.run(one, two),
    ):
        assert re.fullmatch(r"p:[a-z-]+:\{[^{}]+\}", key), key
    if one != two:
        assert keys.link(one, two) != keys.link(two, one)
        assert keys.run(one, two) != keys.run(two, one)
        assert keys.alias(one) != keys.alias(two)


def test_run_keys_from_run_itself() -> None:
    """RUN leads to the same keys as tenant and run id do."""
    keys = Keys()
    assert keys.run_of(run_digest("t", "r")) == keys.run("t", "r")
    assert keys.journal_of(run_digest("t", "r")) == keys.journal("t", "r")


def test_prefix_is_everywhere() -> None:
    """A prefix of one's own keeps two gateways on one server apart."""
    keys = Keys("shop")
    for name, method in inspect.getmembers(keys, inspect.ismethod):
        if not name.startswith("_"):
            parameters = list(inspect.signature(method).parameters)
            assert method(*("x" for _ in parameters)).startswith("shop:"), name
