"""What `release diff` says."""

from __future__ import annotations

import pytest

from gateway.control.desk import Desk
from gateway.control.differences import differences
from gateway.control.releases import create
from gateway.core.contract.records import LegAsk, ReleaseAsk
from gateway.core.contract.release import Mode, Params
from tests.control.conftest import MODELS

pytestmark = pytest.mark.anyio


async def test_part_by_part(desk: Desk) -> None:
    """Every part that differs is named with both sides, and text with its lines; the same release has no differences."""
    old = await create(
        desk,
        ReleaseAsk(
            model=MODELS["A"],
            prompt=LegAsk(content="Be kind.\nRefund at once."),
            params=Params(set={"temperature": 1, "top_p": 1}, drop=("seed",)),
        ),
    )
    new = await create(
        desk,
        ReleaseAsk(
            model=MODELS["B"],
            prompt=LegAsk(content="Be kind.\nAsk before a refund."),
            tools=LegAsk(Mode.VERIFY, '[{"name":"refund"}]'),
            params=Params(set={"temperature": 0, "top_p": 1}, rename={"max_tokens": "max_completion_tokens"}),
        ),
    )
    found = {change.part: change for change in (await differences(desk, old.id, new.id)).changes}
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
    assert (await differences(desk, old.id, old.id)).changes == ()
