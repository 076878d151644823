"""What is told about gate evidence: records of the API and of `--json`. Field names are a public interface."""

from __future__ import annotations

from gateway.core.contract.evidence import Evidence, GateReport, Origin
from gateway.core.contract.records import Record
from gateway.core.contract.suite import SuiteKind


class SuiteRow(Record, frozen=True):
    """What a record has of one suite."""

    suite: str
    kind: SuiteKind
    items: int
    repeats: int
    unscored: int
    candidate: float
    """Mean score, 0 to 1."""
    incumbent: float


class EvidenceRow(Record, frozen=True):
    """A line of `evidence list`."""

    digest: str
    candidate: str
    incumbent: str
    origin: Origin
    engine: str
    actor: str
    ended_ms: int
    suites: tuple[SuiteRow, ...]
    fallbacks: int
    note: str


class EvidenceStored(Record, frozen=True):
    """Answer of `evidence import`."""

    digest: str
    new: bool
    """False when the same evidence was stored before."""
    row: EvidenceRow
    report: GateReport
    """The verdict on the candidate now, with this evidence among the others."""
    warnings: tuple[str, ...]

    @property
    def audited(self) -> str:
        """Word of the audit line."""
        return self.report.verdict.value


class EvidenceDetail(Record, frozen=True):
    """One record whole, and what its two releases come out as under the policy in force now."""

    digest: str
    evidence: Evidence
    report: GateReport
