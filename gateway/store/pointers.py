"""The pointers as this worker knows them: from the store, from the disk copy of this host, from an operator's override.

Rules of the file: a state is taken as a whole and only once every release it names is known; within one store a version
never goes down; with the store gone or exchanged, what was known last stays in force.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.artifact import digest as digest_of
from gateway.core.contract.release import Release
from gateway.store import artifacts
from gateway.store.counters import StoreCounters
from gateway.store.local import COPY, OVERRIDE, DiskCopyError, read_copy, read_override
from gateway.store.records import PointerFile, StoreIdentity, releases_of

LEASE_SECONDS = 10.0
"""How long a weight holds without a sign of life of the control process, and without the store's word on the pointers."""
CLOCK_SECONDS = 1.0
"""How far in the store's future a sign of life may lie; further, and the store's clock was set back: it says nothing."""
FETCHED_LIMIT = 4096
"""Releases kept in memory beyond those the pointers name."""
_NOTHING: Mapping[str, bytes] = MappingProxyType({})


class PointerTable:
    """Look-ups are plain dict accesses; everything that changes the table runs on the event loop."""

    def __init__(self, data_dir: Path, counters: StoreCounters) -> None:
        self.instance = ""
        """Instance id of the store these pointers come from."""
        self.store_lost = False
        """The store is empty, another one, or behind what this host remembers; last-known pointers are in force."""
        self._data_dir = data_dir
        self._counters = counters
        self._stored: dict[str, AliasState] = {}
        self._local: dict[str, AliasState] = {}
        self._effective: dict[str, AliasState] = {}
        self._releases: dict[str, Release] = {}
        self._artifacts: dict[str, bytes] = {}
        self.labels: Mapping[str, str] = MappingProxyType({})
        """Label to the digest it names; replaced as a whole, so that a reader may keep what it made of it."""
        self.lease_seconds = LEASE_SECONDS
        self.lease_until = -1.0
        """Until when (`time.monotonic()`) weights are in force: past it new runs are bound to the stable release."""
        self._confirmed = -1.0
        self._copy_age = 0.0
        self._local_stat: tuple[int, int, int] | None = None
        self.behind: set[str] = set()
        """Aliases for which the store holds a lower version than this host remembers."""

    # -- what live requests read --------------------------------------------------------------------------------------

    def alias(self, name: str) -> AliasState | None:
        """The state in force; None when neither the store nor this host knows the alias."""
        return self._effective.get(name)

    def release(self, release: str) -> Release | None:
        """A release, if it is known here; `LiveStore.fetch_release` asks the store for another."""
        return self._releases.get(release)

    def artifact(self, digest: str) -> bytes | None:
        """A prompt or toolset, if it is at hand; `LiveStore.fetch_artifacts` asks the store for another."""
        return self._artifacts.get(digest)

    def labels_of(self, digest: str) -> tuple[str, ...]:
        """The labels of a digest, in order of their names."""
        return tuple(sorted(label for label, named in self.labels.items() if named == digest)) if digest else ()

    @property
    def aliases(self) -> tuple[str, ...]:
        """Names of all aliases."""
        return tuple(self._effective)

    @property
    def known(self) -> bool:
        """Whether there is any copy of the pointers: the store has answered once, or this host remembers some."""
        return bool(self._effective) or bool(self.instance)

    def age(self, now: float) -> float:
        """Seconds (of `loop.time()`) since the store last confirmed the pointers; -1 when it never did, on any start."""
        if self._confirmed < 0:
            return -1.0
        return now - self._confirmed + self._copy_age

    @property
    def splits(self) -> bool:
        """Whether some alias has a candidate that new runs may get."""
        return any(state.split is not None and state.split.weight > 0 for state in self._effective.values())

    # -- what the feed does -------------------------------------------------------------------------------------------

    def load(self, now: float, wall_ms: int) -> None:
        """Read the disk copy and the override, at start. A file that cannot be read is counted and left alone."""
        try:
            copy = read_copy(self._data_dir)
        except DiskCopyError:
            self._counters.pointer_error("disk_copy")
            copy = None
        if copy is not None:
            self.instance = copy.instance
            self._releases.update(copy.releases)
            self.labels = copy.labels
            for digest in self.without(copy.releases.values()):
                data = artifacts.read(self._data_dir, digest)
                if data is not None:
                    self._artifacts[digest] = data
            for state in copy.aliases.values():
                self.adopt(state, {})
            if copy.saved_ms:
                self._confirmed = now
                self._copy_age = max(0.0, (wall_ms - copy.saved_ms) / 1000)
        self.look_local()

    def look_local(self) -> bool:
        """Read the override file if it changed; whether that changed a pointer."""
        try:
            about = (self._data_dir / OVERRIDE).stat()
            seen = (about.st_mtime_ns, about.st_size, about.st_ino)
        except OSError:
            seen = None
        if seen == self._local_stat:
            return False
        self._local_stat = seen
        try:
            override = read_override(self._data_dir) if seen is not None else None
        except DiskCopyError:
            self._counters.pointer_error("override")
            return False
        self._local = {}
        if override is not None:
            self._releases.update(override.releases)
            for digest in self.without(override.releases.values()):
                data = artifacts.read(self._data_dir, digest)
                if data is not None:
                    self._artifacts[digest] = data
            for name, state in override.aliases.items():
                if self._complete(state):
                    self._local[name] = state
                else:
                    self._counters.pointer_error("release_missing")
        before = self._effective
        self._effective = {name: self._choose(name) for name in self._stored.keys() | self._local.keys()}
        return self._effective != before

    def accepts(self, known: StoreIdentity) -> bool:
        """Whether the store is the one these pointers come from, or its declared successor; else it is lost."""
        if not known.instance:
            # A store nobody has named yet is the same store as long as it was not named before.
            self.store_lost = bool(self.instance) and bool(self._stored)
            return not self.store_lost
        if self.instance and known.instance != self.instance:
            if self.instance not in known.replaces.split():
                self.store_lost = bool(self._stored)
                if self.store_lost:
                    return False
            # Another store by an operator's word, or nothing was known of the old one: its versions begin anew.
            self._stored = {}
            self.behind.clear()
        self.instance = known.instance
        return True

    def confirmed(self, now: float) -> None:
        """The store has told every version and nothing is left to fetch."""
        self._confirmed = now
        self._copy_age = 0.0
        self.store_lost = bool(self.behind)

    def leased(self, now: float, age: float) -> None:
        """Weights are in force again: the store has told every version at `now` (`time.monotonic()`), and the control process
        gave its last sign of life `age` seconds before that, by the store's clock. Both must stay younger than the lease."""
        if age >= -CLOCK_SECONDS and not self.store_lost:
            self.lease_until = now + self.lease_seconds - max(0.0, age)

    def version(self, name: str) -> int:
        """Version the store said last; 0 for none."""
        state = self._stored.get(name)
        return 0 if state is None else state.version

    def missing(self, state: AliasState) -> list[str]:
        """Releases of a state that are not known here."""
        return [release for release in releases_of(state) if release not in self._releases]

    def without(self, releases: Iterable[Release]) -> list[str]:
        """Digests that these releases need and that are not at hand."""
        found = dict.fromkeys(digest for release in releases for digest in artifacts.named(release))
        return [digest for digest in found if digest not in self._artifacts]

    def shelve(self, digest: str, data: bytes | None) -> bool:
        """Have an artifact at hand from now on; False, and counted, when there is none or it is not what its digest says."""
        if data is None or digest_of(data) != digest:
            self._counters.pointer_error("artifact_missing")
            return False
        self._artifacts[digest] = data
        return True

    def adopt(self, state: AliasState, releases: dict[str, Release]) -> bool:
        """Put a state of the store in force with its releases; False when it is older, the same, or not complete."""
        self._releases.update(releases)
        if not self._complete(state):
            self._counters.pointer_error("release_missing")
            return False
        known = self._stored.get(state.name)
        if known is not None and state.version <= known.version:
            if state.version < known.version:
                self._counters.pointer_error("older")
            return False
        self._stored[state.name] = state
        self._effective[state.name] = self._choose(state.name)
        self.behind.discard(state.name)
        self._counters.pointer_updates += 1
        return True

    def keep(self, release: Release) -> None:
        """Remember a release record as the store has it now."""
        if release.id not in self._releases and len(self._releases) >= FETCHED_LIMIT:
            named = {name for state in self._effective.values() for name in releases_of(state)}
            self._releases = {name: kept for name, kept in self._releases.items() if name in named}
            used = {digest for kept in self._releases.values() for digest in artifacts.named(kept)}
            self._artifacts = {digest: data for digest, data in self._artifacts.items() if digest in used}
        self._releases[release.id] = release

    @property
    def releases(self) -> tuple[str, ...]:
        """Ids of every release known here."""
        return tuple(self._releases)

    def known_releases(self) -> list[Release]:
        """Every release known here."""
        return list(self._releases.values())

    @property
    def overridden(self) -> tuple[str, ...]:
        """Aliases for which an override of this host is in force."""
        return tuple(name for name, state in self._local.items() if self._effective.get(name) is state)

    @property
    def versions(self) -> dict[str, int]:
        """Version in force by alias."""
        return {name: state.version for name, state in self._effective.items()}

    def copy(self, wall_ms: int) -> PointerFile:
        """What the disk copy should say: the store's word, without overrides."""
        named = {name for state in self._stored.values() for name in releases_of(state)}
        named.update(name for state in self._stored.values() for lane in state.lanes.values() for name in lane.previous)
        releases = {name: self._releases[name] for name in named if name in self._releases}
        return PointerFile(self.instance, wall_ms, dict(self._stored), releases, dict(self.labels))

    def texts(self, copy: PointerFile) -> dict[str, bytes]:
        """The artifacts at hand that the releases of a copy need."""
        wanted = {digest for release in copy.releases.values() for digest in artifacts.named(release)}
        return {digest: self._artifacts[digest] for digest in wanted if digest in self._artifacts}

    def _choose(self, name: str) -> AliasState:
        stored, local = self._stored.get(name), self._local.get(name)
        if stored is None or (local is not None and local.version > stored.version):
            assert local is not None
            return local
        return stored

    def _complete(self, state: AliasState) -> bool:
        return all(release in self._releases for release in releases_of(state))


def save(data_dir: Path, copy: PointerFile, texts: Mapping[str, bytes] = _NOTHING) -> None:
    """Write the disk copy in one step, and the artifacts it needs before it. Another worker of the host may have written
    newer states: the newer of each stays.

    Blocking; raises OSError. Two workers at once cost at most one refresh, never a torn file.
    """
    try:
        other = read_copy(data_dir)
    except DiskCopyError:
        other = None
    if other is not None and other.instance == copy.instance:
        for name, state in other.aliases.items():
            if name not in copy.aliases or copy.aliases[name].version < state.version:
                copy.aliases[name] = state
        copy.releases = {**other.releases, **copy.releases}
        copy.labels = {**other.labels, **copy.labels}
        copy.saved_ms = max(copy.saved_ms, other.saved_ms)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    artifacts.write(data_dir, texts)
    new = data_dir / f"{COPY}.{os.getpid()}.{threading.get_ident()}.new"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(copy))
        file.flush()
        os.fsync(file.fileno())
    new.replace(data_dir / COPY)
    artifacts.prune(data_dir, {digest for release in copy.releases.values() for digest in artifacts.named(release)})
