"""The operations of drift, as rows of the one table (`admin.operations`).

Rule of the file: no logic, as there.
"""

from __future__ import annotations

from typing import Any

from gateway.admin import asks
from gateway.admin.visit import Visit
from gateway.control import drift
from gateway.core.contract import sentinel


async def _status(visit: Visit, ask: asks.DriftList) -> list[sentinel.DriftRow]:
    return await drift.status(visit.desk, ask.snapshot)


async def _ack(visit: Visit, ask: asks.DriftAck) -> sentinel.DriftAcknowledged:
    return await drift.acknowledge(visit.desk, ask.snapshot, ask.reason)


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function and summary of each."""
    r: Any = sentinel
    return (
        ("drift.status", "GET", "/drift", "read", asks.DriftList, list[r.DriftRow], _status, "Snapshots in use: their drift epoch, who answers, and what to do."),
        ("drift.ack", "POST", "/drift/ack", "rollout", asks.DriftAck, r.DriftAcknowledged, _ack, "Take what answers for a snapshot now for the reference."),
    )  # fmt: skip
