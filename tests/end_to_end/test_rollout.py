"""A whole rollout by the public interface, small: a harmless candidate becomes stable, a harmful one is taken off by itself.

The full size, with processes killed meanwhile, is tests/soak/test_rollout_runs.py.

How likely a false verdict is. With a tolerated ratio of 1.5 and alpha at 0.05 % over three guardrails an e-value of 6,000 rolls
back. An equal candidate loses each of the six bets on average, so a bet reaches that with a probability of 6,000^-h, where h
solves E[LR^h] = 1; over the bets, the guardrails and the worst of the weights used here that is below 6e-5 together, and 0 of
10,000 simulated rollouts were. The harmful candidate is five times as bad, and its last step asks for 2,000 runs on it: in 4,000
simulated rollouts it was called after 366 runs in all in the median, 948 in 999 of 1,000, and 1,243 at the most.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.fleet import ALIAS, Fleet, Models
from tests.end_to_end.rolled import (
    GOOD,
    HARMFUL,
    OLD,
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

BASE, TIMES = 0.1, 5
RATE = 400
"""Requests a second."""
ACTING = {name: {"action": "rollback", "ratio": 1.5} for name in ("error", "refusal", "invalid_tool_call")}
OBSERVED = dict.fromkeys(("truncation", "invalid_json", "lost_run", "latency_ms", "steps"), "observe")


def manifest(last: int, **more: Any) -> dict[str, Any]:
    """Our own people first, then everybody in three steps; the last one asks for so many runs on the candidate."""
    own = [{"weight": "50%", "bake": "0.3s", "runs": 12}]
    return {
        "lanes": [{"lane": "segment:internal", "steps": own}, "*"],
        "steps": [
            {"weight": "5%", "bake": "0.3s", "runs": 2},
            {"weight": "25%", "bake": "0.3s", "runs": 40},
            {"weight": "50%", "bake": "0.3s", "runs": last},
        ],
        "promoting": {"weight": "90%", "bake": "0.3s", "runs": last},
        "guardrails": {**ACTING, **OBSERVED},
        "alpha": 0.0005,
        "deadline": "3650d",  # a plan knows the traffic of the few seconds there were
        **more,
    }


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Stand]:
    """A gateway with one alias, on the old model."""
    rates = {OLD: BASE, GOOD: BASE, HARMFUL: BASE * TIMES}
    with stand(tmp_path, Models(rates)) as found:
        yield found


def pointers(at: Stand) -> set[str]:
    """The releases that the lanes of the alias are on."""
    lanes = at.gateway.json("alias", "show", ALIAS)["state"]["lanes"]
    assert set(lanes) == {"*", "segment:internal"}
    return {lane["release"] for lane in lanes.values()}


def everybody(at: Stand) -> str:
    """The release that is stable for everybody."""
    return str(at.gateway.json("alias", "show", ALIAS)["state"]["lanes"]["*"]["release"])


def check(at: Stand, fleet: Fleet) -> None:
    """What holds after every rollout: stamps, exposures, allocations, and a tally that can be counted again."""
    settled(at)
    counted = tally(at)
    assert wrong_stamps(at, fleet.runs) == []
    assert wrong_journals(at, fleet.runs) == []
    assert unexposed(at, fleet.runs) == (set(), set())
    assert odd_allocations(counted) == []
    assert (counted.twice, counted.lost) == (0, 0)
    assert counted == recounted(at)
    assert fleet.broken == {}
    assert [event for event in at.gateway.events if event.get("level") == "error"] == []


def test_a_harmless_candidate_becomes_stable(at: Stand) -> None:
    """Release, gate, shadow and every stage in order, and the pointer of both lanes moves; each run stays for all of its steps,
    those that were resumed after the end too, on the release that it began with."""
    old, good = everybody(at), at.release(GOOD)
    assert at.gate(good) == "GO"
    with Fleet(at.gateway, rate=RATE, name="good") as fleet:
        at.start(good, **manifest(60, shadow={"trios": 10, "rate": "100%", "failures": "50%"}))
        went = followed(at, 60)
        ended = time.time()
    order = [each for each in went if not each.startswith("frozen")]
    stages = [f"canary {number}" for number in range(4)]
    assert list(dict.fromkeys(order)) == ["shadowing -1", "gated -1", *stages, "promoting 4", "completed 4"]
    check(at, fleet)
    assert pointers(at) == {good}
    resumed = [run for run in fleet.runs if run.first.release == old and run.steps[-1].sent > ended]
    assert resumed, "no run was in flight"


def test_a_harmful_candidate_is_rolled_back(at: Stand) -> None:
    """Five times as many bad runs are called by themselves: weight 0 on every worker at once, the pointer never moved, and runs
    that met the candidate stay on it to their end."""
    stable, harmful = everybody(at), at.release(HARMFUL)
    assert at.gate(harmful) == "GO", "the suite sees none of it"
    with Fleet(at.gateway, rate=RATE, name="bad") as fleet:
        at.start(harmful, **manifest(2000, skip_shadow="it would end there"))
        went = followed(at, 60)
        ended = time.time()
        fleet.more(2)
    assert went[-1].startswith("rolled_back")
    check(at, fleet)
    assert pointers(at) == {stable}
    found = reverted(at, fleet, harmful, HARMFUL)
    assert 0 < found.bad <= found.affected < len(fleet.runs) / 2
    assert max(found.followed.values()) < 3.0, found
    assert found.last_bound < 2.0, found
    assert 0 < found.told < found.to_revert + 0.5, found
    assert [run for run in fleet.runs if run.first.release == harmful and run.steps[-1].sent > ended]
