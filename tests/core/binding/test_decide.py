"""Lanes and the split: who gets which release."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.binding.decide import WHOLE, Choice, bucket, can_run, choose, lane_of, split_unit, sticky_unit
from gateway.core.contract.alias import AliasState, Arm, Lane, Split
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Mode

LANES = {"*": Lane("rel_all"), "segment:beta": Lane("rel_beta"), "tenant:acme": Lane("rel_acme")}
SALTS = st.text(min_size=1, max_size=20)
UNITS = st.text(max_size=40)
WEIGHTS = st.integers(0, WHOLE)


def state(split: Split | None = None, lanes: dict[str, Lane] | None = None) -> AliasState:
    """An alias with all three kinds of lanes."""
    return AliasState("support", 7, LANES if lanes is None else lanes, split=split)


def split(weight: int, salt: str = "s1", lanes: tuple[str, ...] = ("*", "segment:beta", "tenant:acme")) -> Split:
    """A rollout of rel_new."""
    return Split("rel_new", salt, dict.fromkeys(lanes, weight))


@pytest.mark.parametrize(
    ("tenant", "segment", "lane"),
    [
        ("acme", "beta", "tenant:acme"),
        ("acme", "", "tenant:acme"),
        ("acme", "gamma", "tenant:acme"),
        ("zeta", "beta", "segment:beta"),
        ("zeta", "gamma", "*"),
        ("zeta", "", "*"),
        ("", "", "*"),
        ("*", "", "*"),
        ("segment:beta", "", "*"),
    ],
)
def test_lane_order(tenant: str, segment: str, lane: str) -> None:
    """A tenant's own lane goes before its segment's, and that before everybody's."""
    assert lane_of(state(), tenant, segment) == (lane, LANES[lane])
    assert choose(state(), tenant, segment, "r") == Choice(LANES[lane].release, lane, Arm.STABLE, 0)


@given(
    st.sets(st.sampled_from(sorted(LANES))), st.sampled_from(["acme", "zeta"]), st.sampled_from(["", "beta", "gamma"])
)
def test_lane_order_over_any_set_of_lanes(names: set[str], tenant: str, segment: str) -> None:
    """Whichever lanes an alias has, the first of tenant, segment, everybody that exists is taken, and none is a 404."""
    wanted = [name for name in (f"tenant:{tenant}", f"segment:{segment}" if segment else "", "*") if name in names]
    lanes = {name: LANES[name] for name in names}
    if wanted:
        assert lane_of(state(lanes=lanes), tenant, segment) == (wanted[0], LANES[wanted[0]])
    else:
        with pytest.raises(Fault) as caught:
            choose(state(lanes=lanes), tenant, segment, "r")
        assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")


@settings(deadline=None, max_examples=30)
@given(SALTS, st.integers(1, WHOLE - 1))
def test_share_is_the_weight(salt: str, weight: int) -> None:
    """Of many runs the candidate gets the weight's share, within five standard deviations of a binomial draw."""
    runs, share = 2_000, weight / WHOLE
    alias = state(split(weight, salt))
    hits = sum(choose(alias, "zeta", "", f"run-{n}").arm is Arm.CANARY for n in range(runs))
    assert abs(hits - runs * share) <= 5 * sqrt(runs * share * (1 - share)) + 1


@given(SALTS, UNITS, WEIGHTS, WEIGHTS)
def test_a_higher_weight_only_adds_runs(salt: str, unit: str, one: int, other: int) -> None:
    """A run that is on the candidate at a weight is on it at every higher one of the same rollout."""
    low, high = sorted((one, other))
    if choose(state(split(low, salt)), "zeta", "", unit).arm is Arm.CANARY:
        assert choose(state(split(high, salt)), "zeta", "", unit).arm is Arm.CANARY


@given(SALTS, UNITS, WEIGHTS, st.sampled_from(["acme", "zeta"]))
def test_the_choice_sticks(salt: str, unit: str, weight: int, tenant: str) -> None:
    """The same run gets the same choice from every worker, every time, and releases of other lanes do not change its arm."""
    first = choose(state(split(weight, salt)), tenant, "", unit)
    again = choose(AliasState("support", 99, dict(LANES), split=split(weight, salt)), tenant, "", unit)
    assert again == first
    moved = {name: Lane("rel_other") for name in LANES}
    assert choose(state(split(weight, salt), moved), tenant, "", unit).arm is first.arm


def test_salts_are_independent() -> None:
    """Which runs one rollout took says nothing about which the next takes: of its half, half."""
    runs = [f"run-{n}" for n in range(8_000)]
    for one, other in (("a", "b"), ("rollout-1", "rollout-2"), ("", "0")):
        both = sum(bucket(one, r) < 5_000 and bucket(other, r) < 5_000 for r in runs)
        assert abs(both - 2_000) <= 5 * sqrt(8_000 * 0.25 * 0.75)


def test_tenants_are_independent() -> None:
    """Two tenants that use the same run ids are split apart from each other."""
    alias = state(split(5_000), {"*": Lane("rel_all")})
    same = sum(choose(alias, "a", "", f"r{n}").arm is choose(alias, "b", "", f"r{n}").arm for n in range(4_000))
    assert abs(same - 2_000) <= 5 * sqrt(1_000)


@given(SALTS, UNITS)
def test_buckets_are_in_range(salt: str, unit: str) -> None:
    """A bucket is one of 0 to 9,999."""
    assert 0 <= bucket(salt, unit) < WHOLE


def test_buckets_are_uniform() -> None:
    """Every tenth of the range gets its tenth of the runs."""
    counts = [0] * 10
    for n in range(20_000):
        counts[bucket("s", f"run-{n}") // 1_000] += 1
    assert all(abs(count - 2_000) <= 5 * sqrt(20_000 * 0.1 * 0.9) for count in counts)


@given(UNITS)
def test_all_or_nobody(unit: str) -> None:
    """Weight 0 takes nobody, 10,000 and anything above it everybody, and a weight below 0 nobody."""
    assert choose(state(split(WHOLE)), "zeta", "", unit) == Choice("rel_new", "*", Arm.CANARY, WHOLE)
    assert choose(state(split(WHOLE + 1)), "zeta", "", unit).allocation == WHOLE
    for weight in (0, -1):
        assert choose(state(split(weight)), "zeta", "", unit) == Choice("rel_all", "*", Arm.STABLE, 0)


@given(UNITS, WEIGHTS)
def test_who_does_not_take_part(unit: str, weight: int) -> None:
    """A lane outside the rollout, a rollout without lanes and a run that is not eligible keep the stable release, and do not
    count as controls."""
    stable = Choice("rel_beta", "segment:beta", Arm.STABLE, 0)
    assert choose(state(split(weight, lanes=("*", "tenant:acme"))), "zeta", "beta", unit) == stable
    assert choose(state(split(weight, lanes=())), "zeta", "beta", unit) == stable
    assert choose(state(split(weight)), "zeta", "beta", unit, eligible=False) == stable


@given(UNITS, st.integers(1, WHOLE))
def test_controls_carry_the_allocation(unit: str, weight: int) -> None:
    """A run that took part records the weight it took part under, on either arm, and a control has its own lane's release."""
    choice = choose(state(split(weight)), "acme", "", unit)
    assert choice.allocation == weight
    assert choice.lane == "tenant:acme"
    assert choice.release == ("rel_new" if choice.arm is Arm.CANARY else "rel_acme")


def test_odd_text_does_not_break_the_split() -> None:
    """A lone surrogate in a run's unit is hashed like any other text."""
    assert choose(state(split(WHOLE)), "zeta", "", "\ud800").arm is Arm.CANARY


def test_split_unit_is_keyed_and_separates() -> None:
    """The unit of a nameless run depends on the secret, the tenant, the alias and the opening, and is the same every time."""
    base = split_unit(b"k" * 32, "acme", "support", b"hello")
    assert len(base) == 32
    assert base == split_unit(b"k" * 32, "acme", "support", b"hello")
    others = [
        split_unit(b"j" * 32, "acme", "support", b"hello"),
        split_unit(b"k" * 32, "acm", "support", b"hello"),
        split_unit(b"k" * 32, "acme", "supporT", b"hello"),
        split_unit(b"k" * 32, "acme", "support", b"hello "),
        split_unit(b"k" * 32, "acmes", "upport", b"hello"),
        split_unit(b"k" * 32, "acme", "support", b""),
    ]
    assert len({base, *others}) == 7


DIGEST, OTHER = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("mode", "listed", "sent", "can"),
    [
        (Mode.AS_SENT, frozenset(), "", True),
        (Mode.AS_SENT, None, OTHER, True),
        (Mode.SERVE, None, None, True),
        (Mode.SERVE, None, "", True),
        (Mode.SERVE, None, OTHER, False),
        (Mode.SERVE, None, DIGEST, True),
        (Mode.SERVE, frozenset({DIGEST, OTHER}), OTHER, True),
        (Mode.SERVE, frozenset({OTHER}), DIGEST, True),
        (Mode.SERVE, frozenset({OTHER}), OTHER, False),
        (Mode.SERVE, frozenset({OTHER}), None, False),
        (Mode.SERVE, frozenset(), "", False),
        (Mode.VERIFY, None, DIGEST, True),
        (Mode.VERIFY, None, None, True),
        (Mode.VERIFY, None, "", False),
        (Mode.VERIFY, frozenset({DIGEST}), OTHER, False),
        (Mode.VERIFY, frozenset({DIGEST}), None, True),
        (Mode.VERIFY, frozenset(), None, False),
    ],
)
def test_toolsets_an_executor_can_run(mode: Mode, listed: frozenset[str] | None, sent: str | None, can: bool) -> None:
    """A run is eligible only for releases whose toolset is listed or is the one it sent; who says nothing takes what is served."""
    assert can_run(mode, {DIGEST}, listed, sent) is can


def test_sticky_unit_is_keyed_and_separates() -> None:
    """The unit of a tenant or user depends on the key and on every part, tells nobody apart by alias, and names nobody."""
    base = sticky_unit(b"k" * 32, "user", "acme", "support", "ann")
    assert len(base) == 32
    assert base == sticky_unit(b"k" * 32, "user", "acme", "support", "ann")
    others = {
        sticky_unit(b"j" * 32, "user", "acme", "support", "ann"),
        sticky_unit(b"k" * 32, "tenant", "acme", "support", "ann"),
        sticky_unit(b"k" * 32, "user", "acm", "support", "ann"),
        sticky_unit(b"k" * 32, "user", "acme", "sales", "ann"),
        sticky_unit(b"k" * 32, "user", "acme", "support", "bob"),
        sticky_unit(b"k" * 32, "user", "acme", "support", "\ud800"),
        sticky_unit(b"k" * 32, "tenant", "acme", "support"),
        split_unit(b"k" * 32, "acme", "support", b"ann"),
    }
    assert base not in others
    assert len(others) == 8
