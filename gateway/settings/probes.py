"""The operator's own probe prompts, read from their file: JSON Lines, each a text or an object with `prompt` or `messages`.

Rule of the file: a file is read whole or refused with the line that is wrong. Its digest goes with the reference: other prompts are
another series.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.settings.load import Config
from gateway.settings.model import ProbeDeclared
from gateway.settings.problems import shown

LARGEST = 4 << 20
"""Bytes of a file."""
PROMPTS = 200
"""Prompts of a file, at most."""
FEW = 5
"""Fewer prompts than these see little."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prompt: str = ""
    messages: tuple[Said, ...] = ()


_decode = msgspec.json.Decoder(str | _Line).decode


class PromptsError(ValueError):
    """A file that is no set of prompts; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as they are asked, and the digest of what decides their answers."""

    items: tuple[Item, ...]
    digest: str
    """16 hex digits, of the prompts and the bound of tokens."""


def read(declared: ProbeDeclared) -> Prompts:
    """The prompts of an alias. Raises PromptsError."""
    path = Path(declared.prompts)
    try:
        if path.stat().st_size > LARGEST:
            raise PromptsError(f"{path.name} is larger than {LARGEST >> 20} MiB")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        message = (
            f"{path.name} cannot be read ({type(error).__name__}); a path is relative to the configuration's folder"
        )
        raise PromptsError(message) from error
    digest = hashlib.sha256(f"{declared.tokens}\n".encode())
    items = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        said = _said(path.name, number, line)
        digest.update(msgspec.json.encode(said) + b"\n")
        items.append(Item(str(number), said, Check(), Answer(), Answer(), max_tokens=declared.tokens))
    if not 1 <= len(items) <= PROMPTS:
        raise PromptsError(f"{path.name} has {len(items)} prompts; it needs 1 to {PROMPTS}")
    return Prompts(tuple(items), digest.hexdigest()[:16])


def findings(config: Config) -> Iterator[tuple[str, str, str]]:
    """What `trivet check` says of the prompts that a configuration declares, reading them: level, key and message."""
    for name, alias in config.settings.aliases.items():
        if alias.probes is None:
            continue
        key = f"aliases.{shown(name)}.probes"
        try:
            found = read(alias.probes)
        except PromptsError as error:
            yield "error", f"{key}.prompts", str(error)
            continue
        calls = len(found.items) * alias.probes.samples
        if len(found.items) < FEW:
            yield "warning", f"{key}.prompts", f"has {len(found.items)} prompts; fewer than {FEW} see little"
        if calls > config.settings.probes.calls:
            message = f"is below the {calls} calls of one window of {name}: it would take several days"
            yield "warning", "probes.calls", message


def _said(name: str, number: int, line: bytes) -> tuple[Said, ...]:
    try:
        found = _decode(line)
    except (msgspec.DecodeError, RecursionError) as error:
        raise PromptsError(f"{name}:{number}: is no prompt: {error}") from error
    if isinstance(found, str):
        found = _Line(prompt=found)
    if bool(found.prompt) == bool(found.messages):
        raise PromptsError(f"{name}:{number}: needs `prompt` or `messages`, one of them")
    if any(said.role not in ("system", "user", "assistant") for said in found.messages):
        raise PromptsError(f"{name}:{number}: roles are system, user and assistant")
    return found.messages or (Said("user", found.prompt),)
