"""The shadow's numbers have places in the metric table."""

from __future__ import annotations

from gateway.core.contract.exchange import Observed, Usage
from gateway.core.contract.pair import Side
from gateway.core.contract.release import Release, Triple
from gateway.shadow.meters import Meters, ends
from gateway.shadow.work import Tally
from gateway.telemetry.counters import Registry, flat
from tests.shadow.jobs import job


def test_tokens_and_cost_are_counted_under_their_own_role() -> None:
    """What candidates use never looks like agents' use; what has no price is counted as such."""
    registry = Registry()
    registry.know("alias", ["support"])
    meters, release = Meters(registry), Release("rel_2", Triple("openai/m"))
    seen = Observed(usage=Usage(input=5, output=3))
    meters.called(job(), release, Side("rel_2", observed=seen, cost=2_000_000))
    meters.called(job(), release, Side("rel_2", observed=seen))
    meters.called(job(), release, Side("rel_2", failed="timeout"))
    numbers = flat(registry.snapshot())
    assert numbers["tokens_total{support,rel_2,shadow,input}"] == 10
    assert numbers["cost_usd_total{support,rel_2,shadow}"] == 2
    assert numbers["unpriced_total{support,rel_2,shadow}"] == 1


def test_what_became_of_jobs() -> None:
    """Pairs by class, everything else by its word, skips by reason besides."""
    registry = Registry()
    registry.source(
        ends(Tally({"pair:identical": 2, "skip:stale": 1, "skip:stopped": 1, "dead": 1}, {"slots": 4}, 0, 3))
    )
    numbers = flat(registry.snapshot())
    assert numbers["shadow_total{identical}"] == 2 and numbers["shadow_total{skip}"] == 2
    assert numbers["shadow_skips_total{stale}"] == 1 and numbers["shadow_deadletter_total"] == 1
    assert numbers["shadow_waits_total{slots}"] == 4 and numbers["shadow_errors_total"] == 3
