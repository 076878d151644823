"""Keys that sign tickets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.settings.model import Settings, StoreSettings
from gateway.wiring.stamp_keys import NoStampKey, stamp_keys


def test_embedded_store_makes_one_key_for_ever(tmp_path: Path) -> None:
    """Made on first use, readable by its owner only, the same at every later start."""
    settings = Settings(store=StoreSettings(data_dir=str(tmp_path / "d")))
    first = stamp_keys(settings)
    assert stamp_keys(settings) == first
    assert len(first[0]) == 32
    assert (tmp_path / "d" / "stamp.key").stat().st_mode & 0o077 == 0


def test_workers_that_start_together_make_one_key(tmp_path: Path) -> None:
    """Whoever comes first makes the key; nobody sees half of it, and nothing else is left behind."""
    for number in range(30):
        folder = tmp_path / str(number)
        settings = Settings(store=StoreSettings(data_dir=str(folder)))
        start = threading.Barrier(8)

        def key(settings: Settings = settings, start: threading.Barrier = start) -> bytes:
            start.wait()
            return stamp_keys(settings)[0]

        with ThreadPoolExecutor(8) as workers:
            keys = {made.result() for made in [workers.submit(key) for _ in range(8)]}
        assert len(keys) == 1
        assert [path.name for path in folder.iterdir()] == ["stamp.key"]


def test_configured_keys_keep_their_order() -> None:
    """The first signs, all verify."""
    both = stamp_keys(Settings(stamp_keys=("new" * 20, "old" * 20)))
    assert len(both) == 2
    assert both[1] == stamp_keys(Settings(stamp_keys=("old" * 20,)))[0]


def test_shared_store_needs_configured_keys() -> None:
    """Hosts that share a store share keys: none is made behind the operator's back."""
    with pytest.raises(NoStampKey, match="stamp_keys"):
        stamp_keys(Settings(store=StoreSettings(redis="redis://h")))


def test_damaged_key_is_said(tmp_path: Path) -> None:
    """A file that is no key is not replaced: tickets that are out depend on it."""
    (tmp_path / "stamp.key").write_text("garbage\n")
    with pytest.raises(NoStampKey, match="Restore it"):
        stamp_keys(Settings(store=StoreSettings(data_dir=str(tmp_path))))
