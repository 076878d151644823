"""A run keeps its release for life."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.alias import AliasState, Lane, SideEffects, Split, Stakes
from gateway.core.contract.release import Leg, Mode, PinClass, Release
from gateway.live.bind import pin_of
from gateway.store import releases
from gateway.store.client import Store
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider
from tests.store.servers import RealRedis

OLD = release("openai/gpt-4o-2024-08-06")
NEW = release("openai/gpt-4o-2024-11-20")


def test_a_run_stays_where_it_is_when_the_pointer_moves(gateway: LiveGateway, provider: Provider) -> None:
    """After a promotion old runs resume on the old release, new runs get the new one."""
    state = gateway.alias("gpt-4o", OLD)
    assert gateway.chat("gpt-4o", {"x-trivet-run": "r1"}).headers["x-trivet-bound"] == "new"
    moved = msgspec.structs.replace(state, version=2, lanes={"*": Lane(NEW.id, (OLD.id,))})
    gateway.move(moved, NEW)
    again = gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    assert (again.headers["x-trivet-release"], again.headers["x-trivet-bound"]) == (OLD.id, "resumed")
    assert gateway.chat("gpt-4o", {"x-trivet-run": "r2"}).headers["x-trivet-release"] == NEW.id
    assert [r.json["model"][-10:] for r in provider.requests] == ["2024-08-06", "2024-08-06", "2024-11-20"]


def test_a_resume_without_a_stamp_is_409_and_calls_nobody(gateway: LiveGateway, provider: Provider) -> None:
    """B9: what must be resumed and is not known anywhere is an error, never the current pointer."""
    gateway.alias("gpt-4o", OLD)
    got = gateway.chat("gpt-4o", {"x-trivet-run": "ghost", "x-trivet-resume": "required"})
    assert (got.status, got.json["error"]["code"]) == (409, "run_stamp_missing")
    assert got.headers["x-should-retry"] == "false"
    assert not provider.requests


def test_a_blocked_release_stops_its_runs_with_409(gateway: LiveGateway, provider: Provider) -> None:
    """A run bound to a blocked release gets an error, never another model."""
    state = gateway.alias("gpt-4o", OLD)
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    gateway.move(msgspec.structs.replace(state, version=2), msgspec.structs.replace(OLD, blocked="bad"))
    got = gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    assert (got.status, got.json["error"]["code"]) == (409, "release_blocked")
    assert len(provider.requests) == 1


def test_a_release_may_be_named_as_the_model(gateway: LiveGateway, provider: Provider) -> None:
    """`rel_…` binds to that release; a run that is bound elsewhere is 409, an unknown release 404."""
    gateway.alias("gpt-4o", OLD)
    got = gateway.chat(OLD.id, {"x-trivet-run": "r1"})
    assert (got.status, got.headers["x-trivet-release"]) == (200, OLD.id)
    assert provider.requests[0].json["model"] == "gpt-4o-2024-08-06"
    assert gateway.chat("rel_0000000000000000").status == 404
    state = gateway.alias("other", NEW)
    assert state.version == 1
    gateway.chat("other", {"x-trivet-run": "r2"})
    got = gateway.chat(OLD.id, {"x-trivet-run": "r2"})
    assert (got.status, got.json["error"]["code"]) == (409, "run_bound_elsewhere")


def test_tenants_lane_comes_before_everyones(gateway: LiveGateway) -> None:
    """A lane of the tenant's own wins over `*`."""
    gateway.alias("gpt-4o", OLD, lanes={"*": Lane(OLD.id), "tenant:default": Lane(OLD.id)})
    gateway.chat("gpt-4o", {"x-trivet-run": "r1"})
    record = gateway.flow(gateway.store.run_record("default", "r1"))
    assert record.stamps["gpt-4o"].lane == "tenant:default"


def test_tools_on_a_floating_release_are_refused_unless_they_act_on_nothing(gateway: LiveGateway) -> None:
    """Stakes `low` may float, but a request that carries tools only with `side_effects: none`."""
    floating = msgspec.structs.replace(release("openai/gpt-4o"), pin=PinClass.FLOATING)
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {}}}]
    gateway.alias("loose", floating, stakes=Stakes.LOW)
    assert gateway.chat("loose").status == 200
    assert gateway.chat("loose", tools=tools).status in (400, 403, 409)
    gateway.alias("harmless", floating, stakes=Stakes.LOW, side_effects=SideEffects.NONE)
    got = gateway.chat("harmless", tools=tools)
    assert (got.status, got.headers["x-trivet-pin"]) == (200, "floating")


def test_a_split_puts_every_named_run_on_one_arm_for_good(gateway: LiveGateway) -> None:
    """With full weight on the candidate new runs are canary; the arm is in the headers and sticks."""
    state = gateway.alias("gpt-4o", OLD)
    gateway.chat("gpt-4o", {"x-trivet-run": "before"})
    split = Split(candidate=NEW.id, salt="s", weights={"*": 10_000})
    gateway.move(msgspec.structs.replace(state, version=2, split=split), NEW)
    got = gateway.chat("gpt-4o", {"x-trivet-run": "after"})
    assert (got.headers["x-trivet-arm"], got.headers["x-trivet-release"]) == ("canary", NEW.id)
    assert gateway.chat("gpt-4o", {"x-trivet-run": "before"}).headers["x-trivet-arm"] == "stable"


def test_a_weight_holds_only_while_somebody_confirms_it(gateway: LiveGateway, redis_server: RealRedis) -> None:
    """Without the control process's sign of life, and without the store, new runs are stable and no control; bound ones stay."""
    state = gateway.alias("gpt-4o", OLD)
    gateway.store.pointers.lease_seconds = 0.6
    split = Split(candidate=NEW.id, salt="s", weights={"*": 10_000}, since=2)
    gateway.move(msgspec.structs.replace(state, version=2, split=split), NEW)
    bound = gateway.chat("gpt-4o", {"x-trivet-run": "bound"})
    assert bound.headers["x-trivet-arm"] == "canary"
    before = time.monotonic()
    gateway.wait(lambda: time.monotonic() >= gateway.store.pointers.lease_until)
    assert time.monotonic() - before < 1.0
    got = gateway.chat("gpt-4o", {"x-trivet-run": "late"})
    assert (got.headers["x-trivet-arm"], got.headers["x-trivet-release"]) == ("stable", OLD.id)
    assert gateway.flow(gateway.store.run_record("default", "late")).stamps["gpt-4o"].allocation == 0
    assert gateway.chat("gpt-4o", {"x-trivet-run": "bound"}).headers["x-trivet-arm"] == "canary"
    gateway.wait(lambda: gateway.store.counters.lease_expired == 1)
    gateway.lead()
    assert gateway.chat("gpt-4o", {"x-trivet-run": "again"}).headers["x-trivet-arm"] == "canary"
    gateway.wait(lambda: gateway.store.counters.lease_expired == 0)
    redis_server.kill()
    gateway.wait(lambda: time.monotonic() >= gateway.store.pointers.lease_until)
    assert gateway.chat("gpt-4o", {"x-trivet-run": "alone"}).headers["x-trivet-arm"] == "stable"
    redis_server.start()
    gateway.lead()
    assert gateway.chat("gpt-4o", {"x-trivet-run": "back"}).headers["x-trivet-arm"] == "canary"
    assert gateway.chat("gpt-4o", {"x-trivet-run": "late"}).headers["x-trivet-arm"] == "stable"


@pytest.mark.parametrize(("by", "stick"), [("tenant", True), ("user", True), ("run", False)])
def test_what_sticks_to_its_arm_is_what_the_rollout_says(shared: LiveGateway, by: str, stick: bool) -> None:
    """By tenant or by user all runs of one fall on one arm and count once; the store has a keyed hash and no user's name."""
    name = f"stick-{by}"
    state = shared.alias(name, OLD)
    split = Split(candidate=NEW.id, salt="s", weights={"*": 5_000}, by=by, since=2)
    shared.move(msgspec.structs.replace(state, version=2, split=split), NEW)
    arms, units = set(), set()
    for n in range(12):
        got = shared.chat(name, {"x-trivet-run": f"{name}{n}"}, user="ann@example.com")
        arms.add(got.headers["x-trivet-arm"])
        stamp = shared.flow(shared.store.run_record("default", f"{name}{n}")).stamps[name]
        units.add(stamp.unit)
        assert "ann" not in str(stamp)
    assert len(arms) == (1 if stick else 2)
    assert all(len(unit) == 32 for unit in units) if stick else units == {""}
    assert len(units) == 1
    lone = shared.chat(name, {"x-trivet-run": f"{name}-nobody"})
    assert lone.status == 200
    stamp = shared.flow(shared.store.run_record("default", f"{name}-nobody")).stamps[name]
    assert bool(stamp.unit) == (by == "tenant")


def test_a_release_with_a_mode_of_a_newer_version_is_never_served_without_it(
    gateway: LiveGateway, provider: Provider, redis_server: RealRedis
) -> None:
    """A release that says more than this version knows is refused with a reason; the provider is not called with less."""
    newer = release("openai/gpt-4o-2024-08-06", prompt=Leg(Mode.SERVE, "a" * 64))
    data = msgspec.json.encode(newer).replace(b'"serve"', b'"distil"').decode()
    redis_server.ask(f"SET {gateway.store.keys.release(newer.id)} '{data}'")
    got = gateway.chat(newer.id)
    assert (got.status, got.json["error"]["code"]) == (409, "release_unreadable")
    assert not provider.requests


def test_a_learned_pin_says_so() -> None:
    """`x-trivet-pin` tells a pin that a person chose from one that was learned."""
    learned = AliasState("a", 1, {}, learned=True)
    assert pin_of(learned, OLD).value == "learned"
    assert pin_of(AliasState("a", 1, {}), OLD).value == "pinned"


async def _drifted(gateway: LiveGateway, kept: Release, epoch: str) -> None:
    async with Store(gateway.settings.store) as store:
        await releases.put(store, kept)
        await releases.mark(store, kept.id, epoch)


def drift(gateway: LiveGateway, kept: Release, epoch: str) -> None:
    """Say of a release that another model answers for it, and wait until the worker knows."""
    gateway.call(_drifted(gateway, kept, epoch))
    gateway.wait(lambda: getattr(gateway.store.pointers.release(kept.id), "drifted", None) == epoch)


def test_a_strict_alias_takes_no_new_run_on_a_model_that_is_another(
    redis_server: RealRedis, provider: Provider, tmp_path: Path
) -> None:
    """409 that names the epoch; runs in flight go on, also when they are asked for by name, and others alias are not touched. A new
    run that was refused is still new the next time; once it is acknowledged, it is bound."""
    declared = {name: {"first_release": {"model": OLD.triple.model}} for name in ("strict", "lenient")}
    declared["strict"]["strict"] = True  # type: ignore[assignment]
    providers = {"openai": {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, aliases=declared) as gateway:
        state = gateway.alias("strict", OLD)
        gateway.alias("lenient", OLD)
        assert gateway.chat("strict", {"x-trivet-run": "r1"}).status == 200
        drift(gateway, OLD, f"{OLD.triple.model}@2")
        for headers in ({"x-trivet-run": "r2"}, {"x-trivet-run": "r2"}, {}):
            got = gateway.chat("strict", headers)
            assert (got.status, got.json["error"]["code"]) == (409, "model_drifted")
            assert f"{OLD.triple.model}@2" in got.json["error"]["message"]
            assert got.headers["x-should-retry"] == "false"
        assert gateway.chat("strict", {"x-trivet-run": "r1"}).headers["x-trivet-bound"] == "resumed"
        assert gateway.chat("lenient", {"x-trivet-run": "r3"}).status == 200
        ghost = gateway.chat("strict", {"x-trivet-run": "ghost", "x-trivet-resume": "required"})
        assert ghost.json["error"]["code"] == "run_stamp_missing"
        drift(gateway, OLD, "")
        assert gateway.chat("strict", {"x-trivet-run": "r2"}).headers["x-trivet-bound"] == "new"
        split = Split(NEW.id, "s", {"*": 10_000})
        gateway.move(msgspec.structs.replace(state, version=2, split=split), NEW)
        drift(gateway, NEW, f"{NEW.triple.model}@2")
        got = gateway.chat("strict", {"x-trivet-run": "r4"})
        assert (got.status, got.headers["x-trivet-release"]) == (200, OLD.id)
