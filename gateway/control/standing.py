"""What speaks for a candidate: the gate's word against every release it would replace, and whether it ran in shadow.

Rule of the file: what cannot be read speaks for nobody. A candidate stands as well as it does against the incumbent it does
worst against.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.control.desk import Desk
from gateway.control.evidence import report_for
from gateway.control.shadow_report import MIN_TRIOS
from gateway.control.shadow_store import results
from gateway.core.contract.alias import EVERYONE, AliasState
from gateway.core.contract.evidence import GateReport, Word
from gateway.core.contract.fault import Fault
from gateway.store import pairs


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a candidate stands; by default nothing speaks for it."""

    go: bool = False
    shadowed: bool = False
    evidence: tuple[str, ...] = ()
    """Digests the GO rests on."""
    why: str = ""
    """What is missing, stale or red, and the command that would change it; empty with a GO."""


def replaced(before: AliasState, after: AliasState, candidate: str) -> tuple[str, ...]:
    """The releases that `candidate` takes over from; a new lane takes over from `*`."""
    taken = [
        before.lanes[name if name in before.lanes else EVERYONE].release
        for name, lane in after.lanes.items()
        if lane.release == candidate and (name in before.lanes or EVERYONE in before.lanes)
    ]
    return tuple(sorted({release for release in taken if release != candidate}))


async def standing(desk: Desk, alias: str, candidate: str, incumbents: Collection[str]) -> Standing:
    """Where `candidate` stands against each of the releases it would replace. Raises Fault when the store cannot be read."""
    reports = [await report_for(desk, alias, candidate, incumbent) for incumbent in incumbents]
    red = [report for report in reports if report.verdict is not Word.GO]
    go = bool(reports) and not red
    return Standing(
        go=go,
        shadowed=bool(incumbents) and await _shadowed(desk, alias, candidate, incumbents),
        evidence=tuple(dict.fromkeys(digest for report in reports for digest in report.evidence)) if go else (),
        why="" if go else lacking(desk, red[0]) if red else "There is no release to compare it with.",
    )


def lacking(desk: Desk, report: GateReport) -> str:
    """Why a report is no GO, and what to do about it: sentences for a person."""
    declared = desk.settings.aliases.get(report.alias)
    if declared is None or declared.gate is None:
        return f"Alias {report.alias} declares no suites: name them under `aliases.{report.alias}.gate`, then run them."
    told = "; ".join(report.why)
    run = f"`trivet gate run {report.alias} --release {report.candidate}` makes new evidence."
    if report.verdict is Word.NO_GO:
        return f"Against {report.incumbent} it is NO-GO: {told}. A better candidate is a new release; {run}"
    return f"Against {report.incumbent} nothing is shown yet: {told}. {run}"


async def _shadowed(desk: Desk, alias: str, candidate: str, incumbents: Collection[str]) -> bool:
    """Whether as many trios as a shadow report wants were compared with each of these releases."""
    try:
        async with results(desk) as store:
            if not (await pairs.counts(store, alias)).get(candidate):
                return False
            lines = await pairs.lines(store, alias)
    except Fault:
        return False
    trios = [
        line.primary.release for line in lines if line.candidate.release == candidate and line.secondary is not None
    ]
    return all(trios.count(incumbent) >= MIN_TRIOS for incumbent in incumbents)
