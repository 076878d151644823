"""What a journal's steps and a shadow's pairs say of releases: success, absence, trouble, or nothing at all."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Plan, Step
from gateway.core.contract.pair import Line, PairClass, Side, Turn
from gateway.core.contract.run import Stamp
from gateway.core.pinning.warm import Seen, Sign
from gateway.sentinel.seen import shadowed, sign_of, traffic
from gateway.store import pairs
from gateway.store.records import encode_entry
from tests.sentinel.conftest import Scene

pytestmark = pytest.mark.anyio


def step(**members: Any) -> Step:
    """A step that worked, changed so."""
    given = {"request": "t1", "step": 1, "alias": "agent", "release": "rel_1", "asked": "agent", "model": "p/m"}
    given |= {"answered": "m", "outcome": Outcome.OK, "status": 200, "at_ms": 5, "total_ms": 1.0, **members}
    return Step(**given)


@pytest.mark.parametrize(
    ("members", "sign"),
    [
        ({}, Sign.WORKED),
        ({"outcome": Outcome.PROVIDER_ERROR, "status": 404, "flags": ("release_unavailable",)}, Sign.GONE),
        ({"outcome": Outcome.PROVIDER_ERROR, "status": 404}, None),
        ({"outcome": Outcome.PROVIDER_ERROR, "status": 401}, None),
        ({"outcome": Outcome.PROVIDER_ERROR, "status": 400}, None),
        ({"outcome": Outcome.PROVIDER_ERROR, "status": 429}, Sign.TROUBLE),
        ({"outcome": Outcome.PROVIDER_ERROR, "status": 500}, Sign.TROUBLE),
        ({"outcome": Outcome.CUT}, Sign.TROUBLE),
        ({"outcome": Outcome.FAULT, "status": 503, "attempts": 0}, None),
        ({"outcome": Outcome.CLIENT_GONE}, None),
    ],
)
def test_what_a_step_says(members: dict[str, Any], sign: Sign | None) -> None:
    """Only what a provider did says something of a release."""
    found = sign_of(step(**members))
    assert (found and found[0]) == sign


async def test_each_call_counts_for_who_made_it(scene: Scene) -> None:
    """A call by a release's name may be the gate's, and a probe's is left to the probe."""

    async def wrote(alias: str, tenant: str, at_ms: int) -> None:
        stamp = Stamp(tenant, f"r-t{at_ms}", alias, "rel_1", "p/m")
        for entry in (Plan(stamp), step(request=f"t{at_ms}", alias=alias, at_ms=at_ms)):
            await scene.store.do("XADD", scene.store.keys.steps(alias), "*", "entry", encode_entry(entry))

    await wrote("rel_1", "trivet/gate", 1)
    await wrote("rel_1", "trivet/probe", 2)
    await wrote("agent", "default", 3)
    await scene.store.do("XADD", scene.store.keys.steps("agent"), "*", "entry", b'{"type":"other"}')
    found = await traffic(scene.store, ["agent"], ["rel_1", "rel_2"])
    assert found == {"rel_1": [Seen(1, Sign.WORKED, "gate"), Seen(3, Sign.WORKED, "live")]}


async def test_pairs_prove_their_candidate(scene: Scene) -> None:
    """The candidate and the second call of the live release; a pair that failed for being busy is trouble."""
    worked = Side("rel_c", status=200)
    busy = Side("rel_s", status=429, failed="rate_limited")
    live = Side("rel_s", status=200)
    line = Line("pr_1", "default", "run", 1, Turn.FIRST, 7, live, worked, PairClass.IDENTICAL, secondary=busy)
    await scene.store.do("XADD", scene.store.keys.diffs("agent"), "*", *pairs.fields(line))
    found = await shadowed(scene.store, ["agent", "other"])
    assert found == {
        "rel_c": [Seen(7, Sign.WORKED, "shadow")],
        "rel_s": [Seen(7, Sign.TROUBLE, "shadow", "rate_limited")],
    }
    assert await shadowed(scene.store, []) == {}
