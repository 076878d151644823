"""`trivet drift`: what a person and a script read of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli import drift
from gateway.cli.reach import Reach
from gateway.core.contract.sentinel import DriftAcknowledged, DriftPoint, DriftRow, DriftSeen, DriftTest, DriftUse

NAME = "openai/gpt-4o-2024-08-06"
SEEN = DriftSeen("eu", "gpt-4o-mini", "fp_9", 1_795_392_000_000, 1_795_392_060_000, mismatch=True)


TEST = DriftTest("rel_1", "mmd", (DriftPoint("11-22", 0.5), DriftPoint("11-23", 0.001)), 0.01, 1_795_392_000_000, "")


def row(*, is_open: bool) -> DriftRow:
    """A snapshot with or without an alarm."""
    return DriftRow(
        snapshot=NAME,
        pin="pinned",
        epoch=2,
        since_ms=1_795_392_000_000,
        alarm="model",
        open=is_open,
        before="gpt-4o-2024-08-06",
        after="gpt-4o-mini",
        test="the answers' own words at endpoint eu",
        endpoint="eu",
        observed=(SEEN,),
        used=(DriftUse("agent", "stable", "rel_1"),),
        advice=("agent: `trivet rollback agent --to rel_0`",) if is_open else (),
        tests=(TEST,),
    )


def say(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Answer every call so."""
    monkeypatch.setattr(Reach, "call", lambda _self, _name, _ask: answer)


@pytest.mark.parametrize(("rows", "code"), [([], 0), ([False], 0), ([False, True], 1)])
def test_the_exit_code_says_whether_an_alarm_is_open(
    monkeypatch: pytest.MonkeyPatch, rows: list[bool], code: int
) -> None:
    """1 while somebody has to look, else 0."""
    say(monkeypatch, [row(is_open=each) for each in rows])
    assert drift.status(reach=Reach(json=True)) == code


@pytest.mark.parametrize("which", ["", NAME])
def test_people_read_what_answers_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], which: str
) -> None:
    """In the list and of one: the alarm, before and after, who uses it, and the command."""
    say(monkeypatch, [row(is_open=True)])
    drift.status(which)
    out, err = capfd.readouterr()
    for word in ("pinned", "model", "gpt-4o-mini", "agent stable", "trivet rollback agent --to rel_0"):
        assert word in " ".join(out.split())
    assert f"{NAME}: gpt-4o-mini in place of gpt-4o-2024-08-06" in " ".join(err.split())
    assert ("p ▂█" in out) is (not which)
    if which:
        assert "reference of 2026-11-23" in out and "alarm when two in a row reach the mark at p 0.01" in out
        assert "11-23     0.0010  " in out and "┿" in out
        assert "fp_9" in out and "not the pinned one" in out


def test_an_acknowledgement_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reference, and each rollout that is frozen still; nothing open is said too."""
    say(
        monkeypatch,
        DriftAcknowledged(NAME, 3, changed=True, reference=("gpt-4o-mini",), aliases=("agent",), frozen=("agent",)),
    )
    assert drift.ack(NAME, reason="why") == 0
    out, err = capfd.readouterr()
    assert "gpt-4o-mini is right" in out and "trivet rollout resume agent" in err
    say(monkeypatch, DriftAcknowledged(NAME, 3, changed=False, reference=(), aliases=(), frozen=()))
    assert drift.ack(NAME, reason="why") == 0
    assert "Nothing was open" in capfd.readouterr().out
