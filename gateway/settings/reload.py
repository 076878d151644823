"""Reload without restart: one immutable value is swapped for the next, or nothing happens and the last good one stays.

The watcher looks at the file's time and size, then at its bytes. A change is taken when two looks in a row saw the same
bytes, so that a file half written is not believed; a file gone missing or empty never replaces settings that work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from gateway.settings.check import check
from gateway.settings.load import Config, read
from gateway.settings.model import Settings
from gateway.settings.problems import Problem, SettingsError

NEEDS_RESTART = ("listen", "tls", "store", "admin.listen", "serve.workers", "serve.event_bytes")
"""Keys that are read at start only; a reload that changes them says so."""

UNREADABLE = "unreadable"

Judge = Callable[[Config], list[str]]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of a change. `result` is `applied`, `refused` or `unchanged` (new bytes, same settings).

    `problems` are lines to show: why it was refused, or the warnings of what was applied. `restart` names changed keys
    that take effect at the next start only.
    """

    result: str
    config: Config
    problems: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()


class Watcher:
    """Watches one file. Call `look` every second or so; it blocks for one stat, and for one read when the file changed."""

    def __init__(self, config: Config, environment: Mapping[str, str], judge: Judge = check) -> None:
        self.current = config
        self._environment = environment
        self._judge = judge
        self._mark = (0, 0, 0)  # the first look reads: the file may have changed since it was loaded
        self._seen = ""
        """Digest of bytes that were seen once and are not decided yet."""
        self._refused = ""
        """Digest of the bytes that were refused last, or UNREADABLE."""

    def look(self, *, now: bool = False) -> Reloaded | None:
        """What became of a change, or None while there is none. `now` takes the file as it is (an operator asked)."""
        mark = self._stat()
        if mark == self._mark and not self._seen and not now:
            return None
        self._mark = mark
        try:
            data = self.current.path.read_bytes()
        except OSError:
            return self._refuse(UNREADABLE, "cannot be read; the last good configuration stays in force", now=now)
        digest = hashlib.sha256(data).hexdigest()
        if digest.startswith(self.current.version):
            self._seen = self._refused = ""
            return Reloaded("unchanged", self.current) if now else None
        if digest != self._seen and not now:
            self._seen = digest
            return None
        self._seen = ""
        return self._take(data, digest, now=now)

    def _take(self, data: bytes, digest: str, *, now: bool) -> Reloaded | None:
        path = self.current.path
        if not data.strip():
            return self._refuse(digest, "is empty; the last good configuration stays in force", now=now)
        if digest == self._refused and not now:
            return None
        try:
            config = read(data, path, self._environment)
            warnings = self._judge(config)
        except SettingsError as error:
            self._refused = digest
            return Reloaded("refused", self.current, tuple(each.text(str(path)) for each in error.problems))
        self._refused = ""
        old, self.current = self.current, config
        if config.settings == old.settings:
            return Reloaded("unchanged", config, tuple(warnings))
        return Reloaded("applied", config, tuple(warnings), changed(old.settings, config.settings, NEEDS_RESTART))

    def _refuse(self, digest: str, message: str, *, now: bool) -> Reloaded | None:
        """Said once for the same bytes, or again when asked."""
        repeated = digest == self._refused
        self._refused = digest
        self._seen = ""
        if repeated and not now:
            return None
        return Reloaded("refused", self.current, (Problem("", message).text(str(self.current.path)),))

    def _stat(self) -> tuple[int, int, int]:
        try:
            found = self.current.path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def changed(old: Settings, new: Settings, keys: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `keys` (dotted paths) whose values differ."""

    def value(settings: msgspec.Struct, key: str) -> object:
        found: object = settings
        for part in key.split("."):
            found = getattr(found, part)
        return found

    return tuple(key for key in keys if value(old, key) != value(new, key))
