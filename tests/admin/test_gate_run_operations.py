"""The rows that run the gate, on a real store, with a stand-in for the data port: plan, begin, work, show and finish."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.admin.gate_asks import GateBegin, GateOne, GatePlanAsk, GateWork
from gateway.admin.operations import OPERATIONS
from gateway.control.desk import Desk
from gateway.core.contract.evidence import Word
from gateway.core.contract.fault import Fault
from gateway.core.contract.suite import SuiteKind
from tests.admin.test_shadow_operations import do
from tests.control.conftest import Make, Place, desk, made, package_redis, pins, placed
from tests.control.gated import gated
from tests.provider import Provider, Received, Reply, answer, chat_body

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


class Adds:
    """Answers a sum, as whatever release; `model` is who it says it was."""

    model = ""

    async def __call__(self, received: Received, reply: Reply) -> None:
        first = received.json["messages"][-1]["content"].split(" ")[0]
        told = {"x-trivet-release": received.json["model"]}
        await answer(chat_body(str(int(first) + 1000), self.model), headers=told)(received, reply)


async def test_a_run_from_plan_to_evidence(desk: Desk, tmp_path: Path, made: Make, placed: Place) -> None:
    """Each operation once, through its written form; a run is not finished before all is answered, and then only once."""
    await placed("usual", {"*": "A"})
    b = await made("B")
    with Provider(adds := Adds()) as port:
        ready = gated(desk, tmp_path, url=port.url)
        plan = await do(ready, "gate.plan", GatePlanAsk("usual", b, suite=SuiteKind.TASK))
        begun = await do(ready, "gate.begin", GateBegin("usual", b))
        assert (begun.calls, begun.done) == (plan.calls, 0)
        with pytest.raises(Fault, match="gate_unfinished"):
            await do(ready, "gate.finish", GateOne(begun.id))
        worked = await do(ready, "gate.work", GateWork(begun.id))
        assert worked == await do(ready, "gate.show", GateOne(begun.id))
        assert (worked.done, worked.passed, worked.over) == (24, {"candidate": 12, "incumbent": 12}, True)
        finished = await do(ready, "gate.finish", GateOne(begun.id))
        again = await do(ready, "gate.finish", GateOne(begun.id))
        assert finished.evidence == again.evidence
        assert finished.report.verdict is Word.GO
        assert len(port.requests) == 24
        adds.model = "another-model"
        begun = await do(ready, "gate.begin", GateBegin("usual", await made("C")))
        await do(ready, "gate.work", GateWork(begun.id))
        report = (await do(ready, "gate.finish", GateOne(begun.id))).report
        assert report.verdict is Word.INSUFFICIENT
        assert "24 answers by another model" in report.stale[0]


def test_only_who_may_roll_out_may_spend() -> None:
    """Looking takes `read`; whatever calls a model takes `rollout`, and may take its time."""
    rights = {name: row.right for name, row in OPERATIONS.items() if name.startswith("gate.")}
    assert {name for name, right in rights.items() if right == "rollout"} == {"gate.begin", "gate.work", "gate.finish"}
    assert OPERATIONS["gate.work"].seconds > 600
