"""The operations that run the eval gate, as rows of the one table (`admin.operations`). Rule of the file: no logic, as there."""

from __future__ import annotations

from typing import Any

from gateway.admin import gate_asks as asks
from gateway.admin.visit import Visit
from gateway.control import gate
from gateway.core.contract import gate_run

WORK_SECONDS = 900.0
"""Limit of a piece of work: it waits for the answers it asked for, of a model and then of its judge, each sent twice at most."""


async def _plan(visit: Visit, ask: asks.GatePlanAsk) -> gate_run.GatePlan:
    return await gate.plan(visit.desk, _order(ask))


async def _begin(visit: Visit, ask: asks.GateBegin) -> gate_run.GateProgress:
    return await gate.begin(visit.desk, _order(ask), budget_micro=ask.budget_micro)


async def _show(visit: Visit, ask: asks.GateOne) -> gate_run.GateProgress:
    return await gate.progress(visit.desk, ask.id)


async def _work(visit: Visit, ask: asks.GateWork) -> gate_run.GateProgress:
    return await gate.work(visit.desk, ask.id, budget_micro=ask.budget_micro, again=ask.again)


async def _finish(visit: Visit, ask: asks.GateOne) -> gate_run.GateFinished:
    return await gate.finish(visit.desk, ask.id)


def _order(ask: asks.GatePlanAsk | asks.GateBegin) -> gate.Order:
    return gate.Order(ask.alias, ask.release, ask.against, (ask.suite,) if ask.suite is not None else ())


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function, summary and, for what takes long, its limit in seconds."""
    r: Any = gate_run
    return (
        ("gate.plan", "GET", "/aliases/{alias}/gate/plan", "read", asks.GatePlanAsk, r.GatePlan, _plan, "What a run of the gate would ask and cost, and what keeps it from beginning."),
        ("gate.begin", "POST", "/aliases/{alias}/gate/runs", "rollout", asks.GateBegin, r.GateProgress, _begin, "Begin a run of the gate; nobody is asked yet."),
        ("gate.show", "GET", "/gates/{id}", "read", asks.GateOne, r.GateProgress, _show, "How far a run of the gate is."),
        ("gate.work", "POST", "/gates/{id}/work", "rollout", asks.GateWork, r.GateProgress, _work, "Ask for a few seconds, and tell how far the run is.", WORK_SECONDS),
        ("gate.finish", "POST", "/gates/{id}/finish", "rollout", asks.GateOne, r.GateFinished, _finish, "Store what came of a run as evidence, and give the gate's verdict."),
    )  # fmt: skip
