"""Answers reach whoever waits, and nobody is disturbed when nobody does."""

from __future__ import annotations

import asyncio

import pytest

from gateway.store.sinks import FutureSink, LineError

pytestmark = pytest.mark.anyio


async def test_first_news_counts() -> None:
    """A value or an error arrives once; what comes later, or after the asker left, is dropped."""
    loop = asyncio.get_running_loop()
    answered, failed, left = FutureSink(loop), FutureSink(loop), FutureSink(loop)
    answered.done(1)
    answered.fail(LineError("late"))
    assert await answered.future == 1
    failed.fail(LineError("timeout"))
    failed.done(1)
    with pytest.raises(LineError) as error:
        await failed.future
    assert (error.value.kind, error.value.sent) == ("timeout", True)
    left.future.cancel()
    left.done(1)
    left.fail(LineError("closed"))
