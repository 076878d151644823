"""The table holds whole states only, never goes back, and remembers across restarts."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import msgspec
import pytest

from gateway.core.contract.alias import Split
from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Leg, Mode, Triple
from gateway.store.counters import StoreCounters
from gateway.store.local import COPY, OVERRIDE, read_copy
from gateway.store.pointers import PointerTable, save
from gateway.store.records import PointerFile, StoreIdentity
from tests.store.lives import release, state

RELEASES = {"rel_1": release("rel_1"), "rel_2": release("rel_2")}


@pytest.fixture
def table(tmp_path: Path) -> PointerTable:
    """An empty table of store `s1`."""
    made = PointerTable(tmp_path, StoreCounters())
    assert made.accepts(StoreIdentity("s1"))
    return made


def test_f13_never_a_mix(table: PointerTable) -> None:
    """F13: a state whose release is not known is not taken, and the old one stays whole."""
    assert table.adopt(state(1), RELEASES)
    assert not table.adopt(state(2, lane="rel_9"), {})
    assert table.alias("a") == state(1)
    assert table.adopt(state(2, lane="rel_9"), {"rel_9": release("rel_9")})
    assert table.alias("a") == state(2, lane="rel_9")
    assert table.release("rel_9") == release("rel_9")


def test_versions_never_go_down(table: PointerTable) -> None:
    """A lower version is refused and counted; the same one is no change."""
    table.adopt(state(5), RELEASES)
    assert not table.adopt(state(4, lane="rel_2"), {})
    assert not table.adopt(state(5, lane="rel_2"), {})
    assert table.alias("a") == state(5)
    assert table._counters.pointer_errors == {"older": 1}


def test_copy_survives_a_restart(table: PointerTable, tmp_path: Path) -> None:
    """What was known is known after a restart, with its age."""
    table.adopt(state(3), RELEASES)
    save(tmp_path, table.copy(1_000_000))
    after = PointerTable(tmp_path, StoreCounters())
    after.load(50.0, 1_060_000)
    assert (after.alias("a"), after.instance, after.known) == (state(3), "s1", True)
    assert after.release("rel_1") == release("rel_1")
    assert after.age(55.0) == 65.0
    after.confirmed(60.0)
    assert after.age(61.0) == 1.0


def test_a_lease_ends_by_the_older_of_two_signs(table: PointerTable) -> None:
    """It runs from the store's word, less the age of the control process's; a sign from the future is none, and a store that is
    not believed gives none."""
    assert table.lease_until < 0
    table.leased(100.0, 0.0)
    assert table.lease_until == 110.0
    table.leased(100.0, 4.0)
    assert table.lease_until == 106.0
    table.leased(100.0, math.inf)
    assert table.lease_until < 0
    table.leased(100.0, -0.5)
    assert table.lease_until == 110.0
    table.leased(200.0, -3600.0)
    table.store_lost = True
    table.leased(300.0, 0.0)
    assert table.lease_until == 110.0


def test_only_a_weight_needs_a_lease(table: PointerTable) -> None:
    """An alias without a rollout, and a rollout nobody new is exposed to, ask for none."""
    table.adopt(state(1), RELEASES)
    assert not table.splits
    table.adopt(msgspec.structs.replace(state(2), split=Split("rel_2", "s", {"*": 0})), RELEASES)
    assert not table.splits
    table.adopt(msgspec.structs.replace(state(3), split=Split("rel_2", "s", {"*": 1})), RELEASES)
    assert table.splits


def test_nothing_known(tmp_path: Path) -> None:
    """Without store and copy nothing is known, and the table says so."""
    table = PointerTable(tmp_path, StoreCounters())
    table.load(1.0, 1)
    assert not table.known
    assert table.age(9.0) == -1.0


def test_broken_copy_is_counted(tmp_path: Path) -> None:
    """A copy that cannot be read is counted and does not stop a start."""
    (tmp_path / COPY).write_text("{")
    table = PointerTable(tmp_path, StoreCounters())
    table.load(1.0, 1)
    assert table._counters.pointer_errors == {"disk_copy": 1}


def test_f10_emptied_or_exchanged_store(table: PointerTable) -> None:
    """F10: an empty or another store is lost, last-known pointers serve; a declared successor is accepted afresh."""
    table.adopt(state(5), RELEASES)
    assert not table.accepts(StoreIdentity())
    assert table.store_lost
    assert not table.accepts(StoreIdentity("s2"))
    assert table.alias("a") == state(5)
    assert table.accepts(StoreIdentity("s2", 1, "s0 s1"))
    table.confirmed(1.0)
    assert not table.store_lost
    assert table.adopt(state(1, lane="rel_2"), {})
    assert table.alias("a") == state(1, lane="rel_2")


def test_override_wins_until_overtaken(table: PointerTable, tmp_path: Path) -> None:
    """An operator's override is in force while its version is above the store's, and only there."""
    table.adopt(state(5), RELEASES)
    override = PointerFile(aliases={"a": state(6, lane="rel_7")}, releases={"rel_7": release("rel_7")})
    (tmp_path / OVERRIDE).write_bytes(msgspec.json.encode(override))
    assert table.look_local()
    assert not table.look_local(), "nothing changed since"
    assert table.alias("a") == state(6, lane="rel_7")
    assert table.overridden == ("a",)
    assert table.copy(1).aliases["a"] == state(5), "the copy keeps the store's word"
    table.adopt(state(6, lane="rel_2"), {})
    assert table.alias("a") == state(6, lane="rel_2")
    (tmp_path / OVERRIDE).unlink()
    assert not table.look_local()
    (tmp_path / OVERRIDE).write_text("{")
    assert not table.look_local()
    assert table._counters.pointer_errors == {"override": 1}


def test_copies_of_two_workers_merge(tmp_path: Path) -> None:
    """Whoever writes last, the newer state of each alias is in the copy; threads writing at once never tear it."""
    old = PointerFile("s1", 1, {"a": state(1), "b": state(9, "b")}, dict(RELEASES))
    new = PointerFile("s1", 2, {"a": state(2), "b": state(8, "b")}, {})
    save(tmp_path, new)
    save(tmp_path, old)
    copy = read_copy(tmp_path)
    assert copy is not None
    assert {name: value.version for name, value in copy.aliases.items()} == {"a": 2, "b": 9}
    assert "rel_1" in copy.releases
    assert not [path for path in tmp_path.iterdir() if path.name.endswith(".new")]
    threads = [threading.Thread(target=read_copy, args=(tmp_path,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    save(tmp_path, new)
    for thread in threads:
        thread.join()


def test_fetched_releases_are_bounded(table: PointerTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases looked up for old runs do not pile up for ever; those the pointers name stay."""
    monkeypatch.setattr("gateway.store.pointers.FETCHED_LIMIT", 50)
    table.adopt(state(1), RELEASES)
    for number in range(500):
        table.keep(release(f"rel_x{number}"))
    assert len(table.releases) <= 51
    assert table.release("rel_1") is not None


def test_texts_are_kept_as_long_as_their_releases(table: PointerTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is not what its digest says is not taken; those of forgotten releases go with them."""
    monkeypatch.setattr("gateway.store.pointers.FETCHED_LIMIT", 5)
    table.adopt(state(1), RELEASES)
    for number in range(20):
        text = f"Be {number}.".encode()
        triple = Triple(f"openai/{number}", Leg(Mode.SERVE, digest(text)))
        made = msgspec.structs.replace(release(f"rel_x{number}"), triple=triple)
        assert table.without([made]) == [digest(text)]
        assert not table.shelve(digest(text), b"Be something else.")
        assert table.shelve(digest(text), text)
        table.keep(made)
    assert len(table._artifacts) <= 6
    assert table._counters.pointer_errors == {"artifact_missing": 20}
