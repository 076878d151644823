"""`trivet demo` says what it needs."""

from __future__ import annotations

import importlib.util

import pytest

from gateway.cli.app import main


def test_without_the_sdk_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The demo speaks through the official SDK; without it the sentence names the extra."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "openai" else real(name, *a))
    assert main(["demo"]) == 2
    assert "trivet[demo" in capsys.readouterr().err


def test_help_names_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    """--real, --fast and --seed."""
    assert main(["demo", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("--real", "--fast", "--seed"))
