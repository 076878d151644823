"""The loop that carries rollouts on: a round reads the facts of every rollout in progress and makes the one step that is due.

Rule of the file: everything it knows is in the store, so whoever takes over goes on at the same stage with the same counts. A step
towards more exposure needs the lease and is never tried twice in a round; the way back needs no lease and is tried until it holds.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from gateway.control.baseline import baseline
from gateway.control.desk import Desk
from gateway.control.facts import Watch
from gateway.control.turned import AUTHOR, entry_of, told
from gateway.core.contract.alias import AliasState
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import EXPOSED, Action, Facts, Phase, Verdict, Word
from gateway.core.rollout import judge, machine
from gateway.core.rollout.judge import Due
from gateway.store import aliases, lease
from gateway.store.aliases import PointerMoved
from gateway.telemetry import log as logs

log = logs.Log("conductor")

QUICK_SECONDS = 0.25
"""Time between two rounds while runs may be on a candidate."""
SLOW_SECONDS = 1.0
"""Time between two rounds otherwise; well below the lease, which each round renews."""
LIST_SHARE = 0.05
"""Share of its time that the loop spends on reading every alias; with thousands of them a new rollout is noticed later,"""
LIST_MOST = 10
"""but at most so many times `list_seconds` later."""
ATTEMPTS = 20
"""Writes that others may get in before a rollback waits for the next round."""
BACK = frozenset({Word.REGRESSION, Word.ROLLBACK, Word.ABORT, Word.SHADOW_FAILED, Word.NO_GO, Word.EXPIRE})
"""Steps that end an exposure: tried again at once when somebody else wrote meanwhile."""
UNFENCED = frozenset({Word.REGRESSION, Word.ROLLBACK})
"""Steps that even a process without the lease may write: a rollback always wins."""

Desks = Callable[[], Awaitable[Desk]]
"""A fresh desk, with the wall clock of now. Raises Fault while the store is away."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transition that was made."""

    alias: str
    word: Word
    causes: tuple[str, ...]
    phase: Phase
    first_bad_ms: int = 0
    """Wall clock of the canary's first bad event, when it was rolled back for it."""
    at_ms: int = 0


@dataclass
class Round:
    """What one round did and saw: for metrics, and for when the next one is due."""

    leader: bool = False
    states: dict[str, AliasState] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    now_ms: int = 0

    @property
    def pause(self) -> float:
        """Seconds until the next round."""
        exposed = any(s.rollout is not None and s.rollout.phase in EXPOSED for s in self.states.values())
        return QUICK_SECONDS if exposed else SLOW_SECONDS


class Conductor:
    """One per background process; any number of them stand by."""

    def __init__(self, desks: Desks, holder: str, *, list_seconds: float = SLOW_SECONDS) -> None:
        """`list_seconds` is how long a new rollout may wait to be noticed."""
        self._desks = desks
        self._holder = holder
        self._watch = Watch()
        self._term = 0
        self._fenced: set[str] = set()
        """Aliases whose epoch this term has raised."""
        self._errors: dict[str, int] = {}
        self._states: dict[str, AliasState] = {}
        """As read last; what a round writes is read again by the next."""
        self._list_at = 0.0
        self._list_seconds = list_seconds

    @property
    def leads(self) -> bool:
        """Whether the last word of the store was that the lease is ours."""
        return self._term > 0

    async def round(self) -> Round:
        """One round. Raises Fault when the store cannot be used; whoever calls tries again."""
        desk = await self._desks()
        done = Round(now_ms=desk.now_ms)
        if not await self._hold(desk):
            return done
        done.leader = True
        done.states = await self._read(desk)
        driven = {name: s for name, s in done.states.items() if s.rollout is not None and not s.rollout.ended}
        self._watch.forget(driven)
        self._errors = {name: n for name, n in self._errors.items() if name in driven}
        renewed = anyio.current_time()
        for state in driven.values():
            if anyio.current_time() - renewed > lease.LEASE_MS / 3000:
                renewed = anyio.current_time()
                if not await self._hold(await self._desks()):
                    done.leader = False
                    return done
            await self._drive(state, done)
            if not self.leads:
                done.leader = False
                return done
        return done

    async def _read(self, desk: Desk) -> dict[str, AliasState]:
        """All aliases, once in a while; between that only those with a rollout in progress, one read each."""
        begun = anyio.current_time()
        if begun >= self._list_at:
            self._states = await _listed(desk)
            took = anyio.current_time() - begun
            self._list_at = begun + max(self._list_seconds, min(took / LIST_SHARE, self._list_seconds * LIST_MOST))
            return dict(self._states)
        for name in [name for name, state in self._states.items() if state.rollout and not state.rollout.ended]:
            state = await aliases.get(desk.store, name)
            if state is not None:
                self._states[name] = state
        return dict(self._states)

    async def leave(self) -> None:
        """Give the lease back, so that another process goes on at once. Raises Fault."""
        if self.leads:
            await lease.leave((await self._desks()).store, self._holder)
        self._step_back()

    def _step_back(self) -> None:
        self._term = 0
        self._fenced.clear()

    async def _hold(self, desk: Desk) -> bool:
        held = await lease.hold(desk.store, self._holder)
        if not held.mine:
            if self.leads:
                log.warning("another process drives the rollouts now", name=held.holder, version=held.term)
            self._step_back()
            return False
        if held.term != self._term:
            log.info("this process drives the rollouts", version=held.term)
            self._fenced.clear()
            self._term = held.term
        return True

    async def _fence(self, desk: Desk, name: str) -> bool:
        """Raise the alias's epoch to our term, once. False when a later term was there: then we were replaced, or the lease was
        lost with the store, and the next round says which."""
        if name in self._fenced:
            return True
        stored = await lease.fence(desk.store, [name], self._term)
        if stored > self._term:
            held = await lease.hold(desk.store, self._holder, above=stored)
            self._step_back()
            if held.mine:
                self._term = held.term
            return False
        self._fenced.add(name)
        return True

    async def _drive(self, state: AliasState, done: Round) -> None:
        """Make the step that is due for one alias. A fault of one alias does not keep the others waiting."""
        name = state.name
        try:
            desk = await self._desks()
            if not await self._fence(desk, name):
                return
            await self._one(desk, state, done)
        except PointerMoved:
            return  # somebody wrote it meanwhile: the next round reads what there is now
        except Fault as fault:
            if fault.code == "fenced":
                log.warning("a newer process writes this alias", alias=name)
                self._step_back()
                return
            log.warning("a rollout could not be looked at", alias=name, code=fault.code, problem=fault.message)
            await self._failed(state, done)
        except Exception as error:  # noqa: BLE001 - it is frozen like one that cannot be read, and the others are driven on
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rpartition('gateway/')[2]}:{place.lineno}"
            log.error("a rollout broke its round", alias=name, error=type(error).__name__, where=where)  # noqa: TRY400 - told by kind
            await self._failed(state, done)
        else:
            self._errors.pop(name, None)

    async def _failed(self, state: AliasState, done: Round) -> None:
        """Count a failure; after several in a row freeze the rollout, if the store takes that."""
        name = state.name
        count = self._errors[name] = self._errors.get(name, 0) + 1
        rollout = state.rollout
        if count < judge.ERRORS or rollout is None:
            return
        try:
            desk = await self._desks()
            facts = Facts(now_ms=desk.now_ms, errors=count)
            due = judge.due(rollout, facts, desk.stakes(state))
            if due is not None:
                await self._turn(desk, state, due, facts, done)
        except Fault as again:
            log.warning("and it could not be frozen either", alias=name, code=again.code)

    async def _one(self, desk: Desk, state: AliasState, done: Round) -> None:
        for _ in range(ATTEMPTS):
            rollout = state.rollout
            if rollout is None or rollout.ended:
                return
            facts = await self._watch.facts(desk, state, rollout)
            done.facts[state.name] = facts
            due = judge.due(rollout, facts, desk.stakes(state))
            if due is None:
                return
            try:
                await self._turn(desk, state, due, facts, done)
            except PointerMoved:
                if due.word not in BACK:
                    raise
                state = await desk.alias(state.name)
                continue
            return

    async def _turn(self, desk: Desk, state: AliasState, due: Due, facts: Facts, done: Round) -> None:
        assert state.rollout is not None
        limits = await limits_for(desk, state, due.word)
        turned = machine.turn(
            state.rollout,
            due.word,
            now_ms=desk.now_ms,
            stakes=desk.stakes(state),
            causes=due.causes,
            actor=AUTHOR,
            reason=told(due.causes),
            evidence=due.evidence,
            report=due.report,
            limits=limits,
        )
        after = machine.state_after(state, turned, desk.warm(state.name))
        entry = entry_of(desk, due.word, turned, note=_note(due.word, facts, desk.now_ms))
        epoch = None if due.word in UNFENCED else self._term
        stored = await aliases.write(desk.store, state, after, entry, epoch=epoch)
        done.states[state.name] = self._states[state.name] = stored
        first = facts.tally.first_bad_ms if due.word is Word.REGRESSION else 0
        done.steps.append(Step(state.name, due.word, due.causes, turned.phase, first, desk.now_ms))
        log.info(
            "rollout", alias=state.name, action=due.word.value, phase=turned.phase.value, reason=", ".join(due.causes)
        )


async def _listed(desk: Desk) -> dict[str, AliasState]:
    """Every alias; one that cannot be read is said and left out, so that the others do not wait for it."""
    try:
        return await aliases.every(desk.store)
    except Fault as fault:
        if fault.code != "alias_unreadable":
            raise
    found: dict[str, AliasState] = {}
    for name in await aliases.names(desk.store):
        try:
            state = await aliases.get(desk.store, name)
        except Fault as fault:
            log.warning("an alias cannot be read", alias=name, problem=fault.message)
        else:
            found |= {name: state} if state is not None else {}
    return found


async def limits_for(desk: Desk, state: AliasState, word: Word) -> dict[str, float] | None:
    """Thresholds of values, when the step may enter the canary for the first time; None when they are fixed already."""
    rollout = state.rollout
    if rollout is None or word not in (Word.GO, Word.OVERRIDE) or rollout.phase is not Phase.GATED:
        return None
    return dict((await baseline(desk, state.name, rollout)).limits)


def _note(word: Word, facts: Facts, now_ms: int) -> str:
    """The numbers that a regression was called on: the counts are gone from the status once a rollout has ended."""
    if word is not Word.REGRESSION:
        return ""
    told = [
        f"{f.metric}: {f.canary_bad} of {f.canary_units} on the candidate against {f.control_bad} of {f.control_units}, "
        f"evidence {f.e_value:.3g} of {f.threshold:.3g}"
        for f in facts.findings
        if f.verdict is Verdict.FAIL and f.action is Action.ROLLBACK
    ]
    first = facts.tally.first_bad_ms
    told += [f"first bad event {max(now_ms - first, 0) / 1000:.2f} s before"] * bool(first)
    return "; ".join(told)
