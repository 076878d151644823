"""The prompt and tools of a release, parsed once per release and view, and kept at hand.

Rule of the file: a leg that cannot be had is an error that may be tried again; another prompt or toolset never stands in.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from gateway.core.contract.artifact import digest
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.contract.prompt import Template, parse
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.core.dialect import toolset

if TYPE_CHECKING:
    from gateway.core.contract.artifact import Tool
    from gateway.core.dialect.base import Dialect
    from gateway.core.dialect.routes import Operation
    from gateway.live.life import Life
    from gateway.live.view import View
    from gateway.live.worker import Worker

LEGS_KEPT = 1000
"""Releases whose legs are kept parsed."""
TOOLSETS_KEPT = 1000
"""Toolsets of requests whose neutral digest is remembered, by the sha256 of their bytes."""
UNREADABLE = "unreadable"
"""Stands for the digest of a toolset that cannot be read; no release has it."""


class Legs:
    """The legs of one release. `template` and `tools` are None where the leg is as sent."""

    __slots__ = ("edits", "prompt", "release", "template", "tools", "tools_leg", "toolset")

    def __init__(self, release: Release, template: Template | None, tools: tuple[Tool, ...] | None) -> None:
        self.release = release.id
        self.prompt: Leg = release.triple.prompt
        self.tools_leg: Leg = release.triple.tools
        self.template = template
        self.tools = tools
        neutral = digest(toolset.canonical(tools)) if tools is not None else ""
        self.toolset = frozenset((self.tools_leg.digest, neutral))
        """The digests the toolset goes by: the artifact's, and the neutral one where an older version stored another form."""
        self.edits: dict[tuple[str, Operation], dict[str, bytes | None]] = {}

    def tools_edit(self, dialect: Dialect, operation: Operation) -> dict[str, bytes | None]:
        """The splice that puts the tools in, made once per dialect and operation; empty where there is no place for them."""
        which = (dialect.name, operation)
        found = self.edits.get(which)
        if found is None:
            assert self.tools is not None
            found = self.edits[which] = dialect.tools_edit(operation, self.tools)
        return found


UNREAD = Legs(Release("", Triple("")), None, None)
"""Stands for legs that nobody has read yet, where None means that there are none."""


async def legs_of(worker: Worker, view: View, release: Release) -> Legs | None:
    """The legs of a release; None when both are as sent. Asks the store only while an artifact is not at hand.

    Raises Fault 503 `artifact_missing`, to be tried again, or 409 `artifact_unreadable` for one of another version.
    """
    known = view.legs.get(release.id, UNREAD)
    if known is not UNREAD:
        return known
    if len(view.legs) >= LEGS_KEPT:
        view.legs.clear()
    triple = release.triple
    if triple.prompt.mode is Mode.AS_SENT and triple.tools.mode is Mode.AS_SENT:
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
        template = tools = None
        if triple.prompt.mode is not Mode.AS_SENT:
            template = parse((pointers.artifact(triple.prompt.digest) or b"").decode())
        if triple.tools.mode is not Mode.AS_SENT:
            tools = toolset.read(pointers.artifact(triple.tools.digest) or b"")
    except ValueError as error:
        raise Fault(
            Kind.CONFLICT,
            "artifact_unreadable",
            f"The prompt or toolset of release {release.id} is stored in a form that this version cannot serve.",
            side=Side.GATEWAY,
        ) from error
    made = view.legs[release.id] = Legs(release, template, tools)
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
        try:
            found = digest(toolset.canonical(toolset.read(raw)))
        except ValueError:
            found = UNREADABLE
        if len(known) >= TOOLSETS_KEPT:
            known.clear()
        known[address] = found
    return found
