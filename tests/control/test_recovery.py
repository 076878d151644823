"""restore and bootstrap, as an operator says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.control.desk import Desk
from gateway.control.recovery import bootstrap, restore
from gateway.core.contract.artifact import digest
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Mode
from gateway.store import aliases, labels, releases
from gateway.store.pointers import save
from gateway.store.records import PointerFile
from gateway.store.recovery import identify, identity, loss
from tests.control.conftest import Make, Place, with_legs
from tests.control.test_first import remember

pytestmark = pytest.mark.anyio


async def copied(desk: Desk) -> PointerFile:
    """The disk copy of this moment, written where live workers keep it."""
    known = await identify(desk.store)
    kept = {release.id: release for release in await releases.newest(desk.store)}
    copy = PointerFile(known.instance, 1, await aliases.every(desk.store), kept)
    remember(desk, copy)
    return copy


async def test_f10_restore_after_flushall(desk: Desk, placed: Place) -> None:
    """F10: pointers and releases come back with their versions, in the history, and restoring twice changes nothing."""
    await placed("agent", {"*": "BA"})
    state = await desk.alias("agent")
    await aliases.write(desk.store, state, state, desk.entry("stakes", "to version 2"))
    copy = await copied(desk)
    await desk.store.do("FLUSHALL")
    assert "empty" in await loss(desk.store, copy)
    done = await restore(desk, "the disk was lost")
    assert done.aliases == ("agent",)
    assert done.instance == copy.instance
    assert await aliases.every(desk.store) == copy.aliases
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.action, entry.version, entry.reason) == ("restore", 2, "the disk was lost")
    assert await loss(desk.store, copy) == ""
    assert (await restore(desk, "again")).aliases == ()


async def test_older_backup(desk: Desk, made: Make, placed: Place) -> None:
    """A store put back from an older backup is lost too; restore lifts only what is behind."""
    before = await placed("agent", {"*": "BA"})
    await placed("usual", {"*": "C"})
    after = await aliases.write(desk.store, before, before, desk.entry("stakes", "newer"))
    copy = await copied(desk)
    await desk.store.do("HSET", desk.store.keys.alias("agent"), "version", 1)
    assert "forgotten" in await loss(desk.store, copy)
    assert (await restore(desk, "old backup")).aliases == ("agent",)
    assert (await desk.alias("agent")).version == after.version


async def test_another_store_is_named_as_successor(desk: Desk, placed: Place) -> None:
    """Restoring into a store that has an identity of its own names it as the successor, so workers move over."""
    await placed("agent", {"*": "BA"})
    copy = await copied(desk)
    await desk.store.do("FLUSHALL")
    await identify(desk.store, "other")
    assert "another store" in await loss(desk.store, copy)
    await restore(desk, "moved to a new server")
    known = await identity(desk.store)
    assert known.instance == "other"
    assert copy.instance in known.replaces.split()
    assert await loss(desk.store, copy) == ""


@pytest.mark.parametrize("flush", ["all", "alias"])
async def test_bootstrap_gives_up_what_is_gone(desk: Desk, placed: Place, flush: str) -> None:
    """Bootstrap takes the store as it is, under a new identity that names the old one; what is given up is in the history."""
    await placed("agent", {"*": "BA"})
    copy = await copied(desk)
    await desk.store.do(*(("FLUSHALL",) if flush == "all" else ("DEL", desk.store.keys.alias("agent"))))
    assert await loss(desk.store, copy)
    done = await bootstrap(desk, "a fresh start")
    assert done.instance not in ("", copy.instance)
    assert await loss(desk.store, copy) == ""
    entry = (await aliases.history(desk.store, "agent"))[0]
    assert (entry.action, entry.reason, entry.actor) == ("bootstrap", "a fresh start", "alice")
    assert (await bootstrap(desk, "again")).instance == done.instance


async def test_without_a_copy(desk: Desk) -> None:
    """A host that remembers nothing cannot restore; bootstrap then just gives the store its identity."""
    with pytest.raises(Fault, match="no_copy"):
        await restore(desk, "please")
    assert (await bootstrap(desk, "new")).instance


async def test_texts_come_back_from_this_host(desk: Desk, placed: Place) -> None:
    """Restore puts prompts, tools and labels back from this host's files, and names the release whose text is nowhere."""
    await placed("agent", {"*": "A"})
    kept = await with_legs(desk, "A", prompt=(Mode.SERVE, "Be kind."))
    lost = await with_legs(desk, "B", prompt=(Mode.SERVE, "Be brief."))
    copy = await copied(desk)
    text = await releases.artifact(desk.store, digest(b"Be kind."))
    assert text is not None
    copy.labels["kind@1"] = digest(text)
    save(Path(desk.settings.store.data_dir), copy, {digest(text): text})
    await desk.store.do("FLUSHALL")
    done = await restore(desk, "lost")
    assert await releases.artifact(desk.store, digest(text)) == text
    assert await labels.every(desk.store) == {"kind@1": digest(text)}
    assert [warning.split()[1] for warning in done.warnings] == [f"{lost}:"]
    assert kept not in "".join(done.warnings)
