"""The gate's word as people read it: one row a suite, and why."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.cli import show

if TYPE_CHECKING:
    from gateway.core.contract.evidence import GateReport

EXITS = MappingProxyType({"GO": 0, "NO-GO": 1, "INSUFFICIENT": 2})
"""Exit codes of every verb that answers with a verdict."""
STYLES = MappingProxyType({"GO": "bold green", "NO-GO": "bold red", "INSUFFICIENT": "bold yellow"})
FLIPS = 10


def report(record: GateReport) -> None:
    """Print a verdict with its suites."""
    show.table(
        ("suite", "verdict", "items#", "candidate#", "incumbent#", "worse by#", "at most#", "margin#", "only it#", "only other#", "method", "why"),
        [
            (
                m.suite,
                m.verdict.value,
                m.items,
                f"{m.candidate:.1%}",
                f"{m.incumbent:.1%}",
                f"{m.drop:+.1%}",
                f"{m.drop_high:+.1%}",
                f"{m.margin:.1%}",
                m.only_candidate,
                m.only_incumbent,
                m.method,
                m.why,
            )
            for m in record.metrics
        ],
        title=f"{record.candidate} in place of {record.incumbent}",
        empty="no suite has evidence",
    )  # fmt: skip
    for metric in record.metrics:
        if metric.flips:
            more = f" and {len(metric.flips) - FLIPS} more" if len(metric.flips) > FLIPS else ""
            show.line(f"{metric.suite}: passed by the incumbent only: {', '.join(metric.flips[:FLIPS])}{more}")
    for sentence in dict.fromkeys((*record.why, *record.stale)):
        show.note(sentence)
    show.line(record.verdict.value, STYLES[record.verdict.value])
