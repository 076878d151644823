"""What `release diff` says."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.differences import differences
from gateway.core.contract.release import Mode, Params
from tests.control.conftest import with_legs

pytestmark = pytest.mark.anyio


async def test_part_by_part(desk: Desk) -> None:
    """Every part that differs is named with both sides, and text with its lines; the same release has no differences."""
    old = await with_legs(
        desk,
        "A",
        Params(set={"temperature": 1, "top_p": 1}, drop=("seed",)),
        prompt=(Mode.SERVE, "Be kind.\nRefund at once."),
    )
    new = await with_legs(
        desk,
        "B",
        Params(set={"temperature": 0, "top_p": 1}, rename={"max_tokens": "max_completion_tokens"}),
        prompt=(Mode.SERVE, "Be kind.\nAsk before a refund."),
        tools=(Mode.VERIFY, '[{"name":"refund"}]'),
    )
    found = {change.part: change for change in (await differences(desk, old, new)).changes}
    assert list(found) == [
        "model",
        "prompt",
        "tools",
        "params.set.temperature",
        "params.drop.seed",
        "params.rename.max_tokens",
    ]
    assert (found["params.set.temperature"].before, found["params.set.temperature"].after) == (1, 0)
    assert "-Refund at once." in found["prompt"].lines
    assert "+Ask before a refund." in found["prompt"].lines
    assert any('"refund"' in line for line in found["tools"].lines)
    assert (await differences(desk, old, old)).changes == ()
