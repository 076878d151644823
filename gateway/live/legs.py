"""The prompt and tools of a release, parsed once per release and view, and kept at hand (`core.dialect.legs`).

Rule of the file: a leg that cannot be had is an error that may be tried again; another prompt or toolset never stands in.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.dialect.legs import UNREAD, as_sent, neutral, parsed

if TYPE_CHECKING:
    from gateway.core.contract.release import Release
    from gateway.core.dialect.legs import Legs
    from gateway.live.life import Life
    from gateway.live.view import View
    from gateway.live.worker import Worker

LEGS_KEPT = 1000
"""Releases whose legs are kept parsed."""
TOOLSETS_KEPT = 1000
"""Toolsets of requests whose neutral digest is remembered, by the sha256 of their bytes."""


async def legs_of(worker: Worker, view: View, release: Release) -> Legs | None:
    """The legs of a release; None when both are as sent. Asks the store only while an artifact is not at hand.

    Raises Fault 503 `artifact_missing`, to be tried again, or 409 `artifact_unreadable` for one of another version.
    """
    known = view.legs.get(release.id, UNREAD)
    if known is not UNREAD:
        return known
    if len(view.legs) >= LEGS_KEPT:
        view.legs.clear()
    if as_sent(release):
        view.legs[release.id] = None
        return None
    pointers = worker.store.pointers
    if pointers.without((release,)) and not await worker.store.fetch_artifacts(release):
        raise Fault(
            Kind.OVERLOADED,
            "artifact_missing",
            f"The prompt or toolset of release {release.id} cannot be read at the moment, and no other may stand in for it. "
            "Retry shortly.",
            side=Side.GATEWAY,
            retry=True,
            retry_after=1,
        )
    try:
        made = parsed(release, pointers.artifact)
    except ValueError as error:
        raise Fault(
            Kind.CONFLICT,
            "artifact_unreadable",
            f"The prompt or toolset of release {release.id} is stored in a form that this version cannot serve.",
            side=Side.GATEWAY,
        ) from error
    view.legs[release.id] = made
    return made


def sent_toolset(life: Life) -> str:
    """The neutral digest of the toolset in the request, empty without tools. Known toolsets cost one sha256."""
    assert life.envelope is not None
    raw = life.envelope.toolset()
    if not raw:
        return ""
    life.tools_sent = address = sha256(raw).hexdigest()
    known = life.view.toolsets
    found = known.get(address)
    if found is None:
        found = neutral(raw)
        if len(known) >= TOOLSETS_KEPT:
            known.clear()
        known[address] = found
    return found
