"""Rollouts with lanes, runs, gate evidence, people, crashes, a store that flaps and entries that come twice: any sequence, on a real server.

tests/core/rollout/test_state_machine.py does the same to the pure core, with facts of any kind.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway import data
from gateway.control import evidence, rollouts
from gateway.control.aliases import apply, export
from gateway.control.block import block, unblock
from gateway.control.conductor import Conductor
from gateway.control.desk import Desk
from gateway.control.facts import LOOK_MS
from gateway.control.promote import promote
from gateway.control.releases import create
from gateway.control.rollback import rollback
from gateway.core.binding.decide import choose
from gateway.core.contract.alias import AliasState, Lane, SideEffects, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.journal import Event, Exposure
from gateway.core.contract.pair import Side
from gateway.core.contract.records import ReleaseAsk
from gateway.core.contract.rollout import Action, Guardrail, Phase, Plan, Stage, Word
from gateway.core.contract.run import Source, Stamp, run_digest
from gateway.core.pinning.table import parse
from gateway.core.rollout import judge
from gateway.settings.model import AliasSettings, ProviderSettings, ReleaseSettings, Settings, StoreSettings
from gateway.store import aliases
from gateway.store.records import encode_stamp
from gateway.store.scripts import BIND, sha
from tests.control import whole
from tests.control.conftest import MODELS
from tests.control.gates import ITEMS, gated, proof
from tests.control.rolling import SECOND, Numbered, Theatre
from tests.control.stored import keep
from tests.control.test_rollout_orders import AFTER, BEFORE, Flapping
from tests.core.gate.evidences import flips
from tests.store.servers import RealRedis

T = TypeVar("T")
GOLD = "segment:gold"
PLAN = Plan(
    stages=(
        Stage(GOLD, 5000, SECOND, 4),
        Stage("*", 2500, SECOND, 4),
        Stage("*", 5000, SECOND, 4, approve=True),
    ),
    promoting=Stage("*", 8000, SECOND, 8),
    guardrails=(Guardrail("error"), Guardrail("refusal", Action.FREEZE)),
)
SHADOWED = msgspec.structs.replace(PLAN, trios=3)
"""Nobody skips a shadow at stakes high."""
CALM = "tenant:calm"
"""A lane that no rollout is of."""
LANES: dict[str, dict[str, str]] = {
    "one lane": {"*": "AB"},
    "two lanes": {"*": "AB", GOLD: "AB"},
    "another lane": {"*": "AB", CALM: "DB"},
}
ORDERS = (Word.OVERRIDE, Word.APPROVE, Word.FREEZE, Word.RESUME, Word.ACCEPT, Word.ABORT)


class Rolling(RuleBasedStateMachine):
    """One alias with a gate, two loops, people, agents. What is drawn depends on nothing that is stored: on a busy machine a lease may
    run out that was held before."""

    server: RealRedis
    folder: Path
    numbered: Numbered
    pins = parse((Path(data.__file__).parent / "pinning.toml").read_text())

    @initialize(
        lanes=st.sampled_from(sorted(LANES)),
        stakes=st.sampled_from(Stakes),
        steps=st.integers(0, 4),
        proven=st.booleans(),
    )
    def begin(self, lanes: str, stakes: Stakes, steps: int, proven: bool) -> None:
        """`usual` on A, with B before it; a lane of its own for gold, or none yet; a rollout that is some stages on its way, or none."""
        self.runner = asyncio.Runner()
        self.numbered.count = 0
        self.server.ask("FLUSHALL")
        declared = AliasSettings(ReleaseSettings(MODELS["A"]), stakes=stakes, side_effects=SideEffects.NONE)
        configuration = Settings(
            store=StoreSettings(redis=self.server.url, data_dir=tempfile.gettempdir() + "/no-such-trivet"),
            providers={"openai": ProviderSettings(base_url="https://api.openai.com", api_key="sk-o")},
            aliases={"usual": declared},
            capture="metadata",
        )
        self.store = Flapping(configuration.store)
        self.desk = gated(Desk(self.store, configuration, self.pins, "alice", 1_700_000_000_000), self.folder)
        self.stage = Theatre(self.desk)
        self.ids = {x: self.run(create(self.desk, ReleaseAsk(model=model))).id for x, model in MODELS.items()}
        pointers = {
            name: Lane(self.ids[word[0]], tuple(self.ids[letter] for letter in word[1:]))
            for name, word in LANES[lanes].items()
        }
        state = AliasState("usual", 1, pointers, stakes=stakes)
        assert self.run(aliases.create(self.store, state, self.desk.entry("first_release", "start")))
        self.loops = [self.loop(), self.loop()]
        self.bound: dict[str, bytes] = {}
        self.runs = self.pairs = 0
        self.known, self.stakes = state, stakes
        if steps:
            self.goes_well("C", steps, 0, proven)

    def loop(self) -> Conductor:
        """A loop that has just been started."""
        self.started = getattr(self, "started", 0) + 1
        return Conductor(self.stage.desks, f"loop-{self.started}", list_seconds=0)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it now."""
        return self.runner.run(work)

    def tried(self, work: Coroutine[Any, Any, T]) -> T | Fault:
        """What came of it; afterwards the store answers again."""
        try:
            return self.run(work)
        except Fault as fault:
            return fault
        finally:
            self.store.fails = ()

    def state(self) -> AliasState:
        """As stored."""
        return self.run(self.desk.alias("usual"))

    def now(self, actor: str = "alice") -> Desk:
        """A desk of now."""
        return replace(self.desk, now_ms=self.stage.now_ms, actor=actor)

    # --- people ----------------------------------------------------------------------------------------------------

    @rule(letter=st.sampled_from("CD"), supersede=st.booleans(), proven=st.booleans())
    def start(self, letter: str, supersede: bool, proven: bool) -> None:
        """Somebody begins a rollout, with a GO there already or not."""
        if proven:
            self.prove(letter, "green")
        high = self.stakes is Stakes.HIGH
        plan, skip = (SHADOWED, "") if high else (PLAN, "test")
        order = rollouts.Order(
            "usual", self.ids[letter], plan, skip_shadow=skip, supersede=supersede, acknowledged=True
        )
        before = self.state()
        result = self.tried(rollouts.start(self.now(), order, "why", timeout=0))
        if not isinstance(result, Fault):
            assert before.rollout is None or before.rollout.ended or supersede
            assert self.ids[letter] not in before.barred

    @rule(word=st.sampled_from(ORDERS), name=st.sampled_from(["", "ann"]))
    def order(self, word: Word, name: str) -> None:
        """Somebody says a word; one that is refused changes nothing, and an abort is carried out whatever else is going on."""
        before, flapping = self.state(), bool(self.store.fails)
        if before.rollout is None:
            return
        result = self.tried(rollouts.order(self.now("bob"), "usual", word, "why", name=name, timeout=0))
        if isinstance(result, Fault) and not flapping:
            assert self.state() == before
            assert (
                word is not Word.ABORT
                or result.code == "rollout_none"
                or before.rollout is None
                or before.rollout.ended
            )

    @rule(letter=st.sampled_from("BCD"), override=st.sampled_from(["", "ann"]))
    def promote(self, letter: str, override: str) -> None:
        """Somebody promotes by hand: never past a rollout, nor a barred release, nor without a GO or a name where stakes ask for it."""
        before = self.state()
        result = self.tried(promote(self.now(), "usual", self.ids[letter], "why", override=override, timeout=0))
        if not isinstance(result, Fault) and result.changed:
            assert before.rollout is None or before.rollout.ended
            assert self.ids[letter] not in before.barred

    @rule(
        letter=st.sampled_from(["", "", "A", "B", "C"]),
        lane=st.sampled_from(["", "", "*", GOLD, CALM]),
        twice=st.booleans(),
    )
    def rollback(self, letter: str, lane: str, twice: bool) -> None:
        """Somebody rolls back: then no rollout of that lane is in progress, and a second time changes nothing."""
        to, flapping, before = self.ids[letter] if letter else "", bool(self.store.fails), self.state()
        result = self.tried(rollback(self.now(), "usual", "why", lane=lane, to=to, timeout=0))
        state = self.state()
        if flapping or isinstance(result, Fault):
            assert flapping or state == before
            return
        assert state.rollout is None or state.rollout.ended or lane not in ("", *state.rollout.lanes)
        if twice:
            self.tried(rollback(self.now(), "usual", "why", lane=lane, to=to, timeout=0))
            assert self.state() == state

    @rule(lane=st.sampled_from(["*", GOLD, CALM]), letter=st.sampled_from("ABCD"))
    def apply_file(self, lane: str, letter: str) -> None:
        """Somebody applies an edited export: never past a rollout, nor a barred release."""
        before = self.state()
        file = self.run(export(self.desk))
        file.aliases["usual"].lanes[lane] = self.ids[letter]
        result = self.tried(apply(self.now(), file, "edit", override="ann", timeout=0))
        after = self.state()
        if not isinstance(result, Fault) and after.lanes != before.lanes:
            assert before.rollout is None or before.rollout.ended

    @rule(letter=st.sampled_from("ACD"), blocked=st.booleans())
    def block(self, letter: str, blocked: bool) -> None:
        """Somebody blocks a release, or no longer: a rollout whose candidate is blocked is over."""
        flapping = bool(self.store.fails)
        work = (
            block(self.now(), self.ids[letter], "leaks") if blocked else unblock(self.now(), self.ids[letter], "fine")
        )
        result = self.tried(work)
        rollout = self.state().rollout
        if blocked and not flapping and not isinstance(result, Fault) and rollout is not None and not rollout.ended:
            assert rollout.candidate != self.ids[letter]

    @rule(letter=st.sampled_from("CD"))
    def retry(self, letter: str) -> None:
        """Somebody lifts a bar."""
        self.tried(rollouts.retry(self.now(), "usual", "why", candidate=self.ids[letter], timeout=0))

    @rule(letter=st.sampled_from("CD"), number=st.integers(1, 3), status=st.sampled_from([200, 200, 500]))
    def shadowed(self, letter: str, number: int, status: int) -> None:
        """The shadow compared a candidate, as a trio each; or its calls failed."""
        fails, self.store.fails = self.store.fails, ()
        candidate = Side(self.ids[letter], "openai/n", status, "server_error" if status == 500 else "")
        for _ in range(number):
            self.pairs += 1
            pair = keep(
                self.store, self.pairs, (self.ids["A"], self.ids[letter]), alias="usual", at_ms=self.stage.now_ms,
                secondary=Side(self.ids["A"], "openai/m", 200), answer=candidate,
            )  # fmt: skip
            self.run(pair)
        self.store.fails = fails

    @rule(letter=st.sampled_from("CD"), word=st.sampled_from(["green", "green", "red", "other", "stale"]))
    def prove(self, letter: str, word: str) -> None:
        """The gate was run: green, red, of another pair, or long ago."""
        self.stage.later(LOOK_MS)
        ended = self.stage.now_ms - (30 * 86_400_000 if word == "stale" else 1)
        incumbent = self.ids["B" if word == "other" else "A"]
        scores = flips(ITEMS, 20) if word == "red" else ()
        self.run(proof(self.now(), "usual", self.ids[letter], incumbent, scores=scores, ended_ms=ended))

    # --- agents ----------------------------------------------------------------------------------------------------

    @rule(
        number=st.integers(1, 6),
        segment=st.sampled_from(["", "gold"]),
        bad=st.sampled_from(["", "", "error", "refusal"]),
    )
    def new_runs(self, number: int, segment: str, bad: str) -> None:
        """New runs are bound as the state in force says; what they tell comes once or twice."""
        state = self.state()
        assert state.version >= self.known.version
        for _ in range(number):
            self.runs += 1
            self._bind(state, f"run-{self.runs}", segment, bad)

    def _bind(self, state: AliasState, run: str, segment: str, bad: str) -> None:
        choice = choose(state, "t", segment, run)
        at_ms = self.stage.now_ms
        stamp = Stamp(
            "t", run, "usual", choice.release, "m", choice.lane, choice.arm,
            source=Source.HEADER, version=state.version, at_ms=at_ms, allocation=choice.allocation,
        )  # fmt: skip
        self._stamped(stamp)
        self.bound[run] = encode_stamp(stamp)
        told = (run, choice.release, choice.arm.value, at_ms, choice.allocation, choice.lane, run, state.version)
        salt = state.split.salt if state.split is not None else ""
        exposure = Exposure(run, "t", "usual", *told[1:3], choice.allocation, salt, at_ms, choice.lane, run, told[7])
        event = Event(*told, (bad,) if bad else ())
        keys = self.store.keys
        commands = [
            ("XADD", keys.exposures("usual"), "*", "entry", msgspec.json.encode(exposure)),
            ("XADD", keys.events("usual"), "*", "entry", msgspec.json.encode(event)),
        ]
        self.run(self.store.read_many(commands * (1 + self.runs % 2)))

    def _stamped(self, stamp: Stamp) -> None:
        digest = run_digest(stamp.tenant, stamp.run)
        keys = [self.store.keys.run_of(digest), self.store.keys.journal_of(digest)]
        fails, self.store.fails = self.store.fails, ()
        arguments: list[str | bytes | int] = ["usual", encode_stamp(stamp), 60_000, 60_000, "new", ""]
        self.run(self.store.script(BIND, sha(BIND), keys, arguments))
        self.store.fails = fails

    @rule()
    def old_runs_come_again(self) -> None:
        """A run that asks again wants what is in force now, and keeps what it has."""
        state = self.state()
        for run in list(self.bound)[-5:]:
            choice = choose(state, "t", "", run)
            self._stamped(
                Stamp("t", run, "usual", choice.release, "m", choice.lane, choice.arm, at_ms=self.stage.now_ms)
            )

    def a_stage_goes_well(self) -> None:
        """Time and good runs enough for the stage in force."""
        if self.state().split is None:
            self.stage.later(SECOND)
        else:
            self.run(self.stage.due("usual"))

    @rule(bad=st.sampled_from(["error", "refusal"]), runs=st.integers(1, 9), which=st.sampled_from((0, 1)))
    def goes_badly(self, bad: str, runs: int, which: int) -> None:
        """The candidate fails or refuses in a few runs, or in many, and a loop looks."""
        if self.state().split is None:
            return
        self.run(self.stage.serve(runs, bad=(bad,), alias="usual"))
        self.crash(1 - which, lapsed=True)
        self.rounds(which, 1)

    @rule(letter=st.sampled_from("CD"), steps=st.integers(1, 6), which=st.sampled_from((0, 1)), proven=st.booleans())
    def goes_well(self, letter: str, steps: int, which: int, proven: bool) -> None:
        """A rollout is begun where none is in progress, and for some stages all is well: time, runs, rounds, and a person who approves."""
        state = self.state()
        if state.rollout is None or state.rollout.ended:
            self.start(letter, supersede=False, proven=proven)
            self.order(Word.OVERRIDE, "ann")
        for _ in range(steps):
            self.shadowed(letter, SHADOWED.trios, 200)
            self.a_stage_goes_well()
            self.stage.later(LOOK_MS)
            self.crash(1 - which, lapsed=True)
            self.rounds(which, 2)
            self.order(Word.APPROVE, "")

    # --- processes -------------------------------------------------------------------------------------------------

    @rule(which=st.sampled_from((0, 1)), rounds=st.integers(1, 2))
    def rounds(self, which: int, rounds: int) -> None:
        """A loop makes rounds: whoever widens has a GO of this moment, or somebody who answers for it."""
        for _ in range(rounds):
            before = self.state()
            self.tried(self.loops[which].round())
            after = self.state()
            if whole.exposure(after) > whole.exposure(before):
                rollout = after.rollout
                assert rollout is not None
                found = self.run(evidence.report_for(self.now(), "usual", rollout.candidate, rollout.incumbent))
                assert found.verdict.value == "GO" or judge.overridden(rollout, self.desk.stakes(after))
                assert self.stakes is not Stakes.HIGH or rollout.phase is not Phase.PROMOTING, "nobody approved"

    @rule(which=st.sampled_from((0, 1)), lapsed=st.booleans())
    def crash(self, which: int, lapsed: bool) -> None:
        """A loop dies and another begins in its place: at once, or when the lease has run out."""
        self.loops[which] = self.loop()
        if lapsed:
            self.run(self.store.do("HSET", self.store.keys.control(), "at_ms", 1))

    @rule(fails=st.lists(st.sampled_from((BEFORE, AFTER, "")), min_size=1, max_size=4))
    def flap(self, fails: list[str]) -> None:
        """The store will not answer some of the next writes."""
        self.store.fails = tuple(fails)

    @invariant()
    def all_is_whole(self) -> None:
        """`whole.check`: one rollout at most, weights and bars as it says, pointers moved by what may move them, a history that leads
        there; and the version never falls."""
        state = self.state()
        entries = list(reversed(self.run(aliases.history(self.store, "usual", 10_000))))
        whole.check(state, entries)
        assert state.version >= self.known.version
        assert (state.version > self.known.version) is (whole._unfenced(state) != whole._unfenced(self.known))
        self.known = state

    @invariant()
    def no_run_changes(self) -> None:
        """Every run that was bound has the stamp it was given first, byte for byte."""
        names = list(self.bound)
        reads = [("HGET", self.store.keys.run_of(run_digest("t", run)), "stamp:usual") for run in names]
        found = self.run(self.store.read_many(reads)) if reads else []
        assert list(found) == [self.bound[run] for run in names]

    def teardown(self) -> None:
        """Let go of the server."""
        if hasattr(self, "runner"):
            self.run(self.store.close())
            self.runner.close()


@pytest.mark.parametrize(
    "examples", [pytest.param(8, marks=pytest.mark.timeout(120)), pytest.param(400, marks=pytest.mark.slow)]
)
def test_any_sequence_with_gates_runs_and_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examples: int
) -> None:
    """No sequence of people, agents, evidence, loops that die and answers that are lost breaks a promise of a rollout."""
    numbered = Numbered()
    monkeypatch.setattr(rollouts, "secrets", numbered)
    with RealRedis(tmp_path) as server:
        here = type("RollingHere", (Rolling,), {"server": server, "folder": tmp_path, "numbered": numbered})
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            here,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=checks,
                database=None,
            ),
        )
