"""What the releases of an alias declare, in the form in which prompts and toolsets are learnt.

Rule of the file: artifacts never change, so each is read once. A leg that is as-sent has none and declares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.control.desk import Desk
from gateway.control.moves import candidate_of
from gateway.core.contract.alias import AliasState
from gateway.core.contract.prompt import parse
from gateway.core.contract.release import Leg, Mode, Release
from gateway.core.dialect.toolset import canonical
from gateway.core.dialect.toolset import read as read_tools
from gateway.core.templates.align import GAP, LONG, fit
from gateway.core.templates.text import Unit, readable, readable_tools, units
from gateway.store import releases

KEPT = 500
"""Releases whose artifacts are at hand."""
VARIABLE = "\x1a"
"""Stands for a variable while a prompt is cut into units: no letter, so that it is a token of its own."""


@dataclass(frozen=True, slots=True)
class Declared:
    """The legs of one release. A leg governs when the release answers itself for what goes out under it."""

    release: str
    governs: tuple[bool, bool]
    legs: tuple[tuple[Unit, ...] | None, tuple[Unit, ...] | None]
    """Prompt and tools as templates; None where the release has none."""

    def covers(self, at: int, learnt: tuple[Unit, ...]) -> bool:
        """Whether a learnt prompt (0) or toolset (1) is this release's."""
        leg = self.legs[at]
        return leg is not None and not fit(leg, learnt).changes


class Declarations:
    """One per learner."""

    def __init__(self) -> None:
        self._known: dict[str, Declared] = {}

    async def of(self, desk: Desk, wanted: set[str]) -> Mapping[str, Declared]:
        """What these releases declare, those that the store has. Raises Fault when it cannot be used."""
        if len(self._known) > KEPT:
            self._known.clear()
        fresh = [name for name in wanted if name and name not in self._known]
        for name, release in (await releases.many(desk.store, fresh)).items():
            self._known[name] = await _read(desk, release)
        return {name: self._known[name] for name in wanted if name in self._known}


def named(state: AliasState) -> set[str]:
    """Every release that an alias names: stable, warm and candidate."""
    found = {name for lane in state.lanes.values() for name in (lane.release, *lane.previous)}
    return found | ({candidate_of(state)} - {""})


def text_units(leg: str, raw: bytes) -> tuple[Unit, ...]:
    """A prompt or toolset as sent, in units; toolsets of every dialect in the same neutral words."""
    if leg == "prompt":
        return units(readable(raw))
    try:
        return units(readable_tools(canonical(read_tools(raw))))
    except (ValueError, RecursionError):
        return units(readable_tools(raw))


async def _read(desk: Desk, release: Release) -> Declared:
    prompt, inserts = await _prompt(desk, release.triple.prompt)
    tools = release.triple.tools
    data = await releases.artifact(desk.store, tools.digest) if tools.digest else None
    return Declared(
        release.id,
        (release.triple.prompt.mode is not Mode.AS_SENT and not inserts, tools.mode is not Mode.AS_SENT),
        (prompt, text_units("tools", data) if data else None),
    )


async def _prompt(desk: Desk, leg: Leg) -> tuple[tuple[Unit, ...] | None, bool]:
    """A prompt's artifact as a template, its variables as holes; and whether it inserts what the application sends."""
    data = await releases.artifact(desk.store, leg.digest) if leg.digest else None
    if data is None:
        return None, False
    try:
        template = parse(data.decode())
    except ValueError:
        return None, False  # of a form this version does not know
    parts = list(template.parts)
    parts[1::2] = [VARIABLE for _ in parts[1::2]]
    return tuple(_holes(unit) for unit in units("".join(parts))), template.uses_app


def _holes(unit: Unit) -> Unit:
    if len(unit) == 1 and unit[0] == VARIABLE:
        return GAP
    return tuple(LONG if token.strip() == VARIABLE else token for token in unit)
