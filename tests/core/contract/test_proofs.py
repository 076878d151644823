"""Records of evidence write every member, so that a reader never guesses a default."""

from __future__ import annotations

import msgspec

from gateway.core.contract.evidence import Origin
from gateway.core.contract.proofs import EvidenceRow, SuiteRow
from gateway.core.contract.suite import SuiteKind


def test_every_member_is_written() -> None:
    """Empty notes and zero counts too."""
    row = EvidenceRow("d", "rel_2", "rel_1", Origin.IMPORTED, "jsonl", "alice", 1, (), 0, "")
    assert set(msgspec.to_builtins(row)) == set(EvidenceRow.__struct_fields__)
    suite = SuiteRow("s@1", SuiteKind.TASK, 0, 1, 0, 0.0, 0.0)
    assert msgspec.to_builtins(suite)["unscored"] == 0
