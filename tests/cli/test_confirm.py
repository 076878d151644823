"""Asking before something that cannot be taken back."""

from __future__ import annotations

import io

import pytest

from gateway.cli.confirm import confirmed
from gateway.cli.reach import Failed


class Terminal(io.StringIO):
    """Input that claims to be a person's."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def test_nobody_to_ask_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a script the answer is never assumed."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(Failed, match="--yes"):
        confirmed("Sure?")


def test_only_yes_is_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but y and yes changes nothing."""
    for text in ("n\n", "\n", "", "yesterday\n"):
        monkeypatch.setattr("sys.stdin", Terminal(text))
        with pytest.raises(Failed, match="nothing was changed"):
            confirmed("Sure?")
    monkeypatch.setattr("sys.stdin", Terminal("Yes\n"))
    confirmed("Sure?")
