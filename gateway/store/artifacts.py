"""Prompts and toolsets on this host's disk, a file each under its digest: what a worker serves when the store is away.

Rule of the file: what is read is what the digest says or it is not there. A file is written whole, once, and never changed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping
from pathlib import Path

from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Release

FOLDER = "artifacts"
DIGEST_LENGTH = 64


def named(release: Release) -> tuple[str, ...]:
    """The digests that a release needs to be served."""
    triple = release.triple
    return tuple(leg.digest for leg in (triple.prompt, triple.tools) if leg.digest)


def read(data_dir: str | Path, wanted: str) -> bytes | None:
    """One artifact; None when this host has none, or a file that is not what its name says."""
    try:
        data = (Path(data_dir) / FOLDER / wanted).read_bytes()
    except OSError:
        return None
    return data if digest(data) == wanted else None


def write(data_dir: str | Path, artifacts: Mapping[str, bytes]) -> None:
    """Keep artifacts that are not kept yet. Blocking; raises OSError. Two workers at once write the same bytes."""
    folder = Path(data_dir) / FOLDER
    for name, data in artifacts.items():
        path = folder / name
        if path.exists():
            continue
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = folder / f"{name}.{os.getpid()}.{threading.get_ident()}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)


def prune(data_dir: str | Path, keep: Collection[str]) -> None:
    """Take away the artifacts that nothing on this host names any more. Raises OSError."""
    folder = Path(data_dir) / FOLDER
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if len(path.name) == DIGEST_LENGTH and path.name not in keep:
            path.unlink(missing_ok=True)
