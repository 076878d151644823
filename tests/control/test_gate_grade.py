"""A score that takes too long ends, and the next one is fine."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.control.gate_grade import Grader, TooSlow
from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.core.gate.checks import reply_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio, as the product does."""
    return "asyncio"


def item(**check: Any) -> Item:
    """An item with this check."""
    return Item("a", (Said("user", "?"),), Check(**check), Answer("yes"), Answer("no"))


async def test_a_slow_check_ends_and_others_are_scored() -> None:
    """It is over within its time, whatever pattern, schema and text; scores before and after it are those of `checks.score`."""
    grader = Grader(0.4)
    try:
        assert await grader.score(item(contains=("a",)), reply_of(Answer("a"))) == 1.0
        assert grader._process is None
        assert await grader.score(item(regex=r"\d \u2603"), reply_of(Answer("7 \u2603\n"))) == 1.0
        begun = time.monotonic()
        with pytest.raises(TooSlow):
            await grader.score(item(regex=".*a.*b.*c"), reply_of(Answer("ab" * 4000)))
        assert time.monotonic() - begun < 5
        assert await grader.score(item(json={"type": "object"}), reply_of(Answer("[]"))) == 0.0
        asked = item(regex="a", judge="Polite?")
        assert await grader.score(asked, reply_of(Answer("a"))) is None
        assert await grader.score(asked, reply_of(Answer("a")), judged=True) == 1.0
    finally:
        await grader.close()
    await grader.close()
