"""`trivet warm`: what a person and a script read of it, and one question asked for real."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.cli import warm
from gateway.cli.reach import Failed, Reach
from gateway.core.contract.sentinel import Proof, WarmRow
from tests.gateway_process import Gateway


def row(place: int, proof: Proof = Proof.PROVEN, **more: Any) -> WarmRow:
    """A release of a lane."""
    given: dict[str, Any] = {
        "alias": "support",
        "lane": "*",
        "place": place,
        "release": f"rel_{place}",
        "model": "openai/gpt-5",
        "proof": proof,
        "at_ms": 1,
        "age_ms": 7_200_000,
        "source": "probe",
        "why": "",
        "days_left": 18,
        "ready": proof is Proof.PROVEN,
    }
    return WarmRow(**(given | more))


def say(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Answer every call so."""
    monkeypatch.setattr(Reach, "call", lambda _self, _name, _ask: answer)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([row(0), row(1)], 0),
        ([row(0)], 1),
        ([row(0), row(1, Proof.UNPROVEN), row(2)], 0),
        ([row(0), row(1, Proof.DEAD), row(2, Proof.UNPROVEN)], 1),
        ([row(0), row(1), row(0, lane="tenant:a"), row(-1, lane="tenant:a")], 1),
        ([], 0),
    ],
)
def test_the_exit_code_says_whether_every_lane_can_roll_back(
    monkeypatch: pytest.MonkeyPatch, rows: list[WarmRow], code: int
) -> None:
    """Stable and candidate are no way back."""
    say(monkeypatch, rows)
    assert warm.warm(reach=Reach(json=True)) == code


def test_people_read_what_to_go_back_to(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """A line per release with its proof, age and source; then the command, or why there is none."""
    dead = row(1, Proof.DEAD, why="the model is gone: status 404")
    say(
        monkeypatch,
        [row(0), dead, row(2), row(0, lane="tenant:a"), row(1, Proof.UNPROVEN, lane="tenant:a", age_ms=None)],
    )
    warm.warm()
    out, err = capfd.readouterr()
    for word in ("stable", "back 2", "dead", "the model is gone", "2 h", "never", "probe", "18"):
        assert word in out
    assert "`trivet rollback support --to rel_2`" in out
    assert "lane tenant:a of support cannot roll back now" in err


def test_a_probe_needs_an_alias() -> None:
    """Asking everything at once is what the gateway does by itself."""
    with pytest.raises(Failed, match="name it"):
        warm.warm(probe=True)


def test_every_release_can_be_asked_now(gateway: Gateway) -> None:
    """Through the admin port, on a real gateway: the provider is asked and the stable release is proven.

    What the lane can go back to, and so the exit code, depends on what other tests released before on this gateway.
    """
    done = gateway.cli("warm", "support", "--probe", "--json", status=None)
    rows = msgspec.json.decode(done.stdout.encode(), type=list[WarmRow])
    (found,) = (each for each in rows if (each.lane, each.place) == ("*", 0))
    assert (found.proof, found.source, found.ready) == (Proof.PROVEN, "probe", True)
    again = gateway.cli("warm", "--json", status=None)
    assert {each.alias for each in msgspec.json.decode(again.stdout.encode(), type=list[WarmRow])} >= {
        "support",
        "other",
    }
