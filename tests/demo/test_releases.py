"""Promotion and rollback are judged by what runs got. The commands themselves are told in test_story.py."""

from __future__ import annotations

from gateway.core.contract.alias import Lane
from gateway.core.contract.records import Acknowledgement, Moved
from gateway.demo.agent import Case, Run
from gateway.demo.minds import NEW, OLD
from gateway.demo.releases import followed, tell
from tests.demo.test_screen import screen

NOW, BEFORE = ("rel_new", NEW), ("rel_old", OLD)


def run(release: str, *models: str) -> Run:
    """A finished run."""
    return Run(Case("A-1", 40), models=list(models), releases=[release] * len(models))


def test_runs_on_their_releases_hold() -> None:
    """New runs on the new release, the one in flight on its old one."""
    shown, _ = screen()
    tell(shown, "promote", [run("rel_new", NEW, NEW)], run("rel_old", OLD, OLD), NOW, BEFORE)
    assert (len(shown.held), shown.failed) == (2, [])


def test_a_run_that_moved_is_noticed() -> None:
    """Neither a new run on the old model nor a run in flight that changed passes."""
    shown, _ = screen()
    tell(shown, "promote", [run("rel_new", NEW, OLD)], run("rel_old", OLD, NEW), NOW, BEFORE)
    assert len(shown.failed) == 2


def test_the_slowest_worker_is_told() -> None:
    """The time is that of all workers."""
    lane = {"*": Lane("rel_old")}
    acknowledged = Acknowledgement(version=3, milliseconds={"a": 3.0, "b": 41.2}, silent=())
    moved = Moved(
        alias="a",
        action="rollback",
        changed=True,
        version=3,
        before=lane,
        after=lane,
        split_before=None,
        split_after=None,
        warnings=(),
        override="",
        acknowledged=acknowledged,
    )
    assert followed(moved) == "all 2 workers had it within 41 ms"
