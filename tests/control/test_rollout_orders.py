"""F13, I4, I5 with a rollout in progress: any sequence of orders, rounds of two loops, traffic and a store that flaps, on a real server.

Whatever happens, a state is whole: split, shadow and bars follow from the rollout, and the pointer moves only at its end.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway import data
from gateway.control import rollouts
from gateway.control.conductor import Conductor
from gateway.control.desk import Desk
from gateway.control.releases import create
from gateway.control.rollback import rollback
from gateway.core.contract.alias import AliasState, Lane, SideEffects, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import ReleaseAsk
from gateway.core.contract.rollout import EXPOSED, TERMINAL, Phase, Word
from gateway.core.pinning.table import parse
from gateway.core.rollout import machine
from gateway.settings.model import AliasSettings, ProviderSettings, ReleaseSettings, Settings, StoreSettings
from gateway.store import aliases
from gateway.store.client import Store, unavailable
from tests.control.conftest import MODELS
from tests.control.rolling import PLAN, Theatre
from tests.store.servers import RealRedis

T = TypeVar("T")
LOST, BEFORE, AFTER = "answer lost", "before", "after"
ORDERS = (Word.OVERRIDE, Word.APPROVE, Word.FREEZE, Word.RESUME, Word.ABORT)


class Flapping(Store):
    """A store that does not answer the next scripts: before it has run them, or after."""

    fails: tuple[str, ...] = ()

    async def script(self, text: str, digest: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """As a store does, but for what is to fail."""
        how, self.fails = (self.fails[0], self.fails[1:]) if self.fails else ("", ())
        if how == BEFORE:
            raise unavailable("away")
        answer = await super().script(text, digest, keys, arguments)
        if how == AFTER:
            raise unavailable(LOST)
        return answer


class Rolling(RuleBasedStateMachine):
    """One alias, two loops, people, and traffic."""

    server: RealRedis
    pins = parse((Path(data.__file__).parent / "pinning.toml").read_text())

    @initialize()
    def begin(self) -> None:
        """`agent` on A, with B before it."""
        self.runner = asyncio.Runner()
        self.server.ask("FLUSHALL")
        declared = AliasSettings(ReleaseSettings(MODELS["A"]), stakes=Stakes.LOW, side_effects=SideEffects.NONE)
        configuration = Settings(
            store=StoreSettings(redis=self.server.url, data_dir=tempfile.gettempdir() + "/no-such-trivet"),
            providers={"openai": ProviderSettings(base_url="https://api.openai.com")},
            aliases={"agent": declared},
        )
        self.store = Flapping(configuration.store)
        self.desk = Desk(self.store, configuration, self.pins, "alice", 1_700_000_000_000)
        self.stage = Theatre(self.desk)
        self.ids = {x: self.run(create(self.desk, ReleaseAsk(model=model))).id for x, model in MODELS.items()}
        state = AliasState("agent", 1, {"*": Lane(self.ids["A"], (self.ids["B"],))}, stakes=Stakes.LOW)
        assert self.run(aliases.create(self.store, state, self.desk.entry("first_release", "start")))
        self.loops = [Conductor(self.stage.desks, name, list_seconds=0) for name in ("one", "two")]

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
        return self.run(self.desk.alias("agent"))

    def now(self) -> Desk:
        """A desk of now."""
        return replace(self.desk, now_ms=self.stage.now_ms)

    @rule(letter=st.sampled_from("CD"), supersede=st.booleans())
    def start(self, letter: str, supersede: bool) -> None:
        """Somebody begins a rollout and answers for its gate."""
        order = rollouts.Order("agent", self.ids[letter], PLAN, skip_shadow="test", supersede=supersede)
        self.tried(rollouts.start(self.now(), order, "why", timeout=0))
        self.tried(rollouts.order(self.now(), "agent", Word.OVERRIDE, "why", timeout=0))

    @rule(word=st.sampled_from(ORDERS))
    def order(self, word: Word) -> None:
        """Somebody says a word; an abort that is possible is carried out whatever else is going on."""
        before = self.state().rollout
        flapping = bool(self.store.fails)
        self.tried(rollouts.order(self.now(), "agent", word, "why", timeout=0))
        after = self.state().rollout
        if word is Word.ABORT and before is not None and not before.ended and not flapping:
            assert after is not None
            assert after.phase is Phase.ABORTED

    @rule()
    def retry(self) -> None:
        """Somebody lifts the bar."""
        self.tried(rollouts.retry(self.now(), "agent", "why", timeout=0))

    @rule(twice=st.booleans())
    def rollback(self, twice: bool) -> None:
        """Somebody rolls back: then no rollout is in progress, and a second time changes nothing."""
        flapping = bool(self.store.fails)
        self.tried(rollback(self.now(), "agent", "why", timeout=0))
        state = self.state()
        if flapping:
            return
        assert state.rollout is None or state.rollout.ended
        if twice:
            self.tried(rollback(self.now(), "agent", "why", timeout=0))
            assert self.state() == state

    @rule(bad=st.booleans())
    def traffic(self, bad: bool) -> None:
        """Time and runs for a stage, good ones or bad ones."""
        if self.state().split is None:
            self.stage.later(1000)
        elif bad:
            self.run(self.stage.serve(8, bad=("error",)))
        else:
            self.run(self.stage.due())

    @rule(which=st.sampled_from((0, 1)), lapsed=st.booleans())
    def round(self, which: int, lapsed: bool) -> None:
        """A loop makes a round, perhaps after the other fell silent."""
        if lapsed:
            self.run(self.store.do("HSET", self.store.keys.control(), "at_ms", 1))
        self.tried(self.loops[which].round())

    @rule(fails=st.lists(st.sampled_from((BEFORE, AFTER, "")), min_size=1, max_size=4))
    def flap(self, fails: list[str]) -> None:
        """The store will not answer some of the next writes."""
        self.store.fails = tuple(fails)

    @invariant()
    def a_state_is_whole(self) -> None:
        """Split, bars and shadows are those of the rollout; nobody is on a candidate outside the phases that have one, and its pointer
        moves only at completion."""
        state = self.state()
        rollout = state.rollout
        if rollout is None:
            assert state.split is None
            return
        weights = machine.weights(rollout)
        assert (dict(state.split.weights) if state.split is not None else {}) == weights
        assert bool(weights) == (rollout.phase in EXPOSED and rollout.at >= 0)
        if state.split is not None:
            assert (state.split.candidate, state.split.salt) == (rollout.candidate, rollout.id)
        if not rollout.ended:
            assert state.lanes["*"].release == rollout.incumbent
        if rollout.phase in TERMINAL - {Phase.COMPLETED} and not rollout.retried:
            assert rollout.candidate in state.barred
            assert state.lanes["*"].release != rollout.candidate

    @invariant()
    def every_step_is_told(self) -> None:
        """Each version is in the history once, each entry starts where the last one ended, and none skips a phase of the table."""
        entries = list(reversed(self.run(aliases.history(self.store, "agent", 10_000))))
        state = self.state()
        assert [entry.version for entry in entries] == list(range(1, state.version + 1))
        for earlier, later in itertools.pairwise(entries):
            assert _unfenced(later.before) == _unfenced(earlier.after)
            assert later.reason
        assert _unfenced(entries[-1].after) == _unfenced(state)

    def teardown(self) -> None:
        """Let go of the server."""
        if hasattr(self, "runner"):
            self.run(self.store.close())
            self.runner.close()


def _unfenced(state: AliasState | None) -> AliasState | None:
    """A state without its epoch, which a takeover raises without a write."""
    return None if state is None else msgspec.structs.replace(state, epoch=0)


@pytest.mark.timeout(120)
def test_any_sequence_with_a_rollout(tmp_path: Path) -> None:
    """No sequence of orders, rounds, races and lost answers leaves a mix."""
    with RealRedis(tmp_path) as server:
        machine_here = type("RollingHere", (Rolling,), {"server": server})
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine_here,
            settings=settings(
                max_examples=8, stateful_step_count=25, deadline=None, suppress_health_check=checks, database=None
            ),
        )
