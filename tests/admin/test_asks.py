"""Requests of the admin port refuse what they do not know."""

from __future__ import annotations

import msgspec
import pytest

from gateway.admin import asks


def test_unknown_members_are_refused() -> None:
    """A misspelt member is an error, never ignored: `stop_run` must not pass as a rollback without stopping."""
    with pytest.raises(msgspec.ValidationError, match="stop_run"):
        msgspec.convert({"alias": "a", "reason": "r", "stop_run": True}, asks.Rollback)


def test_limits_are_bounded() -> None:
    """No list is asked for without a bound."""
    for kind in (asks.ReleaseList, asks.RunList):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"limit": 10_001}, kind)
