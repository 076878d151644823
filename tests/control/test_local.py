"""rollback --local: with the store dead, and when it returns."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.desk import Desk
from gateway.control.local import reconcile, rollback_here
from gateway.control.promote import promote
from gateway.control.recovery import bootstrap
from gateway.control.rollback import rollback
from gateway.control.status import status
from gateway.core.contract.fault import Fault
from gateway.core.contract.rollout import Phase
from gateway.store import aliases, lease
from gateway.store.local import in_force, pending, read_override
from tests.control.conftest import Make, Place
from tests.control.rolling import rolling
from tests.control.test_recovery import copied
from tests.store.servers import RealRedis

pytestmark = pytest.mark.anyio


async def test_takes_effect_by_file_and_returns_into_the_store(
    desk: Desk, package_redis: RealRedis, made: Make, placed: Place
) -> None:
    """With the store dead the override is one version up; when it returns the store follows, with the history of it."""
    await placed("agent", {"*": "BA"})
    await copied(desk)
    a = await made("A")
    package_redis.kill()
    with pytest.raises(Fault, match="store_unavailable"):
        await rollback(desk, "agent", "bad")
    moved = await rollback_here(desk, "agent", "bad")
    assert (moved.where, moved.version, moved.after["*"].release) == ("local", 2, a)
    again = await rollback_here(desk, "agent", "bad")
    assert not again.changed
    file = in_force(desk.settings.store.data_dir)
    assert file is not None
    assert file.aliases["agent"].lanes["*"].release == a
    assert a in file.releases
    told = await status(desk)
    assert told.store is None
    assert told.store_error
    assert told.aliases[0].lanes["*"] == a
    assert any("overridden on this host" in warning for warning in told.warnings)
    package_redis.start()
    assert "in the store now" in (await reconcile(desk))[0]
    state = await desk.alias("agent")
    assert (state.version, state.lanes["*"].release) == (2, a)
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.action, entry.actor, entry.reason) == ("local", "alice", "bad")
    assert read_override(desk.settings.store.data_dir) is None
    assert pending(desk.settings.store.data_dir) == []
    assert await reconcile(desk) == []


async def test_a_rollout_ends_on_this_host_and_then_in_the_store(
    desk: Desk, package_redis: RealRedis, made: Make, placed: Place
) -> None:
    """With the store dead a rollback takes this host's new runs off the candidate; when it returns the rollout is ended there, and a loop
    that was fenced out stays so."""
    state = await placed("agent", {"*": "BA"})
    c = await made("C")
    await rolling(desk, state, c, Phase.CANARY)
    await copied(desk)
    await lease.fence(desk.store, ["agent"], 7)
    package_redis.kill()
    moved = await rollback_here(desk, "agent", "bad")
    assert (moved.split_after, moved.after) == (None, state.lanes)
    assert not (await rollback_here(desk, "agent", "bad")).changed
    package_redis.start()
    assert "in the store now" in (await reconcile(desk))[0]
    after = await desk.alias("agent")
    assert after.rollout is not None
    assert (after.rollout.phase, after.split, list(after.barred), after.epoch) == (Phase.ROLLED_BACK, None, [c], 7)


async def test_the_newer_store_wins(desk: Desk, package_redis: RealRedis, made: Make, placed: Place) -> None:
    """When the store moved on meanwhile, the override is dropped and the history tells of it, once."""
    await placed("agent", {"*": "BA"})
    await copied(desk)
    c = await made("C")
    await promote(desk, "agent", c, "elsewhere")
    package_redis.kill()
    await rollback_here(desk, "agent", "bad")
    package_redis.start()
    assert "dropped" in (await reconcile(desk))[0]
    assert (await desk.alias("agent")).lanes["*"].release == c
    newest = (await aliases.history(desk.store, "agent"))[0]
    assert newest.action == "local"
    assert "not taken over" in newest.note
    assert read_override(desk.settings.store.data_dir) is None


async def test_refused_while_the_store_answers(desk: Desk, placed: Place) -> None:
    """--local is for a dead store only: with a live one the rollback belongs there."""
    await placed("agent", {"*": "BA"})
    await copied(desk)
    with pytest.raises(Fault, match="store_answers"):
        await rollback_here(desk, "agent", "bad")


async def test_unknown_alias_or_no_copy(desk: Desk, package_redis: RealRedis) -> None:
    """Without a copy of the alias on this host there is nothing to roll back by; a broken copy is named."""
    package_redis.kill()
    with pytest.raises(Fault, match="no_copy"):
        await rollback_here(desk, "agent", "bad")
    data_dir = Path(desk.settings.store.data_dir)
    data_dir.mkdir(exist_ok=True)
    (data_dir / "pointers.json").write_text("{")
    with pytest.raises(Fault, match="copy_unreadable") as caught:
        await rollback_here(desk, "agent", "bad")
    assert "pointers.json" in caught.value.message
    package_redis.start()


async def test_override_of_a_former_store(desk: Desk, package_redis: RealRedis, placed: Place) -> None:
    """A store that is lost takes no override over; one that was bootstrapped drops it."""
    await placed("agent", {"*": "BA"})
    await copied(desk)
    package_redis.kill()
    await rollback_here(desk, "agent", "bad")
    package_redis.start()
    package_redis.ask("FLUSHALL")
    assert "not the one" in (await reconcile(desk))[0]
    assert read_override(desk.settings.store.data_dir) is not None
    await bootstrap(desk, "afresh")
    assert "former store" in (await reconcile(desk))[0]
    assert read_override(desk.settings.store.data_dir) is None
    assert await aliases.get(desk.store, "agent") is None
