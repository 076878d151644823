"""Pointers under any sequence of orders by two operators, against a real server and a plain model of what must be true."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from gateway import data
from gateway.control.aliases import apply, export
from gateway.control.block import block, unblock
from gateway.control.desk import Desk
from gateway.control.promote import promote
from gateway.control.releases import create
from gateway.control.rollback import rollback
from gateway.core.contract.alias import AliasState, Lane, SideEffects, Split, Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import Moved, PointerFile, ReleaseAsk
from gateway.core.pinning.table import parse
from gateway.settings.model import AliasSettings, ProviderSettings, ReleaseSettings, Settings, StoreSettings
from gateway.store import aliases
from gateway.store.client import Store
from tests.control.conftest import MODELS
from tests.store.servers import RealRedis

T = TypeVar("T")
LETTERS = st.sampled_from("ABCD")
LANES = ("*", "segment:gold", "tenant:acme")


class Orders(RuleBasedStateMachine):
    """Promote, roll back, block, apply and canaries in any order; refusals are fine, broken promises are not."""

    server: RealRedis
    pins = parse((Path(data.__file__).parent / "pinning.toml").read_text())

    @initialize()
    def begin(self) -> None:
        """One alias with three lanes on A, which B, C and D may follow."""
        self.runner = asyncio.Runner()
        self.server.ask("FLUSHALL")
        declared = AliasSettings(ReleaseSettings(MODELS["A"]), stakes=Stakes.LOW, side_effects=SideEffects.NONE)
        configuration = Settings(
            store=StoreSettings(redis=self.server.url, data_dir=tempfile.gettempdir() + "/no-such-trivet"),
            providers={"openai": ProviderSettings(base_url="https://api.openai.com")},
            aliases={"agent": declared},
        )
        self.store = Store(configuration.store)
        self.desk = Desk(self.store, configuration, self.pins, "alice", 1)
        self.ids = {x: self.run(create(self.desk, ReleaseAsk(model=model))).id for x, model in MODELS.items()}
        state = AliasState("agent", 1, {lane: Lane(self.ids["A"]) for lane in LANES}, stakes=Stakes.LOW)
        assert self.run(aliases.create(self.store, state, self.desk.entry("first_release", "start")))
        self.blocked: set[str] = set()
        self.known = state
        self.once_stable = {lane: {self.ids["A"]} for lane in LANES}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it now."""
        return self.runner.run(work)

    def tried(self, work: Coroutine[Any, Any, T]) -> T | Fault:
        """What came of it."""
        try:
            return self.run(work)
        except Fault as fault:
            return fault

    @rule(letter=LETTERS)
    def promote(self, letter: str) -> None:
        """A promotion moves every lane to the same release, or none."""
        release = self.ids[letter]
        result = self.tried(promote(self.desk, "agent", release, "try"))
        if isinstance(result, Fault):
            assert result.code == ("release_blocked" if release in self.blocked else "rollout_active")
        else:
            assert {lane.release for lane in result.after.values()} == {release}

    @rule(lane=st.sampled_from(["", *LANES]), letter=st.sampled_from(["", *"ABCD"]))
    def roll_back(self, lane: str, letter: str) -> None:
        """A rollback lands only on what was stable in the lane and may be called; the same order again changes nothing."""
        to = self.ids[letter] if letter else ""
        before = self.state()
        result = self.tried(rollback(self.desk, "agent", "bad", lane=lane, to=to))
        if isinstance(result, Fault):
            assert result.code == "no_warm_release"
            assert self.state() == before
            return
        for name, pointer in result.after.items():
            if pointer != result.before[name]:
                assert pointer.release in result.before[name].previous
                assert pointer.release not in self.blocked
                assert lane in ("", name)
        if before.split is None:
            again = self.run(rollback(self.desk, "agent", "bad", lane=lane, to=to))
            assert not again.changed
        elif not lane:
            assert result.split_after is None

    @rule(letter=LETTERS)
    def block(self, letter: str) -> None:
        """Blocking never moves a pointer."""
        before = self.state().lanes
        self.run(block(self.desk, self.ids[letter], "leaks"))
        self.blocked.add(self.ids[letter])
        assert self.state().lanes == before

    @rule(letter=LETTERS)
    def unblock(self, letter: str) -> None:
        """Nor does unblocking."""
        self.run(unblock(self.desk, self.ids[letter], "fine"))
        self.blocked.discard(self.ids[letter])

    @rule(letter=LETTERS)
    def canary(self, letter: str) -> None:
        """The control loop starts a canary, as a later version of it will."""
        state = self.state()
        split = Split(self.ids[letter], "salt", dict.fromkeys(LANES, 100))
        self.run(
            aliases.write(self.store, state, msgspec.structs.replace(state, split=split), self.desk.entry("start", "x"))
        )

    @rule(lane=st.sampled_from(LANES), letter=LETTERS)
    def apply_file(self, lane: str, letter: str) -> None:
        """An edited export moves the edited lane only."""
        file = self.run(export(self.desk))
        before = self.state()
        file.aliases["agent"].lanes[lane] = self.ids[letter]
        result = self.tried(apply(self.desk, file, "edit"))
        if not isinstance(result, Fault):
            after = self.state()
            assert {n for n in LANES if after.lanes[n] != before.lanes[n]} <= {lane}
            assert after.lanes[lane].release == self.ids[letter]

    @rule(one=LETTERS, lane=st.sampled_from(["", *LANES]))
    def race(self, one: str, lane: str) -> None:
        """Two operators at once: what is stored is what one of them, or both in turn, asked for."""
        bob = Desk(self.store, self.desk.settings, self.pins, "bob", 2)

        async def both() -> list[Moved | BaseException]:
            orders = promote(self.desk, "agent", self.ids[one], "try"), rollback(bob, "agent", "bad", lane=lane)
            return list(await asyncio.gather(*orders, return_exceptions=True))

        for result in self.run(both()):
            assert isinstance(result, Moved | Fault), result

    @rule(letter=LETTERS)
    def stale_file(self, letter: str) -> None:
        """A file of an older version is always refused."""
        file = self.run(export(self.desk))
        old = {name: msgspec.structs.replace(want, version=want.version - 1) for name, want in file.aliases.items()}
        if self.state().version > 1:
            result = self.tried(apply(self.desk, PointerFile(old), "late"))
            assert isinstance(result, Fault)
            assert result.code == "pointer_moved"

    def state(self) -> AliasState:
        """What the store has."""
        return self.run(self.desk.alias("agent"))

    @invariant()
    def nothing_is_lost(self) -> None:
        """Versions only grow, every one of them is in the history once, and each entry starts where the last one ended."""
        state = self.state()
        assert state.version >= self.known.version
        entries = list(reversed(self.run(aliases.history(self.store, "agent", 10_000))))
        assert [entry.version for entry in entries] == list(range(1, state.version + 1))
        for earlier, later in itertools.pairwise(entries):
            assert later.before == earlier.after
        assert entries[-1].after == state
        for entry in entries:
            assert entry.after is not None
            for name, lane in entry.after.lanes.items():
                self.once_stable[name].add(lane.release)
        for name, lane in state.lanes.items():
            assert set(lane.previous) <= self.once_stable[name]
            assert lane.release not in lane.previous
        self.known = state

    def teardown(self) -> None:
        """Let go of the server."""
        if hasattr(self, "runner"):
            self.run(self.store.close())
            self.runner.close()


@pytest.mark.timeout(120)
def test_any_sequence_of_orders(tmp_path: Path) -> None:
    """No sequence of orders breaks the pointer's promises."""
    with RealRedis(tmp_path) as server:
        machine = type("OrdersHere", (Orders,), {"server": server})
        checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine,
            settings=settings(
                max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=checks, database=None
            ),
        )
