"""What is told about a shadow."""

from __future__ import annotations

import msgspec

from gateway.core.contract.shadowing import ShadowReport


def test_a_report_leaves_out_what_it_has_not() -> None:
    """An empty report is short JSON and reads back equal."""
    found = ShadowReport("a", "rel_2", (), 0, 0, 0, 0)
    stored = msgspec.json.encode(found)
    assert b"turns" not in stored and msgspec.json.decode(stored, type=ShadowReport) == found
