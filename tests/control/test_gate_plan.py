"""What a run of the gate asks and costs, and what is said of it before anybody pays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.gate import begin, work
from gateway.control.gate_plan import Order, plan
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Mode
from gateway.core.contract.suite import SuiteKind
from tests.control.conftest import Make, Place, with_legs
from tests.control.gated import gated, suite

pytestmark = pytest.mark.anyio

TOOLS = '[{"name":"pay","description":"","parameters":{"type":"object","properties":{}}}]'


async def test_a_plan_reckons_calls_and_money(desk: Desk, tmp_path: Path, made: Make, placed: Place) -> None:
    """Both releases, every item and repeat; money from the price table, more if every answer is as long as it may be."""
    await placed("usual", {"*": "A"})
    b = await made("B")
    found = await plan(gated(desk, tmp_path), Order("usual", b))
    assert (found.calls, found.judged, found.suites[0].items, found.refusals) == (24, 0, 12, ())
    assert "12 items for a margin of 25 pp" in found.suites[0].needs
    assert found.cost_micro is not None and found.most_micro is not None
    assert 0 < found.cost_micro < found.most_micro < found.budget_micro == 5_000_000
    assert found.incumbent == await made("A")
    itself = await plan(gated(desk, tmp_path), Order("usual", b, against=b))
    assert (itself.candidate, itself.incumbent, itself.calls) == (b, b, 24)


async def test_what_is_said_before_anybody_pays(desk: Desk, tmp_path: Path, made: Make, placed: Place) -> None:
    """A suite that is too small, tools that the release replaces, variables nobody gives, prompts nobody brings, rubrics without a
    judge, keys of callers, and a dialect that the provider does not speak."""
    await placed("usual", {"*": "A"})
    strange = await with_legs(desk, "B", prompt=(Mode.SERVE, "Hello {{name}}."), tools=(Mode.SERVE, TOOLS))
    tools = [{"name": "look", "parameters": {"type": "object"}}]
    text = suite(3, tools=tools, check={"contains": ["1"], "judge": "Polite?"}, good={"text": "1"})
    found = await plan(gated(desk, tmp_path, text, dialect="gemini"), Order("usual", strange))
    warned = "\n".join(found.warnings)
    for part in ("cannot pass below", "stand in place of those of 3 items", "needs name", "asked without one"):
        assert part in warned
    refused = "\n".join(found.refusals)
    for part in ("name a judge", "gate.dialect is gemini"):
        assert part in refused
    given = gated(desk, tmp_path, request={"trivet": {"vars": {"name": "Bo"}}})
    assert "needs name" not in "\n".join((await plan(given, Order("usual", strange))).warnings)
    forwarded = gated(desk, tmp_path)
    forwarded = replace(
        forwarded, settings=msgspec.structs.replace(forwarded.settings, providers=desk.settings.providers)
    )
    order = Order("usual", await made("B"))
    assert "nobody calls for a gate" in (await plan(forwarded, order)).refusals[0]
    with pytest.raises(Fault, match="gate_refused"):
        await begin(forwarded, order)


async def test_what_is_not_there_is_told(desk: Desk, tmp_path: Path, made: Make, placed: Place) -> None:
    """No gate, no such suite, a suite that is gone or whose example does not hold, and one that changed under a run."""
    await placed("usual", {"*": "A"})
    b = await made("B")
    with pytest.raises(Fault, match="gate_undeclared"):
        await plan(desk, Order("usual", b))
    ready = gated(desk, tmp_path)
    with pytest.raises(Fault, match="gate_suite"):
        await plan(ready, Order("usual", b, kinds=(SuiteKind.SAFETY,)))
    started = await begin(ready, Order("usual", b))
    (tmp_path / "suite.jsonl").write_text(suite(13))
    with pytest.raises(Fault, match="gate_changed"):
        await work(ready, started.id)
    for text in (suite(2, bad={"text": "1000 1001"}), "{}"):
        with pytest.raises(Fault, match="gate_suite"):
            await plan(gated(desk, tmp_path, text), Order("usual", b))
