"""How a moved pointer is shown."""

from __future__ import annotations

import pytest

from gateway.cli.exits import Exit
from gateway.cli.moved import exit_code, moved
from gateway.core.contract.alias import Lane, Split
from gateway.core.contract.records import Acknowledgement, Moved


def record(*, changed: bool = True, silent: tuple[str, ...] = (), took: dict[str, float] | None = None) -> Moved:
    """A rollback of two lanes."""
    return Moved(
        alias="support",
        action="rollback",
        changed=changed,
        version=7,
        before={"*": Lane("rel_b"), "tenant:a": Lane("rel_c")},
        after={"*": Lane("rel_a"), "tenant:a": Lane("rel_c")},
        split_before=Split("rel_b", "salt"),
        split_after=None,
        warnings=("look",),
        override="",
        acknowledged=Acknowledgement(7, took if took is not None else {"w1": 3.2, "w2": 41.0}, silent),
    )


def test_before_after_and_slowest(capsys: pytest.CaptureFixture[str]) -> None:
    """Each lane, the ended canary, the slowest worker, the warnings."""
    moved(record())
    shown = capsys.readouterr()
    for word in ("rel_b", "rel_a", "(unchanged)", "canary rel_b has ended", "2 workers confirmed within 41 ms"):
        assert word in shown.out
    assert "look" in shown.err


def test_silent_workers_are_named_and_are_6(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has not confirmed is named."""
    moved(record(silent=("w3",), took={"w1": 1.0}))
    shown = capsys.readouterr()
    assert "1 worker confirmed" in shown.out
    assert "w3" in shown.err
    assert exit_code([record(silent=("w3",))]) is Exit.INCOMPLETE
    assert exit_code([record()]) is Exit.OK


def test_no_worker_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """With nobody running nothing pretends to be confirmed."""
    moved(record(took={}))
    assert "no worker is running" in capsys.readouterr().out
