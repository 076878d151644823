"""first_release: give an alias that nobody knows its first pointer. From then on the pointer is data and the file never moves it.

Rule of the file: an alias is new only when neither the store nor this host's disk copy knows it. A store that is lost seeds
nothing, whatever the file says.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from gateway.control.desk import Desk
from gateway.control.releases import create
from gateway.control.shadows import Order, wanted
from gateway.core.contract.alias import EVERYONE, AliasState, Lane, Shadow
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import LegAsk, ReleaseAsk, ReleaseMade, Seeded
from gateway.core.contract.release import Params
from gateway.settings.model import AliasSettings, LegSettings, ReleaseSettings
from gateway.store import aliases
from gateway.store.aliases import PointerMoved
from gateway.store.recovery import identify, identity, loss, overruled


async def seed(desk: Desk, base: Path) -> list[Seeded]:
    """Seed every configured alias that is new; files of legs are read relative to `base`, the folder of the configuration.

    Running it again, or on two hosts at once, is harmless: the first writer wins. Raises Fault `bad_release` or
    `unpinned_model` with the alias's name in front when a first release cannot be made; aliases before it are seeded then.
    Raises `copy_unreadable` while this host's copy cannot be read: it may remember what the store forgot.
    """
    copy = desk.remembered()
    lost = await loss(desk.store, copy)
    if lost:
        why = f"the store is lost: {lost}; see `trivet store`"
        return [Seeded(alias=name, release="", made=False, why=why) for name in desk.settings.aliases]
    await identify(desk.store)
    remembered = copy.aliases if copy is not None and not overruled(await identity(desk.store), copy) else {}
    stored = await aliases.every(desk.store)
    done: list[Seeded] = []
    for name, declared in desk.settings.aliases.items():
        known = stored.get(name) or remembered.get(name)
        if known is not None:
            lane = known.lanes.get(EVERYONE) or next(iter(known.lanes.values()), None)
            where = "the store" if name in stored else "this host's copy"
            release = lane.release if lane is not None else ""
            done.append(
                Seeded(alias=name, release=release, made=False, why=f"{where} knows it at version {known.version}")
            )
        else:
            done.append(await _seed_one(desk, name, declared, base))
    return done


async def align_stakes(desk: Desk) -> list[str]:
    """Write stakes and side effects that the configuration changed into the aliases; their names.

    The pointers stay. A race with another write is left to the next time.
    """
    changed: list[str] = []
    for name, state in (await aliases.every(desk.store)).items():
        declared = desk.settings.aliases.get(name)
        if declared is None or (declared.stakes, declared.side_effects) == (state.stakes, state.side_effects):
            continue
        after = msgspec.structs.replace(state, stakes=declared.stakes, side_effects=declared.side_effects)
        reason = f"the configuration says stakes {declared.stakes.value}, side_effects {declared.side_effects.value}"
        try:
            await aliases.write(desk.store, state, after, desk.entry("stakes", reason))
        except PointerMoved:
            continue
        changed.append(name)
    return changed


async def _seed_one(desk: Desk, name: str, declared: AliasSettings, base: Path) -> Seeded:
    made = await _made(desk, name, declared, (declared.first_release, "first_release"), base)
    shadows: dict[str, Shadow] = {}
    for index, each in enumerate(declared.shadow):
        candidate = await _made(desk, name, declared, (each.release, f"shadow[{index}]"), base)
        if candidate.id != made.id:
            order = Order(name, candidate.id, each.rate, each.secondary)
            shadows[candidate.id] = wanted(desk, None, order)
    state = AliasState(
        name=name,
        version=1,
        lanes={EVERYONE: Lane(made.id)},
        stakes=declared.stakes,
        side_effects=declared.side_effects,
        shadows=tuple(shadows.values()),
    )
    entry = desk.entry("first_release", "declared in the configuration")
    if await aliases.create(desk.store, state, entry):
        return Seeded(alias=name, release=made.id, made=True, why="")
    return Seeded(alias=name, release=made.id, made=False, why="another process made it first")


async def _made(
    desk: Desk, name: str, declared: AliasSettings, what: tuple[ReleaseSettings, str], base: Path
) -> ReleaseMade:
    """A release of the configuration, stored; `what` is it and its key. Raises Fault that names the key."""
    release, key = what
    ask = ReleaseAsk(
        model=release.model,
        prompt=_leg(name, "prompt", release.prompt, base),
        tools=_leg(name, "tools", release.tools, base),
        params=Params(set=release.params.set, drop=release.params.drop, rename=release.params.rename),
        note=f"first release of {name}" if key == "first_release" else f"in the shadow of {name}",
        allow_floating=declared.allow_floating,
    )
    try:
        return await create(desk, ask, declared)
    except Fault as fault:
        raise Fault(
            fault.kind, fault.code, f"aliases.{name}.{key}: {fault.message}", side=fault.side, retry=fault.retry
        ) from fault


def _leg(alias: str, part: str, leg: LegSettings | None, base: Path) -> LegAsk | None:
    if leg is None:
        return None
    path = base / leg.file
    try:
        return LegAsk(mode=leg.mode, content=path.read_text(encoding="utf-8"), label=leg.label)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"aliases.{alias}.first_release: {part}: {path} cannot be read: {why}"
        raise Fault(Kind.BAD_REQUEST, "bad_release", message, param=part) from error
