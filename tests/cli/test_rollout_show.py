"""How a rollout is shown."""

from __future__ import annotations

import json

import pytest

from gateway.cli import rollout_show, show
from gateway.cli.exits import Exit
from gateway.cli.reach import Failed, Reach
from gateway.core.contract.alias import Lane, Split, Stakes
from gateway.core.contract.rolling import RolloutStatus, Wait
from gateway.core.contract.rollout import Action, Facts, Finding, Phase, Rollout, Tally, Verdict
from tests.control.rolling import rollout
from tests.gateway_process import Gateway


def status(phase: Phase = Phase.CANARY, version: int = 3, made: Rollout | None = None) -> RolloutStatus:
    """A status in this phase."""
    running = made or rollout("rel_b", "rel_a", phase)
    finding = Finding("error", Action.ROLLBACK, Verdict.PASS, 1.25, 20.0, 1, 8, 2, 90, 1.0)
    return RolloutStatus(
        alias="agent",
        version=version,
        stakes=Stakes.LOW,
        at_ms=1_700_000_000_000,
        rollout=running,
        lanes={"*": Lane("rel_a")},
        split=Split("rel_b", "s", {"*": 500}),
        barred={},
        models={"rel_b": "openai/new"},
        facts=Facts(now_ms=5, tally=Tally(units={"* canary 500": 8}), findings=(finding,)),
        waits=(Wait("8 of 10 runs"), Wait("or end it", "trivet rollout abort agent")),
        possible=(),
        conductor="host:1",
        heard_ms=120,
    )


def text(record: RolloutStatus, capsys: pytest.CaptureFixture[str]) -> str:
    """What a person sees."""
    show.console().print(rollout_show.rendered(record))
    return capsys.readouterr().out


def test_everything_that_decides_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Phase and stage, releases with their models, weights, counts of both arms, evidence and its threshold, and the command that helps."""
    seen = text(status(), capsys)
    for word in (
        "canary, stage 1 of 2",
        "rel_b openai/new",
        "* 5 %",
        "1.25",
        "20",
        "8 of 10 runs",
        "rollout abort agent",
        "120 ms",
    ):
        assert word in seen
    assert "waits for: 8 of 10" in seen
    assert "\nor end it" in seen


def test_an_alias_without_a_rollout_says_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty screen."""
    import msgspec  # noqa: PLC0415

    assert "rollout start -f FILE" in text(msgspec.structs.replace(status(), rollout=None), capsys)


def test_watching_ends_with_the_rollout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each change and none for a look that failed or brought nothing new; 1 for an end that is no completion."""
    looks = iter([status(), Failed(Exit.UNREACHABLE, "away"), status(), status(Phase.ROLLED_BACK, 4)])

    def look(_alias: str, _reach: Reach) -> RolloutStatus:
        found = next(looks)
        if isinstance(found, Failed):
            raise found
        return found

    monkeypatch.setattr(rollout_show, "_look", look)
    monkeypatch.setattr(rollout_show, "_look_again", look)
    monkeypatch.setattr(rollout_show, "LOOK_SECONDS", 0)
    assert rollout_show.status("agent", watch=True, reach=Reach(json=True)) is Exit.REFUSED
    captured = capsys.readouterr()
    assert [json.loads(line)["version"] for line in captured.out.splitlines()] == [3, 4]
    assert "away" in captured.err


def test_watching_on_a_screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal the whole status is drawn anew until the end, and what could not be read is said in its place."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    looks = iter([status(), Failed(Exit.UNREACHABLE, "away"), status(Phase.COMPLETED, 5)])

    def look(_alias: str, _reach: Reach) -> RolloutStatus:
        found = next(looks)
        if isinstance(found, Failed):
            raise found
        return found

    monkeypatch.setattr(rollout_show, "_look", look)
    monkeypatch.setattr(rollout_show, "_look_again", look)
    monkeypatch.setattr(rollout_show, "LOOK_SECONDS", 0)
    assert rollout_show.status("agent", watch=True) is Exit.OK
    seen = capsys.readouterr().out
    assert "cannot be read: away" in seen
    assert "completed" in seen


def test_status_and_history_of_a_real_alias(gateway: Gateway) -> None:
    """An alias that never had a rollout: both say so, and JSON has no rollout."""
    assert "never had a rollout" in gateway.cli("rollout", "status", "other").stdout
    assert gateway.json("rollout", "status", "other")["rollout"] is None
    assert "first_release" in gateway.cli("rollout", "history", "other").stdout
    gateway.cli("rollout", "status", "nobody", status=1)


def test_a_port_that_went_away_is_not_told_each_second(gateway: Gateway, capsys: pytest.CaptureFixture[str]) -> None:
    """In the middle of watching the store is read instead, without a word; for an address that was given nobody stands in."""
    here = Reach(config=str(gateway.config))
    assert rollout_show._look_again("other", here).rollout is None
    gone = Reach(admin="http://127.0.0.1:9", config=str(gateway.config))
    with pytest.raises(Failed, match="nobody listens"):
        rollout_show._look_again("other", gone)
    assert capsys.readouterr().err == ""
