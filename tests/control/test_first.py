"""first_release: creates what nobody knows, and never anything else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.control.desk import Desk
from gateway.control.first import align_stakes, seed
from gateway.control.promote import promote
from gateway.control.recovery import bootstrap
from gateway.core.contract.alias import Stakes
from gateway.core.contract.fault import Fault
from gateway.core.contract.release import Mode
from gateway.settings.model import AliasSettings, LegSettings, ReleaseSettings, ShadowDeclared
from gateway.store import aliases, labels, releases
from gateway.store.records import PointerFile
from gateway.store.recovery import identity
from tests.control.conftest import MODELS, Make

pytestmark = pytest.mark.anyio


def declaring(desk: Desk, **declared: AliasSettings) -> Desk:
    """The same desk with these aliases in its configuration."""
    settings = msgspec.structs.replace(desk.settings, aliases=declared)
    return Desk(desk.store, settings, desk.pins, desk.actor, desk.now_ms)


async def test_seeds_once(desk: Desk, made: Make, tmp_path: Path) -> None:
    """A declared alias nobody knows is made with version 1; the second start leaves it, wherever its pointer is by then."""
    first = await seed(desk, tmp_path)
    assert [(s.alias, s.made) for s in first] == [("agent", True), ("usual", True), ("grave", True)]
    assert (await identity(desk.store)).instance
    await promote(desk, "agent", await made("B"), "better")
    again = await seed(desk, tmp_path)
    assert not any(s.made for s in again)
    assert again[0].release == await made("B")
    assert (await desk.alias("agent")).version == 2
    assert [entry.action for entry in await aliases.history(desk.store, "agent")] == ["promote", "first_release"]


@pytest.mark.parametrize("part", ["prompt", "tools"])
async def test_first_release_with_legs(desk: Desk, tmp_path: Path, part: str) -> None:
    """A prompt or toolset is read from its file beside the configuration; a missing or broken one is named and makes no alias."""
    leg = LegSettings("leg", label="leg@v1")
    here = declaring(desk, agent=AliasSettings(ReleaseSettings(MODELS["A"], **{part: leg})))
    for text in (None, "{{1}}"):
        if text is not None:
            (tmp_path / "leg").write_text(text)
        with pytest.raises(Fault) as caught:
            await seed(here, tmp_path)
        assert f"aliases.agent.first_release: {part}" in caught.value.message
        assert await aliases.every(desk.store) == {}
    (tmp_path / "leg").write_text('[{"name": "refund"}]')
    (done,) = await seed(here, tmp_path)
    release = await desk.release(done.release)
    held = getattr(release.triple, part)
    assert (done.made, held.mode) == (True, Mode.SERVE)
    assert await labels.every(desk.store) == {"leg@v1": held.digest}
    assert b"refund" in (await releases.artifact(desk.store, held.digest) or b"")


@pytest.mark.parametrize("stakes", [Stakes.STANDARD, Stakes.HIGH])
async def test_floating_first_release_is_refused_by_stakes(desk: Desk, tmp_path: Path, stakes: Stakes) -> None:
    """A floating first release is refused with the alias and the part at fault; the alias is not made."""
    here = declaring(desk, agent=AliasSettings(ReleaseSettings("openai/gpt-4o"), stakes=stakes))
    with pytest.raises(Fault, match="unpinned_model") as caught:
        await seed(here, tmp_path)
    assert "aliases.agent.first_release: model" in caught.value.message
    assert await aliases.every(desk.store) == {}


async def test_floating_first_release_with_a_reason(desk: Desk, tmp_path: Path) -> None:
    """At stakes standard `allow_floating` of the alias is the reason."""
    here = declaring(desk, agent=AliasSettings(ReleaseSettings("openai/gpt-4o"), allow_floating="no dated id"))
    (seeded,) = await seed(here, tmp_path)
    assert seeded.made


async def test_lost_store_seeds_nothing(desk: Desk, tmp_path: Path) -> None:
    """F10: with an emptied store and a disk copy that remembers, nothing is seeded until an operator says so."""
    await seed(desk, tmp_path)
    states = await aliases.every(desk.store)
    remember(desk, PointerFile(instance=(await identity(desk.store)).instance, aliases=states))
    await desk.store.do("FLUSHALL")
    lost = await seed(desk, tmp_path)
    assert not any(s.made for s in lost)
    assert "store is lost" in lost[0].why
    assert await desk.store.do("DBSIZE") == 0
    await bootstrap(desk, "we start afresh")
    assert all(s.made for s in await seed(desk, tmp_path))


async def test_stakes_follow_the_configuration(desk: Desk, made: Make, tmp_path: Path) -> None:
    """Changed stakes are written into the alias with a history entry; pointers stay."""
    await seed(desk, tmp_path)
    here = declaring(desk, agent=AliasSettings(ReleaseSettings(MODELS["B"]), stakes=Stakes.HIGH))
    assert await align_stakes(here) == ["agent"]
    state = await desk.alias("agent")
    assert state.stakes is Stakes.HIGH
    assert state.lanes["*"].release == await made("A")
    assert await align_stakes(here) == []


def remember(desk: Desk, copy: PointerFile) -> None:
    """Write the disk copy as a live worker does."""
    data_dir = Path(desk.settings.store.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "pointers.json").write_bytes(msgspec.json.encode(copy))


async def test_a_declared_shadow_starts_with_the_alias_and_never_again(desk: Desk, tmp_path: Path) -> None:
    """`aliases.NAME.shadow` makes its release and runs beside the first one; what was stopped later stays stopped."""
    declared = AliasSettings(
        ReleaseSettings(MODELS["A"]), shadow=(ShadowDeclared(ReleaseSettings(MODELS["B"]), rate=0.25),)
    )
    here = declaring(desk, agent=declared)
    await seed(here, tmp_path)
    state = await here.alias("agent")
    (shadow,) = state.shadows
    assert (shadow.rate, shadow.secondary, shadow.until_ms) == (2500, 2000, 0)
    assert (await here.release(shadow.candidate)).triple.model == MODELS["B"]
    await aliases.write(here.store, state, msgspec.structs.replace(state, shadows=()), here.entry("shadow_stop", "t"))
    await seed(here, tmp_path)
    assert (await here.alias("agent")).shadows == ()
