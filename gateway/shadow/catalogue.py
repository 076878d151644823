"""Releases and aliases as the shadow reads them: from the main store, kept for a moment.

Rule of the file: what can change (an alias, whether a release is blocked) is at most a second old; what cannot is kept within a
bound. An artifact that is not there, or cannot be read, is a Skip: nothing stands in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.core.contract.alias import AliasState
from gateway.core.contract.release import Mode, Release
from gateway.core.dialect.legs import Legs, as_sent, parsed
from gateway.shadow.compare import Tools
from gateway.shadow.ports import Skip
from gateway.store import aliases, releases
from gateway.store.artifacts import named
from gateway.store.client import Store

FRESH_SECONDS = 1.0
KEPT = 256
"""Aliases, releases, artifacts and legs that are kept, of each."""

T = TypeVar("T")


class Kept(Generic[T]):
    """A few values by name; when there are too many, all are forgotten."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[float, T]] = {}

    def get(self, name: str, since: float) -> tuple[T] | None:
        """The value, if it was put no earlier than `since`."""
        found = self._values.get(name)
        return (found[1],) if found is not None and found[0] >= since else None

    def put(self, name: str, value: T, now: float) -> T:
        """Keep a value."""
        if len(self._values) >= KEPT:
            self._values.clear()
        self._values[name] = (now, value)
        return value


class StoreCatalogue:
    """Reads the main store. `store` gives it, for its address may change; `clock` is monotonic seconds; `seen` hears the names
    of aliases."""

    def __init__(
        self,
        store: Callable[[], Store],
        clock: Callable[[], float],
        seen: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._seen = seen
        self._aliases: Kept[AliasState | None] = Kept()
        self._releases: Kept[Release | None] = Kept()
        self._artifacts: Kept[bytes] = Kept()
        self._legs: Kept[Legs | None] = Kept()

    async def alias(self, name: str) -> AliasState | None:
        """An alias as it is now, or was a second ago. Raises Fault."""
        now = self._clock()
        known = self._aliases.get(name, now - FRESH_SECONDS)
        if known is not None:
            return known[0]
        found = await aliases.get(self._store(), name)
        if found is not None:
            self._seen(name)
        return self._aliases.put(name, found, now)

    async def release(self, identifier: str) -> Release | None:
        """A release by id; `blocked` is at most a second old. Raises Fault."""
        now = self._clock()
        known = self._releases.get(identifier, now - FRESH_SECONDS)
        if known is not None:
            return known[0]
        return self._releases.put(identifier, await releases.get(self._store(), identifier), now)

    async def legs(self, release: Release) -> Legs | None:
        """What a release brings, parsed; None when both legs are as sent. Raises Skip, and Fault while the store is away."""
        if as_sent(release):
            return None
        known = self._legs.get(release.id, 0.0)
        if known is not None:
            return known[0]
        found = {digest: await self._artifact(digest) for digest in named(release)}
        try:
            return self._legs.put(release.id, parsed(release, found.get), self._clock())
        except ValueError as error:
            raise Skip("artifact_unreadable") from error

    async def tools(self, primary: Release, candidate: Release) -> Tools:
        """Toolsets that the two releases give their model in place of the sent one. Raises Skip, Fault."""
        return Tools(await self._served(primary), await self._served(candidate))

    async def _served(self, release: Release) -> bytes:
        leg = release.triple.tools
        return await self._artifact(leg.digest) if leg.mode is Mode.SERVE else b""

    async def _artifact(self, digest: str) -> bytes:
        known = self._artifacts.get(digest, 0.0)
        if known is not None:
            return known[0]
        data = await releases.artifact(self._store(), digest)
        if data is None:
            raise Skip("artifact_missing")
        return self._artifacts.put(digest, data, self._clock())
