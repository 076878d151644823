"""`trivet rollout promote`: every lane to a release, under the rules of the stakes; `plan` and `start`: step by step."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import call
from tests.cli.rollouts import NEW, manifest, traffic
from tests.gateway_process import Gateway


def test_promote_moves_new_runs_and_keeps_old_ones(gateway: Gateway) -> None:
    """Without a person who answers for it, it is refused; then workers follow at once and bound runs stay."""
    new = gateway.json("release", "create", "--model", "openai/gpt-4o-2024-11-20")["id"]
    words = ("rollout", "promote", "promoted", "--release", new, "--reason", "newer")
    assert "--override" in gateway.shell(*words, status=1).stderr
    call(gateway, "promoted", "r-old")
    done = gateway.cli(*words, "--override", "alice")
    assert "1 worker confirmed within" in done.stdout
    assert "alice" in done.stderr
    assert call(gateway, "promoted", "r-old").headers["x-trivet-model"] == "openai/gpt-4o-2024-08-06"
    assert call(gateway, "promoted", "r-new").headers["x-trivet-model"] == "openai/gpt-4o-2024-11-20"
    again = gateway.json(*words, "--override", "alice")
    assert again["changed"] is False


def test_reason_is_required(gateway: Gateway) -> None:
    """No reason is a usage error, an empty one is refused."""
    gateway.cli("rollout", "promote", "promoted", "--release", "rel_0", status=2)
    gateway.cli("rollout", "promote", "promoted", "--release", "rel_0", "--reason", " ", status=1)


def test_from_start_to_stable(gateway: Gateway, tmp_path: Path) -> None:
    """With traffic a rollout goes its stages by itself and becomes stable; watching it ends with 0 then, a line for each change."""
    new = gateway.json("release", "create", "--model", NEW)["id"]
    file = str(manifest(tmp_path, "rolled", new))
    plan = gateway.cli("rollout", "plan", "-f", file)
    assert "promoting" in plan.stdout
    assert "no runs in the last day" in plan.stderr
    done = gateway.shell("rollout", "start", "-f", file, "--reason", "newer")
    assert "trivet rollout override rolled" in done.stdout
    assert "end it first" in gateway.cli("rollout", "start", "-f", file, "--reason", "again", status=1).stderr
    assert "1 worker confirmed" in gateway.cli("rollout", "override", "rolled", "--reason", "by hand").stdout
    with traffic(gateway, "rolled"):
        watched = gateway.cli("rollout", "status", "rolled", "--watch")
    assert [line.split()[3].rstrip(",") for line in watched.stdout.splitlines()][-1] == "completed"
    assert gateway.json("alias", "show", "rolled")["state"]["lanes"]["*"]["release"] == new
    told = gateway.json("rollout", "history", "rolled")
    assert [entry["action"] for entry in told][:3] == ["rollout_advance"] * 3
    assert b'trivet_rollout_state{alias="rolled",state="completed"} 1' in gateway.get(gateway.admin + "/metrics")[1]
    assert gateway.cli("rollback", "rolled", "--reason", "no").returncode == 0
    assert gateway.json("rollout", "status", "rolled")["rollout"]["phase"] == "rolled_back"


@pytest.mark.parametrize(
    ("change", "told"),
    [({"stepps": []}, "m.yaml:"), ({"preset": "fast"}, "preset"), ({"by": 7}, "by")],
)
def test_a_manifest_with_a_mistake_is_told_with_its_line(
    gateway: Gateway, tmp_path: Path, change: dict[str, object], told: str
) -> None:
    """Usage error with file, line and member, and nothing is asked of the gateway."""
    file = manifest(tmp_path, "rolled", "rel_0", **change)
    found = gateway.cli("rollout", "start", "-f", str(file), "--reason", "x", status=2)
    assert told in found.stderr
    assert "m.yaml:" in found.stderr


def test_a_file_that_is_not_there(gateway: Gateway) -> None:
    """Named, as a usage error."""
    assert "nowhere.yaml" in gateway.cli("rollout", "plan", "-f", "nowhere.yaml", status=2).stderr
