"""The configuration as processes read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.wiring import configured

GOOD = b"providers:\n  openai: {base_url: 'https://api.openai.com'}\n"


def test_built_in_defaults_serve_three_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file the callers' own keys are forwarded, or those of the environment are used."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    providers = configured.read(None).config.settings.providers
    assert {p.api_key for p in providers.values()} == {"client"}
    assert set(providers) == {"openai", "anthropic", "gemini"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    assert configured.read(None).config.settings.providers["openai"].api_key == "sk-x"


def test_find_prefers_the_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config, then config/gateway.yaml, then gateway.yaml, then nothing."""
    monkeypatch.chdir(tmp_path)
    assert configured.find("") is None
    (tmp_path / "gateway.yaml").write_bytes(GOOD)
    assert configured.find("") == tmp_path / "gateway.yaml"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "gateway.yaml").write_bytes(GOOD)
    assert configured.find("") == tmp_path / "config" / "gateway.yaml"
    assert configured.find("x.yaml") == tmp_path / "x.yaml"


def test_last_good_copy_stands_in(tmp_path: Path) -> None:
    """A process that starts while the file is broken gets the copy, and why; without a copy it does not start."""
    file, good = tmp_path / "gw.yaml", tmp_path / "good.yaml"
    file.write_bytes(GOOD)
    config = configured.read(file).config
    configured.remember(config, good)
    assert good.stat().st_mode & 0o077 == 0
    file.write_bytes(b"listen: [")
    loaded, why = configured.read_or_last_good(file, good)
    assert loaded.config.version == config.version
    assert loaded.config.path == file
    assert "gw.yaml:" in why
    with pytest.raises(configured.Refused):
        configured.read_or_last_good(file, tmp_path / "none")


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A named file that is not there never means defaults."""
    with pytest.raises(configured.Refused, match=r"none\.yaml"):
        configured.read(tmp_path / "none.yaml")
