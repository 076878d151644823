"""Aliases: list, show, history, export and apply."""

from __future__ import annotations

import msgspec
import pytest

from gateway.control.aliases import apply, as_yaml, export, history, listed, read_file, show
from gateway.control.desk import Desk
from gateway.core.contract.fault import Fault
from gateway.core.contract.records import PointerFile, PointerWant
from gateway.store import aliases
from tests.control.conftest import MODELS, Make, Place
from tests.control.workers import beat

pytestmark = pytest.mark.anyio


async def test_list_show_history(desk: Desk, made: Make, placed: Place) -> None:
    """What is told of an alias: lanes, models behind the releases, who follows, and every write."""
    await placed("agent", {"*": "BA"})
    await beat(desk, "w1", {"agent": 0})
    (row,) = await listed(desk)
    assert row.lanes == {"*": await made("B")}
    detail = await show(desk, "agent")
    assert detail.models == {await made("B"): MODELS["B"], await made("A"): MODELS["A"]}
    assert [(worker.worker, worker.behind) for worker in detail.workers] == [("w1", 1)]
    assert [entry.action for entry in await history(desk, "agent")] == ["first_release"]
    with pytest.raises(Fault, match="alias_unknown"):
        await history(desk, "nobody")


@pytest.mark.parametrize("form", ["yaml", "json"])
async def test_applying_an_export_changes_nothing(desk: Desk, placed: Place, form: str) -> None:
    """The round trip through YAML or JSON is a no-op."""
    await placed("agent", {"*": "BA", "tenant:acme": "C"})
    await placed("usual", {"*": "A"})
    file = await export(desk)
    text = as_yaml(file) if form == "yaml" else msgspec.json.encode(file).decode()
    assert read_file(text) == file
    assert [moved.changed for moved in await apply(desk, read_file(text), "restore")] == [False, False]
    assert (await desk.alias("agent")).version == 1


async def test_apply_moves_adds_and_removes_lanes(desk: Desk, made: Make, placed: Place) -> None:
    """The file says which lanes there are; a moved lane remembers its former release; the reason is in the history."""
    await placed("agent", {"*": "A", "tenant:acme": "A"})
    b, c = await made("B"), await made("C")
    want = PointerFile({"agent": PointerWant({"*": b, "segment:gold": c}, version=1)})
    (moved,) = await apply(desk, want, "reorder")
    assert moved.changed
    state = await desk.alias("agent")
    assert {name: lane.release for name, lane in state.lanes.items()} == {"*": b, "segment:gold": c}
    assert state.lanes["*"].previous == (await made("A"),)
    assert (await aliases.history(desk.store, "agent"))[0].action == "apply"


async def test_stale_file_and_stakes(desk: Desk, made: Make, placed: Place) -> None:
    """A file made from an older version is refused, and apply is no way around the stakes; nothing is written then."""
    await placed("agent", {"*": "A"})
    await placed("grave", {"*": "AB"})
    b, c = await made("B"), await made("C")
    with pytest.raises(Fault, match="pointer_moved"):
        await apply(desk, PointerFile({"agent": PointerWant({"*": b}, version=7)}), "go")
    both = PointerFile({"agent": PointerWant({"*": b}), "grave": PointerWant({"*": c})})
    with pytest.raises(Fault, match="gate_not_green"):
        await apply(desk, both, "go", override="alice")
    assert (await desk.alias("agent")).version == 1
    (moved,) = await apply(desk, PointerFile({"grave": PointerWant({"*": b})}), "back to a former stable")
    assert moved.changed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aliases: [", "not YAML"),
        ("aliases: {agent: {lanes: {everyone: rel_1}}}", "tenant:NAME"),
        ("aliases: {agent: {lanes: {}}}", "lanes are written"),
        ("v: 2\naliases: {}", "v: 2"),
        ("alias: {}", "alias"),
        ("just words", "Expected"),
    ],
)
async def test_bad_pointer_files(text: str, told: str) -> None:
    """A file that is not one is refused with what is wrong."""
    with pytest.raises(Fault, match="pointer_file") as caught:
        read_file(text)
    assert told in caught.value.message


async def test_everyone_cannot_be_removed(desk: Desk, made: Make, placed: Place) -> None:
    """A file that leaves out `*` does not leave tenants without a release."""
    await placed("agent", {"*": "A"})
    with pytest.raises(Fault, match="pointer_file"):
        await apply(desk, PointerFile({"agent": PointerWant({"tenant:x": await made("A")})}), "go")
