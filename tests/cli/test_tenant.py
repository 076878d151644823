"""The receipt of an erasure, as it is shown. The verb against a real gateway is in test_shadow.py."""

from __future__ import annotations

import msgspec
import pytest

from gateway.cli.tenant import receipt
from gateway.core.contract.shadowing import Erased


def test_a_receipt_says_what_went_and_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts by kind, who and why, and on standard error what may still name the tenant; nothing found is said so."""
    record = Erased(
        tenant="acme",
        run="",
        at_ms=1_700_000_000_000,
        actor="alice",
        reason="left",
        done=True,
        cursor="",
        removed={"pair": 2, "run": 1},
        kept=("the log",),
        receipt="5-0",
    )
    receipt(record)
    told = capsys.readouterr()
    assert "pair 2, run 1" in told.out and "alice" in told.out and "5-0" in told.out
    assert "Still there: the log." in told.err
    receipt(msgspec.structs.replace(record, removed={}, run="r"))
    told = capsys.readouterr()
    assert "nothing was stored" in told.out and "run r of tenant acme" in told.out
