"""Prompts and toolsets on the host's disk."""

from __future__ import annotations

from pathlib import Path

from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.store import artifacts
from gateway.store.artifacts import FOLDER

ONE, TWO = digest(b"one"), digest(b"two")


def test_what_is_read_is_what_the_digest_says(tmp_path: Path) -> None:
    """A file that is missing, torn or changed is not there; one that is there is never written again."""
    artifacts.write(tmp_path, {ONE: b"one", TWO: b"two"})
    assert artifacts.read(tmp_path, ONE) == b"one"
    assert (tmp_path / FOLDER / ONE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FOLDER / TWO).write_bytes(b"tw")
    assert artifacts.read(tmp_path, TWO) is None
    assert artifacts.read(tmp_path, "c" * 64) is None
    artifacts.write(tmp_path, {ONE: b"other"})
    assert artifacts.read(tmp_path, ONE) == b"one"


def test_what_nothing_names_goes(tmp_path: Path) -> None:
    """Pruning leaves what is named, and a folder that was never made alone."""
    artifacts.prune(tmp_path, ())
    artifacts.write(tmp_path, {ONE: b"one", TWO: b"two"})
    artifacts.prune(tmp_path, {ONE})
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [ONE]


def test_what_a_release_names() -> None:
    """Both legs' digests, where they have one."""
    triple = Triple("openai/m", Leg(Mode.SERVE, ONE), Leg(Mode.VERIFY, TWO))
    assert artifacts.named(Release("rel_1", triple)) == (ONE, TWO)
    assert artifacts.named(Release("rel_1", Triple("openai/m"))) == ()
