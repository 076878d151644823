"""Read the configuration file once, whole, into one frozen value, or say everything that is wrong with it.

Path from bytes to `Config`: YAML with line marks, references to the environment, units, types. An empty file is all
defaults. What came from the environment is never shown: not in a message, not in a repr, not in the version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import msgspec

from gateway.settings import document
from gateway.settings.model import BUILTIN, EXTERNAL, GateSettings, Settings
from gateway.settings.problems import Problem, SettingsError
from gateway.settings.shape import Shaper

__all__ = ["Config", "SettingsError", "load", "read"]


@dataclass(frozen=True, slots=True, repr=False)
class Config:
    """The settings of a file, and where they came from.

    `version` is the first 12 hex digits of the sha256 of the file's bytes: the same on every host with the same file.
    `lines` and `referenced` say on which line a key stands and which keys were filled from the environment.
    """

    settings: Settings
    version: str
    path: Path
    lines: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    referenced: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Config(path={str(self.path)!r}, version={self.version!r})"

    def resolve(self, file: str) -> Path:
        """A file that the configuration names: relative to the configuration file's folder."""
        return _beside(self.path, file)

    def line(self, key: str) -> int:
        """The line of a key, or of the nearest key around it; 0 when there is none."""
        while key:
            if key in self.lines:
                return self.lines[key]
            cut = max(key.rfind("."), key.rfind("["))
            key = key[:cut] if cut > 0 else ""
        return 0


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read a file. Raises SettingsError with every problem found."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise SettingsError(str(path), [Problem("", "there is no such file; name one with --config")]) from None
    except OSError as error:
        raise SettingsError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from None
    return read(data, path, environment)


def read(data: bytes, path: Path, environment: Mapping[str, str]) -> Config:
    """Read the bytes of a file. Raises SettingsError with every problem found."""
    file = str(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(file, [Problem("", "is not UTF-8 text; save it as UTF-8", line)]) from None
    root = document.parse(text, file)
    shaper = Shaper(environment)
    values = shaper.shape(root, msgspec.inspect.type_info(Settings), "")
    if shaper.problems:
        raise SettingsError(file, shaper.problems)
    settings = _anchored(msgspec.convert(values, Settings), path)
    version = hashlib.sha256(data).hexdigest()[:12]
    return Config(settings, version, path, MappingProxyType(shaper.lines), frozenset(shaper.referenced))


def _beside(path: Path, file: str) -> Path:
    """A file named in the configuration at `path`: relative to its folder."""
    return path.parent / Path(file).expanduser()


def _anchored(settings: Settings, path: Path) -> Settings:
    """Settings whose certificate files and suites lead somewhere from any working directory."""

    def place(file: str) -> str:
        return str(_beside(path, file)) if file else ""

    replace = msgspec.structs.replace
    tls, store = settings.tls, settings.store
    return replace(
        settings,
        tls=replace(tls, certificate=place(tls.certificate), key=place(tls.key)) if tls is not None else None,
        store=replace(store, ca_file=place(store.ca_file)),
        providers={
            name: replace(provider, ca_file=place(provider.ca_file)) for name, provider in settings.providers.items()
        },
        aliases={
            name: replace(
                alias,
                gate=_anchored_gate(alias.gate, path) if alias.gate is not None else None,
                probes=replace(alias.probes, prompts=place(alias.probes.prompts)) if alias.probes is not None else None,
            )
            for name, alias in settings.aliases.items()
        },
    )


def _anchored_gate(gate: GateSettings, path: Path) -> GateSettings:
    """A gate whose suite files lead somewhere; built-in suites and those of other engines keep their names."""
    places = {
        name: str(_beside(path, where))
        for name in ("task", "regression", "safety")
        if (where := getattr(gate, name)) and not where.startswith((BUILTIN, EXTERNAL))
    }
    return msgspec.structs.replace(gate, **places)
