"""The configuration as the processes read it: the file, or built-in defaults, or the last good copy of a file gone bad.

Rule of the file: a broken file stops a start and a reload, never a gateway that runs. A worker that dies while the file
is broken comes back with the copy that the supervisor kept.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.settings import load
from gateway.settings.check import check
from gateway.settings.load import Config, SettingsError

BUILT_IN = b"""\
# What `trivet serve` uses when there is no file.
providers:
  openai: {base_url: "https://api.openai.com", api_key: "${OPENAI_API_KEY:-client}"}
  anthropic: {base_url: "https://api.anthropic.com", api_key: "${ANTHROPIC_API_KEY:-client}"}
  gemini: {base_url: "https://generativelanguage.googleapis.com", api_key: "${GEMINI_API_KEY:-client}"}
"""
BUILT_IN_NAME = Path("built-in")
PLACES = (Path("config/gateway.yaml"), Path("gateway.yaml"))
"""Where a configuration is looked for when none is named, in order."""


class Refused(Exception):
    """The configuration cannot be used; the message has file, line and key of every problem."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration in force, and what is worth a warning about it."""

    config: Config
    warnings: tuple[str, ...]


def find(named: str) -> Path | None:
    """The file to use: the named one, else the first that exists of PLACES, else None for the built-in defaults."""
    if named:
        return Path(named).absolute()
    return next((place.absolute() for place in PLACES if place.is_file()), None)


def read(path: Path | None) -> Loaded:
    """Read and check the configuration. Raises Refused."""
    if path is None:
        return understand(BUILT_IN, BUILT_IN_NAME)
    try:
        return understand(path.read_bytes(), path)
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}). Name a file with --config") from error


def understand(data: bytes, path: Path) -> Loaded:
    """Read and check the bytes of a configuration. An empty file is refused: it is a mishap more often than a wish.
    Raises Refused."""
    if not data.strip():
        raise Refused(f"{path}:1: is empty. Write the configuration there, or remove the file to use the built-in one")
    try:
        config = load.read(data, path, os.environ)
        return Loaded(config, tuple(check(config)))
    except SettingsError as error:
        raise Refused(str(error)) from error


def remember(config: Config, good: Path) -> None:
    """Keep a copy of the file in force, readable by its owner only."""
    data = BUILT_IN if config.path == BUILT_IN_NAME else config.path.read_bytes()
    new = good.with_suffix(".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    new.replace(good)


def read_or_last_good(path: Path | None, good: Path | None) -> tuple[Loaded, str]:
    """Read the configuration; when it is refused and there is a last good copy, that one and why. Raises Refused."""
    try:
        return read(path), ""
    except Refused as error:
        if good is None or not good.is_file():
            raise
        return understand(good.read_bytes(), path or BUILT_IN_NAME), str(error)
