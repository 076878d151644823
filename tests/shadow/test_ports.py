"""What the shadow's loop needs of others is met by what the tests and the process give it."""

from __future__ import annotations

from gateway.core.contract.pair import Side
from gateway.shadow.compare import Call
from gateway.shadow.ports import Called, Skip


def test_a_call_says_nothing_about_limits_unless_told() -> None:
    """An answer without hints leaves the provider's pace as it is; a skip carries its reason."""
    called = Called(Call(Side("rel_1"), b""))
    assert (called.wait_seconds, called.limited) == (0.0, False)
    assert Skip("stale").reason == "stale" and str(Skip("stale")) == "stale"
