"""What a person orders of a rollout in progress, against a real gateway."""

from __future__ import annotations

from pathlib import Path

from tests.cli.rollouts import NEW, manifest
from tests.gateway_process import Gateway


def test_each_order_with_its_answer_and_exit_code(gateway: Gateway, tmp_path: Path) -> None:
    """Approve, freeze, resume, abort and retry do what they say; what is not possible ends with 1 and says what is; asking twice
    to end is harmless; orders work without the admin port too."""
    new = gateway.json("release", "create", "--model", NEW)["id"]
    steps = [{"weight": "40%", "bake": "1h", "runs": 5, "approve": True}]
    file = str(manifest(tmp_path, "ordered", new, steps=steps))
    gateway.cli("rollout", "start", "-f", file, "--reason", "newer")
    told = gateway.cli("rollout", "approve", "ordered", status=1).stderr
    assert "Possible now" in told
    gateway.cli("rollout", "override", "ordered", "--reason", "by hand", "--name", "bob")
    assert "* 40 %" in gateway.cli("rollout", "approve", "ordered").stdout
    assert "frozen" in gateway.cli("rollout", "freeze", "ordered", "--reason", "looking", "--direct").stdout
    gateway.cli("rollout", "freeze", "ordered", status=2)
    assert gateway.json("rollout", "resume", "ordered", "--reason", "fine")["after"]["phase"] == "canary"
    gateway.cli("rollout", "resume", "ordered", "--reason", "x", "--accept-inconclusive", status=1)
    gateway.cli("rollout", "skip", "ordered", "--reason", "x", status=1)
    assert "nobody on the candidate" in gateway.cli("rollout", "abort", "ordered", "--reason", "no").stdout
    assert "nothing to do" in gateway.cli("rollout", "abort", "ordered", "--reason", "no").stdout
    again = gateway.cli("rollout", "start", "-f", file, "--reason", "again", status=1).stderr
    assert "trivet rollout retry" in again
    assert gateway.json("rollout", "retry", "ordered", "--reason", "fixed upstream")["after"]["retried"] is True
    gateway.cli("rollout", "start", "-f", file, "--reason", "again")
    words = (
        "rollout",
        "start",
        "-f",
        file,
        "--release",
        gateway.json("alias", "show", "ordered")["state"]["rollout"]["candidate"],
    )
    assert "say --yes" in gateway.cli(*words, "--supersede", "--reason", "x", status=2).stderr
    gateway.cli("rollout", "abort", "ordered", "--reason", "done")
