"""What the gate is asked with."""

from __future__ import annotations

import msgspec
import pytest

from gateway.admin.gate_asks import GateBegin


def test_a_budget_is_not_below_none() -> None:
    """-1 stands for what is configured; a smaller one, and a suite that there is not, are refused."""
    ok = msgspec.convert({"alias": "a", "release": "r", "suite": "task", "budget_micro": -1}, GateBegin)
    assert ok.budget_micro == -1
    for wrong in ({"budget_micro": -2}, {"suite": "speed"}, {"alias": ""}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"alias": "a", "release": "r", **wrong}, GateBegin)
