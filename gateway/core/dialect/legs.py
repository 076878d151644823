"""The prompt and tools of a release, parsed once and ready to be put into requests.

Rule of the file: a leg is parsed whole or not at all; another prompt or toolset never stands in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.artifact import digest
from gateway.core.contract.prompt import parse
from gateway.core.contract.release import Mode, Release, Triple
from gateway.core.dialect import toolset

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.contract.artifact import Tool
    from gateway.core.contract.prompt import Template
    from gateway.core.contract.release import Leg
    from gateway.core.dialect.base import Dialect
    from gateway.core.dialect.routes import Operation

UNREADABLE = "unreadable"
"""Stands for the digest of a toolset that cannot be read; no release has it."""


class Legs:
    """The legs of one release. `template` and `tools` are None where the leg is as sent."""

    __slots__ = ("compares", "edits", "prompt", "release", "template", "tools", "tools_leg", "toolset")

    def __init__(self, release: Release, template: Template | None, tools: tuple[Tool, ...] | None) -> None:
        self.release = release.id
        self.prompt: Leg = release.triple.prompt
        self.tools_leg: Leg = release.triple.tools
        self.template = template
        self.tools = tools
        self.compares = tools is not None and self.tools_leg.mode is not Mode.SERVE
        """Whether the toolset of a request is compared with the release's."""
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


def as_sent(release: Release) -> bool:
    """Whether a release brings neither a prompt nor tools."""
    return release.triple.prompt.mode is Mode.AS_SENT and release.triple.tools.mode is Mode.AS_SENT


def parsed(release: Release, artifact: Callable[[str], bytes | None]) -> Legs:
    """The legs of a release, from the bytes that `artifact` has of a digest. Raises ValueError for what cannot be read."""
    template = tools = None
    if release.triple.prompt.mode is not Mode.AS_SENT:
        template = parse((artifact(release.triple.prompt.digest) or b"").decode())
    if release.triple.tools.mode is not Mode.AS_SENT:
        tools = toolset.read(artifact(release.triple.tools.digest) or b"")
    return Legs(release, template, tools)


def neutral(raw: bytes) -> str:
    """The neutral digest of a toolset as sent: empty without tools, UNREADABLE for one that cannot be read."""
    if not raw:
        return ""
    try:
        return digest(toolset.canonical(toolset.read(raw)))
    except ValueError:
        return UNREADABLE
