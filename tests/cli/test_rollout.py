"""`trivet rollout promote`: every lane to a release, under the rules of the stakes."""

from __future__ import annotations

from tests.cli.conftest import call
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
