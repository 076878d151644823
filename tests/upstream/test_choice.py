"""Which endpoint a run has, and which is passed over."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gateway.settings.model import EndpointSettings
from gateway.upstream.choice import LONGEST_REST, RESTS, ordered, rest, resting
from gateway.upstream.providers import Endpoint
from tests.upstream.harness import Rig, go, settings

URLS = [f"https://{name}.example" for name in ("one", "two", "three")]
RUNS = [f"run-{number}" for number in range(3000)]


def endpoints(*given: tuple[str, int], **members: Any) -> tuple[Endpoint, ...]:
    """Endpoints by URL and weight."""

    async def scenario(rig: Rig) -> tuple[Endpoint, ...]:
        return tuple(rig.upstreams.provider("openai").endpoints)

    listed = tuple(EndpointSettings(url=url, weight=weight, api_key="k", **members) for url, weight in given)
    return go(settings(URLS[0], endpoints=listed), scenario)


def first(among: tuple[Endpoint, ...], run: str) -> str:
    """The host that a run has."""
    return ordered(among, run, 0)[0].target.host


def test_shares_are_the_weights() -> None:
    """Of many runs each endpoint has the share that its weight says; a standby has none and comes last."""
    among = endpoints((URLS[0], 3), (URLS[1], 1), (URLS[2], 0))
    seen = Counter(first(among, run) for run in RUNS)
    assert seen["three.example"] == 0
    assert seen["one.example"] / len(RUNS) == pytest.approx(0.75, abs=0.04)
    assert all(ordered(among, run, 0)[-1].weight == 0 for run in RUNS[:50])


def test_a_run_keeps_its_endpoint_whatever_the_order_of_the_file() -> None:
    """The choice is the run's and the URLs' alone: the same in another process, after a reload and with the list turned."""
    given = [(url, 1) for url in URLS]
    one, other = endpoints(*given), endpoints(*reversed(given))
    assert [first(one, run) for run in RUNS] == [first(other, run) for run in RUNS]
    assert first(one, "run-1") == "one.example", "the hash is part of what must not change under a running agent"


def test_only_the_runs_of_a_lost_endpoint_move() -> None:
    """When an endpoint leaves, the runs of the others stay where they are."""
    given = [(url, 1) for url in URLS]
    three, two = endpoints(*given), endpoints(*given[:2])
    moved = [run for run in RUNS if first(three, run) != first(two, run)]
    assert {first(three, run) for run in moved} == {"three.example"}


def test_the_client_s_own_retry_begins_one_further() -> None:
    """The n-th repetition of a request begins at the n-th endpoint of its order, round and round."""
    among = endpoints(*((url, 1) for url in URLS))
    plain = ordered(among, "r", 0)
    assert [ordered(among, "r", turn)[0] for turn in range(4)] == [*plain, plain[0]]
    assert all(set(ordered(among, "r", turn)) == set(plain) for turn in range(4))


def test_an_endpoint_rests_within_bounds() -> None:
    """As long as it said, but a minute at most, a second at least, per model, and never for a caller's own limit."""
    at, forwarding = endpoints((URLS[0], 1))[0], endpoints((URLS[0], 1))[0]
    forwarding.forwards = True
    for said, until in ((5.0, 5.0), (None, 1.0), (0.0, 1.0), (9000.0, LONGEST_REST)):
        rest(at, "m", said, 100.0)
        assert resting(at, "m", 100.0 + until - 0.01)
        assert not resting(at, "m", 100.0 + until)
        assert not resting(at, "other", 100.0)
    rest(forwarding, "m", 5.0, 100.0)
    assert not resting(forwarding, "m", 100.0)
    for number in range(RESTS + 10):
        rest(at, f"m{number}", 5.0, 100.0)
    assert len(at.rests) <= RESTS
