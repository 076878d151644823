"""Two rollouts of 20,000 runs each, end to end, while the processes that carry them are killed: `make soak ARGS=tests/soak/test_rollout_runs.py`.

The background process, a live worker and Redis die in the middle of a stage. The rollout goes on where it was, and what it
decided on is counted again from the streams. Figures of one run are in docs/rollout.md, "Measured".
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.end_to_end.fleet import ALIAS, Fleet, Models
from tests.end_to_end.rolled import (
    GOOD,
    HARMFUL,
    OLD,
    Count,
    Stand,
    followed,
    odd_allocations,
    recounted,
    reverted,
    settled,
    stand,
    tally,
    unexposed,
    wrong_journals,
    wrong_stamps,
)
from tests.faults import load

RUNS = int(os.environ.get("ROLLOUT_RUNS", "20000"))
RATE = float(os.environ.get("ROLLOUT_RATE", "700"))
"""Requests a second, as far as the machine can."""
BASE, TIMES = 0.02, 3
STAGE_OF_FAULTS = 3
"""Place of the step of 25 %: long enough to lose everything once."""


def manifest(**more: Any) -> dict[str, Any]:
    """1, 5, 25 and 50 % after our own people, by the default guardrails; sizes are shares of the runs there will be."""
    own = [{"weight": "50%", "bake": "1s", "runs": max(RUNS // 100, 5)}]
    steps = [("1%", 1000), ("5%", 200), ("25%", 25), ("50%", 10)]
    return {
        "lanes": [{"lane": "segment:internal", "steps": own}, "*"],
        "steps": [{"weight": weight, "bake": "1s", "runs": max(RUNS // share, 2)} for weight, share in steps],
        "promoting": {"weight": "95%", "bake": "1s", "runs": RUNS // 10},
        "shadow": {"rate": "50%"},
        **more,
    }


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """One gateway of two workers on a Redis with AOF, with one alias."""
    rates = {OLD: BASE, GOOD: BASE, HARMFUL: BASE * TIMES}
    with stand(tmp_path_factory.mktemp("rollout"), Models(rates, "full")) as found:
        yield found


class Faults:
    """Kills one thing after the other within one stage, once each, and notes what the rollout said before and after."""

    def __init__(self, at: Stand) -> None:
        self._at = at
        self._left: list[Callable[[], None]] = [self._leader, self._worker, self._store]
        self._next = 0.0
        self.told: list[str] = []
        self.wrong: list[str] = []

    def __call__(self, state: dict[str, Any]) -> None:
        """Called with every reading of the rollout."""
        fits = state.get("phase") == "canary" and state.get("at") == STAGE_OF_FAULTS
        if not (fits and self._left and time.monotonic() >= self._next):
            return
        if not self._next:
            self._next = time.monotonic() + 1.0  # let the stage begin
            return
        before, counted = self._at.state(), tally(self._at)
        fault = self._left.pop(0)
        fault()
        self._next = time.monotonic() + 1.0
        self._compare(fault.__name__, (before, counted), (self._at.state(), tally(self._at)))

    def _compare(self, fault: str, old: tuple[dict[str, Any], Count], new: tuple[dict[str, Any], Count]) -> None:
        """The stage is the same one, and nothing that was counted has become less."""
        for member in ("id", "at", "since_ms", "phase"):
            if old[0].get(member) != new[0].get(member):
                self.wrong.append(f"{fault}: {member} was {old[0].get(member)}, is {new[0].get(member)}")
        less = {key for key, units in old[1].units.items() if new[1].units.get(key, 0) < units}
        if less:
            self.wrong.append(f"{fault}: counts of {less} went back")

    def _leader(self) -> None:
        begun = time.monotonic()
        old = self._driver()
        self._at.gateway.wait_restarted("control", self._at.gateway.kill("control"), 30)
        load.until(lambda: self._driver() not in (b"", old), 30, "another driver")
        self.told.append(f"background process: another drove after {time.monotonic() - begun:.1f} s")

    def _worker(self) -> None:
        begun = time.monotonic()
        self._at.gateway.wait_restarted("live-0", self._at.gateway.kill("live-0"), 30)
        self.told.append(f"live worker: ready again after {time.monotonic() - begun:.1f} s")

    def _store(self) -> None:
        begun = time.monotonic()
        self._at.redis.kill()
        time.sleep(0.5)
        self._at.redis.start()
        self.told.append(f"Redis: back after {time.monotonic() - begun:.1f} s")

    def _driver(self) -> bytes:
        with load.connected(self._at.redis.url) as client:
            return b" ".join(value or b"" for value in client.hmget("trivet:control", "holder", "term"))


def check(at: Stand, fleet: Fleet, lost: int) -> list[str]:
    """What holds after every rollout; rows of the table. `lost` exposures may have died with a worker."""
    settled(at)
    counted = tally(at)
    assert wrong_stamps(at, fleet.runs) == []
    assert wrong_journals(at, fleet.runs) == []
    missing, alone = unexposed(at, fleet.runs)
    assert len(missing) <= lost and len(alone) <= lost, (len(missing), len(alone))
    assert odd_allocations(counted) == []
    assert counted.lost == 0
    assert counted == recounted(at)
    steps = sum(len(run.steps) for run in fleet.runs)
    nameless = sum(not run.named for run in fleet.runs)
    rows = [
        f"runs {len(fleet.runs)}, of them nameless {nameless}; answered steps {steps}; broken and sent again {fleet.broken.total()}",
        f"stamps that changed 0; exposures lost with a killed worker {len(missing)}; units in both arms {counted.twice}",
    ]
    shares: dict[tuple[str, int], dict[str, int]] = {}
    for key, units in counted.units.items():
        lane, arm, allocation = key.rsplit(" ", 2)
        shares.setdefault((lane, int(allocation)), {})[arm] = units
    for (lane, allocation), arms in shares.items():
        total = sum(arms.values())
        share = arms.get("canary", 0) / total
        rows.append(f"{lane} at {allocation / 100:g} %: {arms.get('canary', 0)} of {total} units, {share:.2%}")
    return rows


def until_all(fleet: Fleet) -> None:
    """Go on until there are as many runs as were asked for."""
    while len(fleet.runs) < RUNS:
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmless_candidate_becomes_stable(at: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """Through every stage to the pointer while background process, worker and Redis die once each in the middle of one: the same stage
    goes on, nothing is counted twice, no run changes its release."""
    good = at.release(GOOD)
    assert at.gate(good) == "GO"
    faults, begun = Faults(at), time.monotonic()
    with Fleet(at.gateway, rate=RATE, lanes=20, name="good") as fleet:
        at.start(good, **manifest(alpha=0.01))
        went = followed(at, 1500, faults)
        took = time.monotonic() - begun
        until_all(fleet)
    rows = check(at, fleet, lost=200)
    with capsys.disabled():
        print("", "harmless", f"{took:.0f} s: {', '.join(went)}", *faults.told, *rows, sep="\n")  # noqa: T201 - figures
    assert faults.wrong == []
    assert len(faults.told) == 3, "the stage was too short for all faults"
    assert went[-1].startswith("completed")
    lanes = at.gateway.json("alias", "show", ALIAS)["state"]["lanes"]
    assert {lane["release"] for lane in lanes.values()} == {good}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_harmful_candidate_is_rolled_back(at: Stand, capsys: pytest.CaptureFixture[str]) -> None:
    """Three times as many bad runs, by the default guardrails at the default share of false alarms."""
    harmful = at.release(HARMFUL)
    assert at.gate(harmful) == "GO"
    begun = time.monotonic()
    with Fleet(at.gateway, rate=RATE, lanes=20, name="bad") as fleet:
        at.start(harmful, **manifest(shadow={"rate": "50%", "failures": "50%"}))  # else it would end there
        went = followed(at, 1500)
        took, seen = time.monotonic() - begun, len(fleet.runs)
        until_all(fleet)
        fleet.more(2)
    rows = check(at, fleet, lost=0)
    found = reverted(at, fleet, harmful, HARMFUL)
    told = [
        "harmful",
        f"{took:.0f} s: {', '.join(went)}",
        f"runs until the revert {seen}; bound to the candidate {found.affected}, of them bad {found.bad}",
        f"first bad answer to revert {found.to_revert:.2f} s (history: {found.told:.2f} s)",
        f"last new run bound to the candidate {found.last_bound * 1000:.0f} ms after the write",
        f"each worker's first new run on the old release after {json.dumps({k: round(v * 1000) for k, v in found.followed.items()})} ms",
        *rows,
    ]
    with capsys.disabled():
        print("", *told, sep="\n")  # noqa: T201 - figures
    assert went[-1].startswith("rolled_back")
    assert max(found.followed.values()) < 3.0
