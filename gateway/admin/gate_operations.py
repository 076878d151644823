"""The operations of the gate's word and its evidence, as rows of the one table (`admin.operations`).

Rule of the file: no logic, as there. The rows that run the gate are joined here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.admin import asks, gate_run_operations
from gateway.admin.visit import Visit
from gateway.control import evidence
from gateway.core.contract import proofs
from gateway.core.contract.evidence import GateReport


async def _check(visit: Visit, ask: asks.GateCheck) -> GateReport:
    return await evidence.check(visit.desk, ask.alias, ask.release, ask.incumbent)


async def _import(visit: Visit, ask: asks.EvidenceImport) -> proofs.EvidenceStored:
    return await evidence.bring(visit.desk, evidence.Import(**msgspec.structs.asdict(ask)))


async def _list(visit: Visit, ask: asks.EvidenceList) -> list[proofs.EvidenceRow]:
    return await evidence.listed(visit.desk, ask.alias, ask.limit)


async def _show(visit: Visit, ask: asks.EvidenceOne) -> proofs.EvidenceDetail:
    return await evidence.show(visit.desk, ask.digest)


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function and summary of each."""
    r: Any = proofs
    return (
        ("gate.check", "GET", "/aliases/{alias}/gate", "read", asks.GateCheck, GateReport, _check, "The gate's word on a release, from the evidence there is."),
        ("evidence.import", "POST", "/aliases/{alias}/evidence", "release", asks.EvidenceImport, r.EvidenceStored, _import, "Store scores of two releases from another engine."),
        ("evidence.list", "GET", "/aliases/{alias}/evidence", "read", asks.EvidenceList, list[r.EvidenceRow], _list, "Evidence of an alias, newest first."),
        ("evidence.show", "GET", "/evidence/{digest}", "read", asks.EvidenceOne, r.EvidenceDetail, _show, "One record of evidence, with the verdict on its releases now."),
        *gate_run_operations.rows(),
    )  # fmt: skip
