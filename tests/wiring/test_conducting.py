"""What the loop leaves for a scrape, and that nothing ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.control.conductor import Conductor, Round, Step
from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState, Lane, Split
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.rollout import Action, Facts, Finding, Phase, Verdict, Word
from gateway.telemetry.counters import Registry
from gateway.wiring import conducting
from tests.control.rolling import rollout
from tests.gateway_process import running
from tests.store.servers import RealRedis

FINDING = Finding("error", Action.ROLLBACK, Verdict.PASS, 1.5, 20.0, 1, 10, 1, 10, 1.0)


def test_what_is_shown_and_what_is_counted() -> None:
    """Phase, weight, age of the stage and evidence are gauges that vanish with their rollout; steps are counted by code, not by detail."""
    registry = Registry()
    counted = conducting.Counted(registry)
    running = rollout("rel_b", "rel_a", since_ms=1000)
    split = Split("rel_b", "s", {"*": 500})
    done = Round(
        leader=True,
        states={"agent": AliasState("agent", 2, {"*": Lane("rel_a")}, split=split, rollout=running)},
        facts={"agent": Facts(now_ms=5000, findings=(FINDING,))},
        now_ms=5000,
    )
    counted.round(done)
    assert registry.gauge("control_leader").n == 1
    assert registry.gauge("rollout_state", "agent", "canary").n == 1
    assert registry.gauge("rollout_weight", "agent").n == 0.05
    assert registry.gauge("rollout_stage_seconds", "agent").n == 4
    assert registry.gauge("rollout_overdue_seconds", "agent").n == 0
    late = 1000 + running.plan.deadline_ms
    counted.round(Round(leader=True, states=done.states, now_ms=late))
    assert registry.gauge("rollout_overdue_seconds", "agent").n > 3600
    counted.round(done)
    assert registry.gauge("guardrail_e_value", "agent", "error").n == 1.5
    step = Step("agent", Word.REGRESSION, ("guardrail:error", "guardrail:refusal"), Phase.ROLLED_BACK, 4000, 5500)
    ended = rollout("rel_b", "rel_a", Phase.ROLLED_BACK)
    state = AliasState("agent", 3, {"*": Lane("rel_a")}, rollout=ended)
    counted.round(Round(leader=True, states={"agent": state}, steps=[step], now_ms=5500))
    assert registry.gauge("rollout_state", "agent", "canary").n == 0
    assert registry.gauge("rollout_state", "agent", "rolled_back").n == 1
    assert registry.gauge("rollout_weight", "agent").n == 0
    assert registry.counter("rollout_transitions_total", "agent", "regression", "guardrail").n == 1
    assert registry.counter("rollout_rollbacks_total", "guardrail").n == 1
    assert registry.histogram("rollout_revert_seconds").sum == 1.5
    counted.leader(leads=False)
    assert registry.gauge("control_leader").n == 0
    assert registry.gauge("rollout_state", "agent", "rolled_back").n == 0


def test_a_store_that_is_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds go on while the store cannot be asked, and this process does not say that it leads."""
    monkeypatch.setattr(conducting, "SLOW_SECONDS", 0.001)
    asked = []

    async def desk() -> Desk:
        asked.append(1)
        raise Fault(Kind.OVERLOADED, "store_unavailable", "away")

    async def watch() -> None:
        registry = Registry()
        task = asyncio.create_task(conducting.conducting(Conductor(desk, "one"), registry))
        await asyncio.sleep(0.05)
        assert not task.done()
        assert registry.gauge("control_leader").n == 0
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(watch())
    assert len(asked) > 1


def test_each_process_has_a_name_of_its_own() -> None:
    """Two processes of one host, and one that was started again, are different holders."""

    async def desk() -> Desk:
        raise AssertionError

    assert conducting.conductor(desk)._holder != conducting.conductor(desk)._holder


@pytest.mark.slow
def test_another_process_goes_on_when_one_ends(tmp_path: Path) -> None:
    """Of two background processes of a store one drives; the other is told so, stands by, and drives within two rounds once the first
    has ended in order. Orders work at either."""
    alias = {"agent": {"stakes": "low", "first_release": {"model": "openai/gpt-4o-2024-08-06"}}}
    with RealRedis(tmp_path) as server:
        of_store: dict[str, Any] = {"store": {"redis": server.url}, "stamp_keys": ["k" * 48], "aliases": alias}
        roles = ("--roles", "control")
        with running(arguments=roles, **of_store) as first, running(arguments=roles, **of_store) as second:

            def driver() -> str:
                return str(second.json("rollout", "status", "agent")["conductor"])

            holder = until(driver)
            leads, stands_by = (first, second) if f":{first.pid('control')}:" in holder else (second, first)
            for gateway, shown in ((leads, b"trivet_control_leader 1"), (stands_by, b"trivet_control_leader 0")):
                until(lambda of=gateway, what=shown: "yes" if what in of.get(of.admin + "/metrics")[1] else "")  # type: ignore[misc]
            leads.stop()
            again = until(lambda: str(stands_by.json("rollout", "status", "agent")["conductor"]))
            assert f":{stands_by.pid('control')}:" in again


def until(told: Callable[[], str], seconds: float = 5.0) -> str:
    """What is told once it is anything."""
    end = time.monotonic() + seconds
    while not (found := told()):
        assert time.monotonic() < end, "nobody drives"
        time.sleep(0.05)
    return found
