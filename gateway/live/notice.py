"""Notice which prompts and toolsets are sent, so that one which no release declares is seen.

Rule of the file: a request with a known prompt and known tools costs one look-up and a plain count. What is new is offered to
the learner within a bound per second, whatever clients send; over the bound it is counted and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gateway.core.contract.journal import Seen, Sightings

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.contract.run import Stamp
    from gateway.core.dialect.base import Envelope
    from gateway.store.sightings import SightingLine

TELL_SECONDS = 1.0
"""Time between two tellings of what was seen."""
NEW_PER_ALIAS = 8
NEW_PER_WORKER = 16
"""Pairs of prompt and tools that are taken up between two tellings."""
KNOWN = 4096
FORGET_TELLINGS = 600
"""After so many tellings everything is forgotten and offered anew: the store may have lost it, or the learner missed it."""
FLAGS = {
    (False, False): (),
    (True, False): ("undeclared_prompt",),
    (False, True): ("undeclared_tools",),
    (True, True): ("undeclared_prompt", "undeclared_tools"),
}


class Sight:
    """Requests with the same prompt and tools since the last telling. `flags` is what their journal entries say."""

    __slots__ = ("flags", "n", "run", "runs")

    def __init__(self, run: str) -> None:
        self.n = 1
        self.runs = 1
        self.run = run
        self.flags: tuple[str, ...] = ()


class Notices:
    """One per live worker. `on` is switched by the configuration."""

    def __init__(self, line: SightingLine, now_ms: Callable[[], int], *, on: bool = True) -> None:
        self.on = on
        self._line = line
        self._now_ms = now_ms
        self._known: dict[tuple[str, str, str, str], Sight] = {}
        self._offered: set[tuple[str, str]] = set()
        self._new: dict[str, int] = {}
        self._taken = 0
        self._unread: dict[str, int] = {}
        self._tellings = 0

    def saw(self, stamp: Stamp, prompt: str, tools: str, envelope: Envelope) -> tuple[str, ...]:
        """A request went to a provider with this prompt and these tools (sha256 of what was sent, or empty); its flags."""
        sight = self._known.get((stamp.alias, stamp.release, prompt, tools))
        if sight is None:
            if not (prompt or tools):
                return ()
            return self._first(stamp, prompt, tools, envelope)
        sight.n += 1
        if sight.run != stamp.run:
            sight.run = stamp.run
            sight.runs += 1
        return sight.flags

    def _first(self, stamp: Stamp, prompt: str, tools: str, envelope: Envelope) -> tuple[str, ...]:
        alias, new = stamp.alias, self._new
        if self._taken >= NEW_PER_WORKER or new.get(alias, 0) >= NEW_PER_ALIAS or len(self._known) >= KNOWN:
            return self._unheard(stamp, prompt, tools)
        self._taken += 1
        new[alias] = new.get(alias, 0) + 1
        self._known[alias, stamp.release, prompt, tools] = Sight(stamp.run)
        for kind, digest in (("prompt", prompt), ("tools", tools)):
            if digest and (alias, digest) not in self._offered:
                self._offered.add((alias, digest))
                self._line.text(alias, kind, digest, envelope.system() if kind == "prompt" else envelope.toolset())
        return ()

    def _unheard(self, stamp: Stamp, prompt: str, tools: str) -> tuple[str, ...]:
        """Over the bound: the request is counted, and its tools are where they are known."""
        alias = stamp.alias
        if len(self._unread) < KNOWN or alias in self._unread:
            self._unread[alias] = self._unread.get(alias, 0) + 1
        key = (alias, stamp.release, "", tools)
        sight = self._known.get(key) if prompt and tools else None
        if sight is not None:
            sight.n += 1
            return sight.flags
        if prompt and (alias, tools) in self._offered and len(self._known) < KNOWN:
            self._known[key] = Sight(stamp.run)
        return ()

    async def work(self) -> None:
        """Tell what was seen, and learn what of it is undeclared, until cancelled; then tell the rest."""
        try:
            while True:
                await asyncio.sleep(TELL_SECONDS)
                told = self.tell()
                if told:
                    self.mark(await self._line.undeclared(told))
        finally:
            self.tell()

    def tell(self) -> list[str]:
        """Hand over what was seen since the last time; returns the aliases that had traffic."""
        self._new.clear()
        self._taken = 0
        seen: dict[str, list[Seen]] = {alias: [] for alias in self._unread}
        for (alias, release, prompt, tools), sight in self._known.items():
            if sight.n:
                seen.setdefault(alias, []).append(Seen(release, prompt, tools, sight.n, sight.runs))
                sight.n = sight.runs = 0
        at_ms = self._now_ms()
        for alias, rows in seen.items():
            self._line.seen(Sightings(alias, at_ms, tuple(rows), self._unread.get(alias, 0)))
        self._unread.clear()
        self._tellings += 1
        if self._tellings % FORGET_TELLINGS == 0:
            self._known.clear()
            self._offered.clear()
        elif len(self._known) >= KNOWN:
            self._thin()
        return list(seen)

    def mark(self, undeclared: dict[str, frozenset[str]]) -> None:
        """Take over which digests are undeclared; an alias that is not named stays as it was."""
        for (alias, _, prompt, tools), sight in self._known.items():
            marked = undeclared.get(alias)
            if marked is not None:
                sight.flags = FLAGS[prompt in marked, tools in marked]

    def _thin(self) -> None:
        """Forget the older half: a prompt that changes with every request fills the table."""
        for key in list(self._known)[: KNOWN // 2]:
            self._offered.discard((key[0], key[2]))
            self._offered.discard((key[0], key[3]))
            del self._known[key]
