"""The operator's word when the store is not the one this host remembers: `restore` its pointers, or `bootstrap` afresh."""

from __future__ import annotations

from gateway.control.desk import Desk, checked_reason
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import Recovered
from gateway.core.contract.release import Release
from gateway.store import artifacts, recovery, releases
from gateway.store.records import PointerFile


async def restore(desk: Desk, reason: str) -> Recovered:
    """Put this host's pointers and releases into the store where it has none or older ones. Harmless when nothing is lost.

    Raises Fault `no_copy` when this host remembers nothing.
    """
    why = checked_reason(reason)
    copy = desk.remembered()
    if copy is None or not copy.aliases:
        message = f"there is no copy of pointers in {desk.settings.store.data_dir}; restore on a host that served, or bootstrap"
        raise Fault(Kind.CONFLICT, "no_copy", message)
    await _bring_back(desk, copy)
    written = await recovery.restore(desk.store, copy, desk.entry("restore", why))
    known = await recovery.identity(desk.store)
    return Recovered(
        action="restore",
        instance=known.instance,
        aliases=tuple(state.name for state in written),
        releases=len(copy.releases),
        warnings=(*await _without_artifacts(desk, copy), *_without_release(copy)),
    )


async def bootstrap(desk: Desk, reason: str) -> Recovered:
    """Take the store as it is for the truth, empty as it may be: a deliberate fresh start. first_release then seeds again.

    Runs that are bound keep their stamps, by ticket and host log.
    """
    why = checked_reason(reason)
    copy = desk.remembered()
    known = await recovery.bootstrap(desk.store, copy, desk.entry("bootstrap", why))
    given_up = tuple(sorted(copy.aliases)) if copy is not None else ()
    return Recovered(action="bootstrap", instance=known.instance, aliases=given_up, releases=0, warnings=())


async def _bring_back(desk: Desk, copy: PointerFile) -> None:
    """Put this host's prompts, toolsets and labels into the store where it has none: what a release needs, before the release."""
    for release in copy.releases.values():
        for digest in artifacts.named(release):
            data = artifacts.read(desk.settings.store.data_dir, digest)
            if data is not None:
                await desk.store.do("SET", desk.store.keys.artifact(digest), data, "NX")
    for label, digest in copy.labels.items():
        await desk.store.do("HSETNX", desk.store.keys.labels(), label, digest)


async def _without_artifacts(desk: Desk, copy: PointerFile) -> list[str]:
    found: list[str] = []
    for release in copy.releases.values():
        for part, digest in _digests(release):
            if await releases.artifact(desk.store, digest) is None:
                found.append(
                    f"release {release.id}: its {part} {digest[:12]} is not in the store; create it again from its file"
                )
    return found


def _without_release(copy: PointerFile) -> list[str]:
    return [
        f"alias {name} lane {lane}: this host has no copy of release {pointer.release}"
        for name, state in copy.aliases.items()
        for lane, pointer in state.lanes.items()
        if pointer.release not in copy.releases
    ]


def _digests(release: Release) -> list[tuple[str, str]]:
    legs = (("prompt", release.triple.prompt), ("tools", release.triple.tools))
    return [(part, leg.digest) for part, leg in legs if leg.digest]
