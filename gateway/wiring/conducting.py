"""The task that drives rollouts, with what is counted of it.

Rule of the file: a store that is away, or a round that fails, ends nothing: the lease runs out, live workers bind nobody new to a
candidate, and the next round that works goes on where the store says it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterator

from gateway.control.conductor import SLOW_SECONDS, Conductor, Round, Step
from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Rollout, Word
from gateway.core.rollout import judge
from gateway.telemetry import log as logs
from gateway.telemetry.counters import Registry

log = logs.Log("conducting")

WHOLE = 10_000


def conductor(desks: Callable[[], Awaitable[Desk]]) -> Conductor:
    """A conductor of this process, under a name that no other has."""
    return Conductor(desks, f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}")


async def conducting(loop: Conductor, registry: Registry) -> None:
    """Rounds until cancelled; the lease is given back then, so that another process goes on at once."""
    counted = Counted(registry)
    said = ""
    try:
        while True:
            pause = SLOW_SECONDS
            try:
                done = await loop.round()
            except Fault as fault:
                if fault.code != said:
                    log.warning("rollouts are not driven", code=fault.code, problem=fault.message)
                said = fault.code
                counted.leader(leads=False)
            else:
                said, pause = "", done.pause
                counted.round(done)
            await asyncio.sleep(pause)
    finally:
        with contextlib.suppress(Fault, asyncio.CancelledError):
            await loop.leave()


class Counted:
    """What the rounds of this process leave for a scrape."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._shown: set[tuple[str, tuple[str, ...]]] = set()

    def leader(self, *, leads: bool) -> None:
        """Whether this process drives; while it does not, it shows nothing of any rollout."""
        self._registry.gauge("control_leader").n = int(leads)
        if not leads:
            self._show({})

    def round(self, done: Round) -> None:
        """One round: how things stand, and what was done."""
        self.leader(leads=done.leader)
        if done.leader:
            self._registry.know("alias", done.states)
            self._show({(name, labels): value for name, labels, value in _standing(done)})
        for step in done.steps:
            self._step(step)

    def _show(self, values: dict[tuple[str, tuple[str, ...]], float]) -> None:
        for name, labels in self._shown - set(values):
            self._registry.gauge(name, *labels).n = 0
        for (name, labels), value in values.items():
            self._registry.gauge(name, *labels).n = value
        self._shown = set(values)

    def _step(self, step: Step) -> None:
        codes = list(dict.fromkeys(code.partition(":")[0] for code in step.causes)) or [""]
        for code in codes:
            self._registry.counter("rollout_transitions_total", step.alias, step.word.value, code).n += 1
            if step.word is Word.REGRESSION:
                self._registry.counter("rollout_rollbacks_total", code).n += 1
        if step.first_bad_ms:
            delay = max(step.at_ms - step.first_bad_ms, 0) / 1000
            self._registry.histogram("rollout_revert_seconds").observe(delay)


def _standing(done: Round) -> Iterator[tuple[str, tuple[str, ...], float]]:
    for name, state in done.states.items():
        rollout = state.rollout
        if rollout is None:
            continue
        yield "rollout_state", (name, rollout.phase.value), 1
        yield "rollout_weight", (name,), _weight(state, rollout) / WHOLE
        if not rollout.ended:
            yield "rollout_stage_seconds", (name,), max(done.now_ms - rollout.since_ms, 0) / 1000
            yield "rollout_overdue_seconds", (name,), judge.overdue_ms(rollout, done.now_ms) / 1000
        facts = done.facts.get(name)
        for finding in facts.findings if facts is not None else ():
            yield "guardrail_e_value", (name, finding.metric), finding.e_value


def _weight(state: AliasState, rollout: Rollout) -> int:
    return state.split.weight if state.split is not None and state.split.candidate == rollout.candidate else 0
