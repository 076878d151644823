"""Evidence reads back as it was stored."""

from __future__ import annotations

import msgspec

from gateway.core.contract.evidence import Evidence, Origin, Score, SuiteEvidence
from gateway.core.contract.suite import SuiteKind


def test_evidence_reads_back() -> None:
    """Scores of every repeat of both releases are kept in order."""
    scores = (Score("i1", (1.0, 0.0), (1.0, 1.0)), Score("i2", (), (1.0,), group="g"))
    suite = SuiteEvidence("builtin/task@1", SuiteKind.TASK, "d" * 64, 2, scores, unscored=1)
    evidence = Evidence(
        "agent", "rel_2", "rel_1", Origin.GATEWAY, "trivet 0", "alice", 1, 2, (suite,), {"rel_2": ("m",)}
    )
    assert msgspec.json.decode(msgspec.json.encode(evidence), type=Evidence) == evidence
