"""The gate's rows of the table, on a real store: each does what it says, under its right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from gateway.admin import asks
from gateway.admin.operations import OPERATIONS
from gateway.admin.rights import Actor
from gateway.admin.visit import Visit
from gateway.control.desk import Desk
from gateway.core.contract.evidence import SuiteEvidence, Word
from gateway.core.contract.suite import SuiteKind
from gateway.settings.model import ADMIN_RIGHTS
from tests.control.conftest import Make, Place, desk, made, package_redis, pins, placed
from tests.control.gates import ITEMS, gated
from tests.core.gate.evidences import flips

__all__ = ["desk", "made", "package_redis", "pins", "placed"]

pytestmark = pytest.mark.anyio


async def do(desk: Desk, name: str, ask: msgspec.Struct) -> Any:
    """An operation as it travels: the request and the answer through their written forms."""
    operation = OPERATIONS[name]
    visit = Visit(Actor("alice", frozenset(ADMIN_RIGHTS)), desk, cast(Any, None))
    again = msgspec.json.decode(msgspec.json.encode(ask), type=operation.ask)
    answer = await operation.run(visit, again)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=operation.answer) == answer
    return answer


async def test_import_list_show_and_check(desk: Desk, made: Make, placed: Place, tmp_path: Path) -> None:
    """Evidence is brought, listed, shown and judged; the audit line of an import says the verdict."""
    desk = gated(desk, tmp_path)
    await placed("usual", {"*": "A"})
    a, b = await made("A"), await made("B")
    before = await do(desk, "gate.check", asks.GateCheck("usual", b))
    assert (before.verdict, before.incumbent) == (Word.INSUFFICIENT, a)
    scores = SuiteEvidence("", SuiteKind.TASK, "", 1, flips(ITEMS))
    done = await do(desk, "evidence.import", asks.EvidenceImport("usual", b, a, scores, "jsonl"))
    assert (done.report.verdict, done.audited) == (Word.GO, "GO")
    (row,) = await do(desk, "evidence.list", asks.EvidenceList("usual"))
    shown = await do(desk, "evidence.show", asks.EvidenceOne(row.digest[:8]))
    assert shown.evidence.suites[0].scores == scores.scores
    assert (await do(desk, "gate.check", asks.GateCheck("usual", b, a))).verdict is Word.GO


@pytest.mark.parametrize(
    ("name", "right"),
    [("gate.check", "read"), ("evidence.list", "read"), ("evidence.show", "read"), ("evidence.import", "release")],
)
def test_rights(name: str, right: str) -> None:
    """Looking takes `read`; bringing evidence takes what making a release takes."""
    assert OPERATIONS[name].right == right
