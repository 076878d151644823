"""`trivet lifecycle`: what a person and a script read of it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.cli import lifecycle
from gateway.cli.reach import Reach
from gateway.core.contract.sentinel import LifecyclePath, LifecycleRow
from tests.gateway_process import Gateway


def row(days: int | None, retires: str = "2026-12-11", **more: Any) -> LifecycleRow:
    """A snapshot with so many days left."""
    given: dict[str, Any] = {
        "snapshot": "openai/gpt-5-2025-08-07",
        "used": ("agent * stable rel_1",),
        "retires": retires if days is not None else "",
        "days_left": days,
        "earliest": "",
        "deprecated": "",
        "replacement": "openai/gpt-6.1-sol",
        "source": "https://example.com/deprecations",
        "read_ms": 1_795_392_000_000,
    }
    return LifecycleRow(**(given | more))


def say(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Answer every call so."""
    monkeypatch.setattr(Reach, "call", lambda _self, _name, _ask: answer)


@pytest.mark.parametrize(
    ("days", "code"), [([None], 0), ([31], 0), ([30], 1), ([-3], 1), ([None, 400, 12], 1), ([], 0)]
)
def test_the_exit_code_says_whether_it_is_soon(
    monkeypatch: pytest.MonkeyPatch, days: list[int | None], code: int
) -> None:
    """1 when a model in use retires within 30 days or has, else 0; what nobody dates is no alarm."""
    say(monkeypatch, [row(left) for left in days])
    assert lifecycle.lifecycle(reach=Reach(json=True)) == code


def test_people_read_the_calendar(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A line per model with date, days, successor, who uses it and who says so; what is near is warned of."""
    say(monkeypatch, [row(18), row(None, snapshot="anthropic/claude-opus-4-6", earliest="2027-02-05", source="")])
    lifecycle.lifecycle()
    out, err = capfd.readouterr()
    for word in ("2026-12-11", "18", "gpt-6.1-sol", "agent * stable rel_1", "not before 2027-02-05", "nobody"):
        assert word in out
    assert "retires in 18 days" in err
    assert "--plan" in err


def test_a_plan_is_a_script(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Every line is a command or a comment, in the order in which they are typed."""
    path = LifecyclePath(
        "agent",
        ("*",),
        "rel_1",
        "openai/gpt-5",
        "2026-12-11",
        18,
        "openai/gpt-6.1-sol",
        "rel_2",
        ("one", "two"),
        ("think",),
    )
    say(monkeypatch, [path])
    assert lifecycle.lifecycle(plan=True) == 1
    out, _ = capfd.readouterr()
    assert [line for line in out.splitlines() if not line.startswith("#")] == ["one", "two"]
    assert "# think" in out
    say(monkeypatch, [])
    assert lifecycle.lifecycle(plan=True) == 0


def test_a_running_gateway_has_a_calendar(gateway: Gateway) -> None:
    """Its releases are listed through the admin port; models on a machine of one's own have no date."""
    found = gateway.json("lifecycle")
    assert "openai/gpt-4o-2024-08-06" in [each["snapshot"] for each in found]
    assert {(each["retires"], each["days_left"]) for each in found} == {("", None)}
    assert "No stable release" in gateway.cli("lifecycle", "--plan").stdout
