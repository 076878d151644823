"""The parts a request passes through, and the one port among them."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.live.worker import Learner


def test_a_learner_is_a_port() -> None:
    """The base notes nothing by itself: a worker without a real one has none."""
    nothing: Any = None
    with pytest.raises(NotImplementedError):
        Learner().saw(nothing, "openai", "a", "b", None)
