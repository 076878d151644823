"""Rollouts under whatever may happen: words of persons, facts of any kind, time, a control process that looks now and then."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Facts, GateFacts, Phase, Rollout, ShadowFacts, Tally, Verdict, Word
from gateway.core.rollout.judge import due, overridden, stage_over
from gateway.core.rollout.machine import begin, possible, state_after, turn
from gateway.core.rollout.table import LIVING, PERSONAL
from tests.core.rollout.walk import HOUR, PLAN, STATE, findings

MOVING = (Word.GO, Word.ADVANCE)


def exposure(state: AliasState) -> int:
    """How much of the alias is on the candidate: shares of its lanes, and pointers as whole lanes."""
    split = sum(state.split.weights.values()) if state.split else 0
    return split + 10_000 * sum(lane.release == "rel_new" for lane in state.lanes.values())


class Rollouts(RuleBasedStateMachine):
    """One alias and its rollout, under persons and a control process."""

    @initialize(stakes=st.sampled_from(Stakes))
    def begun(self, stakes: Stakes) -> None:
        """A fresh rollout of the plan."""
        self.stakes = stakes
        self.now = 0
        self.number = 1
        self.state = STATE
        self._start()
        self.facts = Facts(0)

    def _start(self) -> None:
        made = begin(self.state, PLAN, "rel_new", identifier=f"{self.number:016d}", now_ms=self.now)
        self._write(turn(made, Word.START, now_ms=self.now, stakes=self.stakes))

    @property
    def rollout(self) -> Rollout:
        """The rollout in the alias."""
        assert self.state.rollout is not None
        return self.state.rollout

    def _write(self, rollout: Rollout) -> None:
        after = state_after(self.state, rollout, 3)
        self.state = msgspec.structs.replace(after, version=self.state.version + 1)

    def _facts(self, hours: int, units: int, verdicts: tuple[Verdict, Verdict], **rest: Any) -> None:
        self.now += hours * HOUR
        counted = {f"{stage.lane} canary {stage.weight}": units for stage in (*PLAN.stages, PLAN.promoting)}
        self.facts = Facts(
            self.now,
            tally=Tally(counted, newest_ms=self.now if units else 0, trips={"model_gone": rest.get("trips", 0)}),
            findings=findings(*verdicts) if units else (),
            shadow=ShadowFacts(units // 5, units, 0, "r"),
            gate=GateFacts(rest.get("gate", "GO"), ("e",)),
            alarms=rest.get("alarms", ()),
            errors=rest.get("errors", 0),
        )

    @rule(rounds=st.integers(1, 5), approves=st.booleans())
    def all_goes_well(self, rounds: int, approves: bool) -> None:
        """Good facts for some hours, a control process that looks at them, and a person who approves where one is asked."""
        for _ in range(rounds):
            self._facts(2, 40, (Verdict.PASS, Verdict.PASS))
            self.control_looks()
        if approves:
            self.a_person_says(Word.APPROVE, 0)

    @rule(
        hours=st.integers(0, 30),
        units=st.sampled_from([0, 9, 40]),
        verdicts=st.tuples(st.sampled_from(Verdict), st.sampled_from(Verdict)),
        gate=st.sampled_from(["GO", "NO-GO", "INSUFFICIENT", "MISSING"]),
        alarms=st.sampled_from([(), ("drift",), ("undeclared",)]),
        errors=st.sampled_from([0, 1, 5]),
        trips=st.sampled_from([0, 1, 3]),
    )
    def all_at_once(self, hours: int, units: int, verdicts: tuple[Verdict, Verdict], **rest: Any) -> None:
        """Any facts at all."""
        self._facts(hours, units, verdicts, **rest)

    @rule(
        hours=st.integers(0, 12),
        odd=st.sampled_from(
            [{"gate": "MISSING"}, {"gate": "NO-GO"}, {"alarms": ("drift",)}, {"errors": 5}, {"trips": 1}]
        ),
        refusal=st.sampled_from(Verdict),
    )
    def one_thing_is_odd(self, hours: int, odd: dict[str, Any], refusal: Verdict) -> None:
        """Good facts but for one of the gate, an alarm, the reading or a trip, and a signal that says anything."""
        self._facts(hours, 40, (Verdict.PASS, refusal), **odd)
        self.control_looks()

    @rule()
    def control_looks(self) -> None:
        """The control process does what is due."""
        before, rollout = exposure(self.state), self.rollout
        found = due(rollout, self.facts, self.stakes)
        if found is None:
            return
        assert found.word not in PERSONAL - {Word.FREEZE}
        turned = turn(
            rollout,
            found.word,
            now_ms=self.now,
            stakes=self.stakes,
            causes=found.causes,
            evidence=found.evidence,
            report=found.report,
        )
        self._write(turned)
        if exposure(self.state) > before:
            assert found.word in MOVING
            assert rollout.phase in {Phase.GATED, Phase.CANARY, Phase.PROMOTING}
            assert self.facts.gate.verdict == "GO" or overridden(rollout, self.stakes)
            assert self.facts.errors == 0
            assert found.word is Word.GO or stage_over(rollout, self.facts)
            assert not any(
                f.verdict is Verdict.FAIL and f"signal:{f.metric}" not in rollout.waived for f in self.facts.findings
            )
        if found.word is Word.REGRESSION:
            assert exposure(self.state) == 0

    @rule(word=st.sampled_from(sorted(PERSONAL)), really=st.integers(0, 9))
    def a_person_says(self, word: Word, really: int) -> None:
        """Any word at any time: it is possible as told, or refused without a change."""
        if word in {Word.ABORT, Word.ROLLBACK} and really:
            return  # that they work is an invariant; said too often, nothing else would ever happen
        before, rollout, told = self.state, self.rollout, word in possible(self.rollout, self.stakes)
        try:
            turned = turn(rollout, word, now_ms=self.now, stakes=self.stakes, actor="alice", reason="because")
        except Fault as fault:
            assert (fault.code, told) == ("rollout_state", False)
            assert self.state is before
            return
        assert told
        self._write(turned)
        if exposure(self.state) > exposure(before):
            assert word in {Word.OVERRIDE, Word.APPROVE}
            assert rollout.phase in {Phase.GATED, Phase.AWAITING_APPROVAL}
            assert word is Word.APPROVE or self.stakes is not Stakes.HIGH

    @precondition(lambda self: self.rollout.ended and "rel_new" not in self.state.barred)
    @rule()
    def another_begins(self) -> None:
        """After an end, where nothing bars it."""
        if all(lane.release != "rel_new" for lane in self.state.lanes.values()):
            self.number += 1
            self._start()

    @invariant()
    def the_way_out_is_open(self) -> None:
        """Abort, rollback and a regression lead to weight 0 from every phase that lives."""
        rollout = self.rollout
        if rollout.phase in LIVING:
            for word in (Word.ABORT, Word.ROLLBACK, Word.REGRESSION, Word.EXPIRE):
                ended = turn(rollout, word, now_ms=self.now, stakes=self.stakes)
                after = state_after(self.state, ended, 3)
                assert (after.split, exposure(after)) == (None, 0)
                assert "rel_new" in after.barred

    @invariant()
    def the_alias_follows_the_rollout(self) -> None:
        """Applying a rollout that lives twice changes nothing; one that ended exposes nobody but by its pointer, moved at completion."""
        rollout = self.rollout
        if not rollout.ended:
            assert state_after(self.state, rollout, 3) == self.state
            assert self.state.lanes["*"].release == "rel_old"
            assert "rel_new" not in self.state.barred
        else:
            assert self.state.split is None
            assert self.state.shadows == ()
            assert (self.state.lanes["*"].release == "rel_new") == (rollout.phase is Phase.COMPLETED)
        assert self.state.lanes["tenant:vip"] == STATE.lanes["tenant:vip"]

    @invariant()
    def what_is_recorded_is_per_stage(self) -> None:
        """Accepted and approved stages are ones that were reached, and nothing is waived beyond its stage."""
        rollout = self.rollout
        assert all(0 <= stage <= rollout.at for stage in rollout.accepted)
        assert all(0 <= stage <= rollout.at for stage in rollout.approved)
        assert (rollout.phase is Phase.FROZEN) == (rollout.frozen_from is not None)
        assert self.stakes is not Stakes.HIGH or not (rollout.accepted or rollout.override or rollout.skip_shadow)


Rollouts.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRollouts = Rollouts.TestCase
