"""What every operation works with."""

from __future__ import annotations

import pytest

from gateway.control.desk import WARM, Desk, checked_reason
from gateway.core.contract.alias import SideEffects, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import PinClass, Snapshot
from tests.control.conftest import Place

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("text", "code"),
    [("", "reason_missing"), (" \n", "reason_missing"), ("x" * 1001, "reason_bad"), ("a\x00b", "reason_bad")],
)
def test_bad_reasons(text: str, code: str) -> None:
    """No operation goes on without a reason a person can read."""
    with pytest.raises(Fault, match=code):
        checked_reason(text)


def test_reason_is_one_line() -> None:
    """Line breaks do not get into the history."""
    assert checked_reason(" two\nlines ") == "two lines"


async def test_entries_have_ids_of_their_own(desk: Desk) -> None:
    """Each entry carries who asked, when, and an id by which a repeated write is recognised."""
    one, two = desk.entry("promote", "why"), desk.entry("promote", "why")
    assert one.operation != two.operation
    assert (one.actor, one.at_ms) == ("alice", desk.now_ms)


async def test_configuration_decides_stakes(desk: Desk, placed: Place) -> None:
    """While the configuration declares an alias its stakes count, else what the store has."""
    state = await placed("grave", {"*": "A"})
    assert desk.stakes(state) is Stakes.HIGH
    assert desk.side_effects(state) is SideEffects.NONE
    assert desk.warm("grave") == desk.warm("nobody") == WARM


async def test_verdict_by_vendor(desk: Desk) -> None:
    """The class of a model comes from the rows of its provider's vendor."""
    assert desk.verdict(Snapshot("openai", "gpt-4o")).pin is PinClass.FLOATING
    assert desk.verdict(Snapshot("openai", "gpt-4o-2024-08-06")).pin is PinClass.PINNED
