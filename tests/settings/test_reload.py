"""Reload: one swap, or none."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.settings.load import load
from gateway.settings.model import Settings
from gateway.settings.reload import Watcher, changed

GOOD = "providers: {p: {base_url: 'https://x.example', api_key: '${K:-client}'}}\n"


def watcher(tmp_path: Path, text: str = GOOD) -> tuple[Watcher, Path]:
    """A watcher over a fresh file."""
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return Watcher(load(path, {}), {}), path


def rewrite(path: Path, text: str) -> None:
    """Put other bytes in the file, as an editor does."""
    new = path.with_suffix(".tmp")
    new.write_text(text)
    new.replace(path)


def test_nothing_happens_while_nothing_changes(tmp_path: Path) -> None:
    """A file that stays, or is only touched, is not reloaded."""
    watch, path = watcher(tmp_path)
    assert watch.look() is None
    os.utime(path, (1, 1))
    assert watch.look() is None
    asked = watch.look(now=True)
    assert asked is not None
    assert asked.result == "unchanged"


def test_a_change_is_taken_at_the_second_look(tmp_path: Path) -> None:
    """A change is one swap to a new immutable value, once the file holds still."""
    watch, path = watcher(tmp_path)
    old = watch.current
    rewrite(path, GOOD + "unmanaged: refuse\n")
    assert watch.look() is None
    done = watch.look()
    assert done is not None
    assert (done.result, done.restart) == ("applied", ())
    assert watch.current is done.config
    assert watch.current.settings.unmanaged == "refuse"
    assert old.settings.unmanaged == "learn"
    assert watch.current.version != old.version
    assert watch.look() is None


def test_a_file_still_being_written_is_not_believed(tmp_path: Path) -> None:
    """While the bytes differ from look to look, nothing is taken."""
    watch, path = watcher(tmp_path)
    for part in ("keys: []\n", "keys: []\nunmanaged: pass\n"):
        rewrite(path, part + GOOD)
        assert watch.look() is None
    done = watch.look()
    assert done is not None
    assert done.config.settings.unmanaged == "pass"


def test_a_change_before_the_first_look_is_seen(tmp_path: Path) -> None:
    """A file that changed between loading and watching is not missed."""
    path = tmp_path / "gateway.yaml"
    path.write_text(GOOD)
    config = load(path, {})
    path.write_text(GOOD + "unmanaged: pass\n")
    watch = Watcher(config, {})
    assert watch.look() is None
    done = watch.look()
    assert done is not None
    assert done.result == "applied"


def test_i1_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    """A file with an error is reported once, with line and key, and the last good one stays."""
    watch, path = watcher(tmp_path)
    old = watch.current
    rewrite(path, GOOD + "lisen: x\n")
    assert watch.look() is None
    done = watch.look()
    assert done is not None
    assert done.result == "refused"
    assert done.problems == (f"{path}:2: lisen: unknown key; did you mean listen?",)
    assert watch.current is old
    assert watch.look() is None
    os.utime(path, (5, 5))
    assert watch.look() is None
    assert watch.look() is None


def test_i1_cross_checks_hold_for_reloads(tmp_path: Path) -> None:
    """What must not start must not be reloaded into either."""
    watch, path = watcher(tmp_path)
    rewrite(path, "listen: 0.0.0.0:1\n" + GOOD)
    watch.look()
    done = watch.look()
    assert done is not None
    assert done.result == "refused"
    assert "listens beyond this machine" in done.problems[0]


def test_i1_an_empty_or_missing_file_changes_nothing(tmp_path: Path) -> None:
    """A file emptied or gone never throws away keys and providers; when it comes back, it is taken."""
    watch, path = watcher(tmp_path)
    old = watch.current
    path.write_text("")
    watch.look()
    done = watch.look()
    assert done is not None
    assert (done.result, watch.current) == ("refused", old)
    path.unlink()
    done = watch.look()
    assert done is not None
    assert done.result == "refused"
    assert watch.look() is None
    path.write_text(GOOD)
    assert watch.look() is None
    assert watch.look() is None
    assert watch.current is old
    path.write_text(GOOD + "unmanaged: pass\n")
    watch.look()
    done = watch.look()
    assert done is not None
    assert done.result == "applied"


def test_new_words_same_settings(tmp_path: Path) -> None:
    """A new comment is a new version, but no change."""
    watch, path = watcher(tmp_path)
    rewrite(path, "# why\n" + GOOD)
    watch.look()
    done = watch.look()
    assert done is not None
    assert done.result == "unchanged"
    assert watch.current.version == done.config.version


def test_what_needs_a_restart_is_named(tmp_path: Path) -> None:
    """A reload says which changed keys take effect at the next start only."""
    watch, path = watcher(tmp_path)
    rewrite(path, GOOD + "listen: 127.0.0.1:9\nserve: {workers: 3}\nunmanaged: pass\n")
    done = watch.look(now=True)
    assert done is not None
    assert done.restart == ("listen", "serve.workers")
    assert changed(Settings(), Settings(), ("listen", "admin.listen")) == ()
