"""What the operations of a rollout are asked with."""

from __future__ import annotations

import msgspec
import pytest

from gateway.admin.rollout_asks import RolloutApprove, RolloutStart, RolloutWord


def test_a_reason_where_it_is_always_needed() -> None:
    """Freezing, aborting and starting say why; an approval need not."""
    assert RolloutApprove("agent").reason == ""
    with pytest.raises(msgspec.ValidationError, match="reason"):
        msgspec.convert({"alias": "agent"}, RolloutWord)
    with pytest.raises(msgspec.ValidationError, match="manifest"):
        msgspec.convert({"alias": "agent", "reason": "x"}, RolloutStart)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.convert({"alias": "agent", "reason": "x", "force": True}, RolloutWord)
