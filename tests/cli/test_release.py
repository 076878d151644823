"""`trivet release`: create, list, show, diff, runs, block, unblock."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import call
from tests.gateway_process import Gateway

OTHER = "openai/gpt-4o-2024-11-20"


def stable(gateway: Gateway) -> str:
    """The release that `support` serves."""
    return str(gateway.json("alias", "show", "support")["state"]["lanes"]["*"]["release"])


def test_create_prints_the_id_and_is_idempotent(gateway: Gateway) -> None:
    """The same triple has the same id, whatever the note; standard output is the id alone."""
    words = ("release", "create", "--model", OTHER, "--set", "temperature=0", "--drop", "top_k")
    first = gateway.cli(*words)
    second = gateway.cli(*words, "--note", "again")
    assert first.stdout == second.stdout
    assert first.stdout.strip().startswith("rel_")
    assert "stored before" in second.stderr
    shown = gateway.json("release", "show", first.stdout.strip())
    assert shown["release"]["triple"]["params"] == {"set": {"temperature": 0}, "drop": ["top_k"]}
    assert shown["prompt"]["mode"] == "as-sent"
    assert OTHER in gateway.cli("release", "show", first.stdout.strip()).stdout


@pytest.mark.parametrize("part", ["prompt", "tools"])
def test_i2_a_prompt_or_tools_of_its_own_are_refused(gateway: Gateway, tmp_path: Path, part: str) -> None:
    """I2: what this version would store and then ignore is refused with the part, the reason and what to do."""
    file = tmp_path / "leg"
    file.write_text('[{"type": "function", "function": {"name": "look", "parameters": {}}}]')
    done = gateway.cli("release", "create", "--model", OTHER, f"--{part}", str(file), status=1)
    told = " ".join(done.stderr.split())
    assert f"{part}: mode" in told
    assert "as the agent sends them" in told
    assert f"Leave the {part} out" in told


def test_i2_floating_model_is_refused(gateway: Gateway) -> None:
    """I2: a floating id is refused and the message says which part; with a reason it is accepted and marked."""
    done = gateway.cli("release", "create", "--model", "openai/gpt-4o", status=1)
    assert "gpt-4o" in done.stderr or "float" in done.stderr.lower()
    gateway.cli("release", "create", "--model", "openai/gpt-4o", "--allow-floating", "a test of ours")


def test_usage(gateway: Gateway, tmp_path: Path) -> None:
    """Without a model or a base, with a broken pair or a missing file, it is a usage error."""
    gateway.cli("release", "create", status=2)
    gateway.cli("release", "create", "--model", OTHER, "--set", "temperature", status=2)
    gateway.cli("release", "create", "--model", OTHER, "--prompt", str(tmp_path / "none"), status=2)


def test_diff_is_1_when_they_differ(gateway: Gateway) -> None:
    """As diff(1): 0 for the same, 1 for different, and both sides are shown."""
    new = gateway.json("release", "create", "--model", OTHER)["id"]
    done = gateway.cli("release", "diff", stable(gateway), new, status=1)
    assert "openai/gpt-4o-2024-08-06" in done.stdout
    assert OTHER in done.stdout
    assert "same triple" in gateway.cli("release", "diff", new, new).stdout


def test_list_names_where_it_serves(gateway: Gateway) -> None:
    """The stable release of an alias says so."""
    rows = {row["id"]: row for row in gateway.json("release", "list")}
    assert "support *" in rows[stable(gateway)]["serves"]
    assert stable(gateway) in gateway.cli("release", "list").stdout


def test_runs_of_a_release(gateway: Gateway) -> None:
    """Runs that are bound to it, since a time."""
    assert "r-1" in gateway.cli("release", "runs", stable(gateway), "--since", "1h").stdout
    assert gateway.json("release", "runs", stable(gateway), "--since", "2999-01-01") == []


def test_block_stops_runs_and_unblock_lets_them_go_on(gateway: Gateway) -> None:
    """A blocked release answers its runs with 409 `release_blocked` on every worker, until it is unblocked."""
    release = stable(gateway)
    call(gateway, "support", "r-blocked")
    assert "--yes" in gateway.cli("release", "block", release, "--reason", "bad", status=2).stderr
    gateway.cli("release", "block", release, "--reason", "bad", "--yes")
    body = {"model": "support", "messages": []}
    answer = httpx.post(f"{gateway.base}/v1/chat/completions", json=body, headers={"x-trivet-run": "r-blocked"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "release_blocked")
    gateway.cli("release", "unblock", release, "--reason", "mended")
    call(gateway, "support", "r-blocked")
