"""A run of the gate, from its plan to its evidence, in pieces of a few seconds that anybody with the right may go on with.

Rule of the file: both releases are asked the same items in the same session, each pair of questions side by side and the pairs in
an order nobody chose. What came of a question is stored at once and counts once, so a run that broke off goes on where it was.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
import msgspec

from gateway import __version__
from gateway.control import evidence as proofs
from gateway.control.desk import Desk
from gateway.control.gate_call import Caller, NotAsked
from gateway.control.gate_plan import Order, Prepared, book, chosen, declared, party, plan, prepare
from gateway.core.contract.evidence import Evidence, Origin, Score, SuiteEvidence
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.gate_run import GateFinished, GateProgress, GateRun, Outcome, Side, SuiteRun
from gateway.core.contract.release import PinClass
from gateway.core.contract.suite import Item, Suite
from gateway.core.gate import rubric
from gateway.core.gate.suite import judged
from gateway.core.pinning.identity import reference
from gateway.store import epochs
from gateway.store import evidence as stored_evidence
from gateway.store import gates as runs
from gateway.store.gates import Stored
from gateway.upstream.ownport import Party

if TYPE_CHECKING:
    from gateway.settings.model import ProviderSettings

__all__ = ["Order", "begin", "finish", "plan", "progress", "work"]

WORK_SECONDS = 5.0
"""No question is begun after so much of one piece of work; those begun are waited for."""
HEARTBEAT_SECONDS = 0.5
WINDOW = 16
"""Questions that are looked at for one that nobody asks."""
FAILING = 20
"""Answers after which a run of which most have no score is stopped."""
PASSED = 0.5
"""Score from which an answer counts as passed where progress is shown; evidence keeps the score itself."""


@dataclass(frozen=True, slots=True)
class Question:
    """One item, asked of one release once."""

    name: str
    suite: SuiteRun
    item: Item
    side: Side
    repeat: int


async def begin(desk: Desk, order: Order, *, budget_micro: int = -1) -> GateProgress:
    """Begin a run; nobody is asked yet. `budget_micro` stands in place of the configured budget; 0 is none.

    Raises Fault as `prepare`, and 409 `gate_refused` for what its plan lists as refusals.
    """
    made = await prepare(desk, order)
    if made.refusals:
        raise Fault(Kind.CONFLICT, "gate_refused", "; ".join(made.refusals))
    asked = [each.release.id for each in (*made.parties, made.judge) if each is not None]
    run = GateRun(
        id="gate_" + secrets.token_hex(8),
        alias=order.alias,
        candidate=made.candidate.release.id,
        incumbent=made.incumbent.release.id,
        actor=desk.actor,
        started_ms=desk.now_ms,
        suites=tuple(each for each, _ in made.suites),
        judge=made.judge.release.id if made.judge is not None else "",
        rubric=rubric.digest() if made.judge is not None else "",
        budget_micro=round(made.gate.budget * 1_000_000) if budget_micro < 0 else budget_micro,
        dialect=made.gate.dialect,
        request=made.gate.request,
        epochs=await proofs.epochs(desk, *asked),
    )
    await runs.begin(desk.store, run)
    return told(await runs.get(desk.store, run.id))


async def progress(desk: Desk, identifier: str) -> GateProgress:
    """How far a run is. Raises Fault 404 `gate_unknown`."""
    return told(await runs.get(desk.store, identifier))


async def work(
    desk: Desk, identifier: str, *, budget_micro: int = -1, again: bool = False, seconds: float = WORK_SECONDS
) -> GateProgress:
    """Ask for a few seconds, as many at once as the gate allows, and tell how far the run is. `budget_micro` stands in place of
    the one it was begun with; `again` first opens what was asked and has no score.

    Raises Fault: 404 `gate_unknown`, 409 `gate_changed` when a suite or the judge is another now, 409 `no_data_port` and 503
    `data_port_down` when nobody can be asked.
    """
    stored = await runs.get(desk.store, identifier)
    lost = [name for name, outcome in stored.outcomes.items() if outcome.score is None] if again else []
    if lost:
        await runs.reopen(desk.store, identifier, lost)
        stored = await runs.get(desk.store, identifier)
    run = stored.run if budget_micro < 0 else msgspec.structs.replace(stored.run, budget_micro=budget_micro)
    stored = Stored(run, stored.outcomes, stored.held, stored.cost, stored.evidence)
    if told(stored).over:
        return told(stored)
    made = await resumed(desk, run)
    async with Caller(desk.data_port(), book(desk), desk.now_ms) as caller:
        await _Work(desk, stored, made, caller, anyio.current_time() + seconds).done()
    after = await runs.get(desk.store, identifier)
    return told(Stored(run, after.outcomes, after.held, after.cost, after.evidence))


async def finish(desk: Desk, identifier: str) -> GateFinished:
    """Store what came of a run as evidence, once, and give the gate's verdict on all the evidence there is.

    Raises Fault 409 `gate_unfinished` while a question is open, and as `work`.
    """
    stored = await runs.get(desk.store, identifier)
    run = stored.run
    so_far = told(stored)
    if so_far.done < so_far.calls:
        message = (
            f"{so_far.calls - so_far.done} of {so_far.calls} answers of run {identifier} are still to be asked for"
        )
        raise Fault(Kind.CONFLICT, "gate_unfinished", message, param="id")
    digest = stored.evidence
    if not digest:
        made = await resumed(desk, run)
        kept = await epochs.load(desk.store, [each.release.triple.model for each in made.parties])
        right = {snapshot: reference(found.watched) for snapshot, found in kept.items()}
        digest, _ = await stored_evidence.put(desk.store, _evidence(desk, stored, made, right))
        await runs.finished(desk.store, identifier, digest)
    report = await proofs.report_for(desk, run.alias, run.candidate, run.incumbent)
    return GateFinished(identifier, digest, msgspec.structs.replace(so_far, evidence=digest), report)


async def resumed(desk: Desk, run: GateRun) -> Prepared:
    """What a run that was begun needs to go on. Raises Fault as `work`."""
    gate = msgspec.structs.replace(declared(desk, run.alias), dialect=run.dialect, request=run.request)
    suites = tuple(chosen(gate, tuple(each.kind for each in run.suites)))
    if {each.digest for each, _ in suites} != {each.digest for each in run.suites}:
        raise Fault(Kind.CONFLICT, "gate_changed", "a suite has been changed since this run was begun; begin a new one")
    if any(map(judged, (suite for _, suite in suites))) and (run.judge, run.rubric) != _judging(gate.judge):
        message = "the judge, or what it is asked, has been changed since this run was begun; begin a new one"
        raise Fault(Kind.CONFLICT, "gate_changed", message)
    by_kind = {each.kind: suite for each, suite in suites}
    refusals: list[str] = []
    candidate = await party(desk, gate, run.candidate, refusals)
    incumbent = await party(desk, gate, run.incumbent, refusals)
    judge = await party(desk, gate, run.judge, refusals, judge=True) if run.judge else None
    if refusals:
        raise Fault(Kind.CONFLICT, "gate_refused", "; ".join(refusals))
    return Prepared(gate, candidate, incumbent, judge, tuple((each, by_kind[each.kind]) for each in run.suites), ())


def _judging(judge: str) -> tuple[str, str]:
    """A judge, and the digest of the words that it is asked in."""
    return judge, rubric.digest() if judge else ""


def questions(run: GateRun, suites: Iterable[tuple[SuiteRun, Suite]]) -> list[Question]:
    """Every question of a run, in the order that its id gives: the two releases' side by side."""

    def drawn(*words: object) -> bytes:
        return hashlib.sha256(" ".join(map(str, (run.id, *words))).encode()).digest()

    every = [
        Question(f"{suite.kind.value} {item.id} {side.value} {repeat}", suite, item, side, repeat)
        for suite, found in suites
        for item in found.items
        for repeat in range(suite.repeats)
        for side in Side
    ]
    return sorted(every, key=lambda q: (drawn(q.suite.kind.value, q.item.id, q.repeat), drawn(q.name)))


def told(stored: Stored) -> GateProgress:
    """How far a run is, from what is stored."""
    run = stored.run
    passed: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    unscored: Counter[str] = Counter()
    for name, outcome in stored.outcomes.items():
        side = Side(name.split(" ")[2]).name.lower()
        if outcome.score is None:
            unscored[outcome.why] += 1
        else:
            (passed if outcome.score >= PASSED else failed)[side] += 1
    calls = sum(2 * each.items * each.repeats for each in run.suites)
    done = len(stored.outcomes)
    stopped = ""
    if done < calls:
        if run.budget_micro and stored.cost.micro >= run.budget_micro:
            stopped = "budget"
        elif failing(done, unscored.total()):
            stopped = "failing"
    return GateProgress(
        id=run.id,
        alias=run.alias,
        candidate=run.candidate,
        incumbent=run.incumbent,
        calls=calls,
        done=done,
        busy=len(stored.held),
        passed=dict(passed),
        failed=dict(failed),
        unscored=dict(unscored),
        spent_micro=stored.cost.micro,
        unpriced=stored.cost.unpriced,
        input_tokens=stored.cost.input,
        output_tokens=stored.cost.output,
        budget_micro=run.budget_micro,
        stopped=stopped,
        evidence=stored.evidence,
    )


def failing(done: int, unscored: int) -> bool:
    """Whether so many answers have no score that asking on is a waste."""
    return done >= FAILING and unscored > done / 2


@dataclass(slots=True)
class _Work:
    """One piece of work: a few slots that ask, and a sign of life beside them."""

    desk: Desk
    stored: Stored
    made: Prepared
    caller: Caller
    until: float
    worker: str = field(default_factory=lambda: secrets.token_hex(6))
    open: deque[Question] = field(default_factory=deque)
    spent: int = 0
    answered: int = 0
    unscored: int = 0
    trouble: Fault | None = None

    async def done(self) -> None:
        """Ask until there is no time, money or question left. Raises Fault."""
        order = questions(self.stored.run, self.made.suites)
        self.open.extend(each for each in order if each.name not in self.stored.outcomes)
        self.spent = self.stored.cost.micro
        self.answered = len(self.stored.outcomes)
        self.unscored = sum(outcome.score is None for outcome in self.stored.outcomes.values())
        async with asyncio.TaskGroup() as group:
            alive = group.create_task(self._alive())
            async with asyncio.TaskGroup() as slots:
                for _ in range(self.made.gate.concurrency):
                    slots.create_task(self._slot())
            alive.cancel()
        if self.trouble is not None:
            raise self.trouble

    async def _alive(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await runs.claim(self.desk.store, self.stored.run.id, self.worker, ())
            except Fault as fault:
                self.trouble = fault
                return

    async def _slot(self) -> None:
        run = self.stored.run
        try:
            while self.trouble is None and anyio.current_time() < self.until:
                if (run.budget_micro and self.spent >= run.budget_micro) or failing(self.answered, self.unscored):
                    return
                question = await self._next()
                if question is None:
                    return
                await self._asked(question)
        except Fault as fault:
            self.trouble = fault

    async def _next(self) -> Question | None:
        """The next question that nobody else asks, claimed."""
        while self.open:
            window = [self.open.popleft() for _ in range(min(WINDOW, len(self.open)))]
            names = [each.name for each in window]
            claimed = await runs.claim(self.desk.store, self.stored.run.id, self.worker, names)
            if claimed:
                place = names.index(claimed[0])
                self.open.extendleft(reversed(window[place + 1 :]))
                return window[place]
        return None

    async def _asked(self, question: Question) -> None:
        candidate, incumbent = self.made.parties
        asked: Party = candidate if question.side is Side.CANDIDATE else incumbent
        try:
            found = await self.caller.ask(question.item, asked, self.made.judge)
        except NotAsked as error:
            raise Fault(Kind.OVERLOADED, "data_port_down", str(error), retry=True) from error
        self.spent += found.cost.micro
        self.answered += 1
        self.unscored += found.outcome.score is None
        await runs.put(self.desk.store, self.stored.run.id, question.name, found.outcome, found.cost)


def _evidence(desk: Desk, stored: Stored, made: Prepared, right: Mapping[str, frozenset[str]]) -> Evidence:
    """`right` are the models by snapshot that a person has acknowledged."""
    run = stored.run
    answered: dict[str, Counter[str]] = {run.candidate: Counter(), run.incumbent: Counter()}
    for name, outcome in stored.outcomes.items():
        if outcome.model:
            answered[run.candidate if name.split(" ")[2] == Side.CANDIDATE.value else run.incumbent][outcome.model] += 1
    fallbacks = sum(
        _others(
            each,
            answered[each.release.id],
            desk.settings.providers[each.release.snapshot.provider],
            right[each.release.triple.model],
        )
        for each in {each.release.id: each for each in made.parties}.values()
    )
    told_request = f"; request {msgspec.json.encode(run.request).decode()[:500]}" if run.request else ""
    return Evidence(
        alias=run.alias,
        candidate=run.candidate,
        incumbent=run.incumbent,
        origin=Origin.GATEWAY,
        engine=f"trivet {__version__}",
        actor=run.actor,
        started_ms=run.started_ms,
        ended_ms=desk.now_ms,
        suites=tuple(_suite(stored.outcomes, each, suite, run) for each, suite in made.suites),
        models={release: tuple(sorted(models)) for release, models in answered.items() if models},
        epochs=run.epochs,
        fallbacks=fallbacks,
        cost_micro=stored.cost.micro,
        note=run.id + told_request,
    )


def _suite(outcomes: Mapping[str, Outcome], run: SuiteRun, suite: Suite, whole: GateRun) -> SuiteEvidence:
    by_judge = judged(suite)

    def scores(item: Item, side: Side) -> tuple[float, ...]:
        names = (f"{run.kind.value} {item.id} {side.value} {repeat}" for repeat in range(run.repeats))
        found = (outcomes[name].score for name in names if name in outcomes)
        return tuple(score for score in found if score is not None)

    made = tuple(
        Score(item.id, scores(item, Side.CANDIDATE), scores(item, Side.INCUMBENT), item.group, item.category)
        for item in suite.items
    )
    answers = sum(len(each.candidate) + len(each.incumbent) for each in made)
    return SuiteEvidence(
        suite=run.suite,
        kind=run.kind,
        digest=run.digest,
        repeats=run.repeats,
        scores=made,
        unscored=2 * run.items * run.repeats - answers,
        judge=whole.judge if by_judge else "",
        rubric=whole.rubric if by_judge else "",
    )


def _others(
    asked: Party, answered: Mapping[str, int], provider: ProviderSettings, known: frozenset[str] = frozenset()
) -> int:
    """Answers by another model than the release's, nor by one that is `known` to be right. Of a release that is not pinned nobody
    knows the right one, so there it is those that are not by the usual one."""
    if not answered:
        return 0
    pinned = asked.release.snapshot.model
    names = {pinned, *known, *(each.models[pinned] for each in provider.endpoints if pinned in each.models)}
    right: Callable[[str], bool] = lambda model: model in names or model.endswith("/" + pinned)  # noqa: E731
    if asked.release.pin is not PinClass.PINNED and not any(map(right, answered)):
        return sum(answered.values()) - max(answered.values())
    return sum(count for model, count in answered.items() if not right(model))
