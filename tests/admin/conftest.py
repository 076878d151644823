"""Async tests run on asyncio, as the product does."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """asyncio."""
    return "asyncio"
