"""`trivet release`: create, list, show, diff, runs, block, unblock."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.cli.conftest import call
from tests.gateway_process import Gateway

OTHER = "openai/gpt-4o-2024-11-20"


def stable(gateway: Gateway) -> str:
    """The release that `support` serves."""
    return str(gateway.json("alias", "show", "support")["state"]["lanes"]["*"]["release"])


def test_create_prints_the_id_and_is_idempotent(gateway: Gateway) -> None:
    """The same triple has the same id, whatever the note; standard output is the id alone."""
    words = ("release", "create", "--model", OTHER, "--set", "temperature=0", "--drop", "top_k")
    first = gateway.shell(*words)
    second = gateway.cli(*words, "--note", "again")
    assert first.stdout == second.stdout
    assert first.stdout.strip().startswith("rel_")
    assert "stored before" in second.stderr
    shown = gateway.json("release", "show", first.stdout.strip())
    assert shown["release"]["triple"]["params"] == {"set": {"temperature": 0}, "drop": ["top_k"]}
    assert shown["prompt"]["mode"] == "as-sent"
    assert OTHER in gateway.cli("release", "show", first.stdout.strip()).stdout


def test_a_release_with_prompt_and_tools(gateway: Gateway, tmp_path: Path) -> None:
    """Files become artifacts with labels; a slip in one is told with its part; show, diff and runs are readable."""
    prompt, tools = tmp_path / "support.md", tmp_path / "support.json"
    prompt.write_text("Be kind to {{name}}.\n")
    tools.write_text('[{"type": "function", "function": {"name": "look", "parameters": {}}}]')
    words = (
        "release",
        "create",
        "--from",
        "stable",
        "--alias",
        "support",
        "--rename",
        "max_tokens=max_completion_tokens",
    )
    legs = ("--prompt", str(prompt), "--prompt-label", "support@v7", "--tools", str(tools), "--tools-mode", "verify")
    first = gateway.cli(*words, *legs, "--tools-label", "tools@v1").stdout.strip()
    told = gateway.cli("release", "show", first).stdout
    for word in (
        "serve support@v7",
        "verify tools@v1",
        "Be kind to {{name}}.",
        '"name": "look"',
        "max_completion_tokens",
    ):
        assert word in told
    assert (
        gateway.cli(*words, "--prompt", "support@v7", "--tools", "tools@v1", "--tools-mode", "verify").stdout.strip()
        == first
    )
    prompt.write_text("Be kind.\n")
    assert "support@v7" in gateway.cli(*words, *legs, status=1).stderr
    second = gateway.cli(
        "release", "create", "--from", first, "--prompt", str(prompt), "--tools-mode", "as-sent"
    ).stdout.strip()
    changes = gateway.cli("release", "diff", first, second, status=1).stdout
    assert "-Be kind to {{name}}." in changes
    assert "+Be kind." in changes
    assert "may be removed" in gateway.cli("release", "runs", first).stdout
    assert gateway.json("release", "runs", stable(gateway))["removable"] is False
    prompt.write_text("{{ 1 }}")
    done = gateway.cli(*words, "--prompt", str(prompt), status=1)
    assert "prompt: line 1, column 1" in " ".join(done.stderr.split())


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
    assert gateway.json("release", "runs", stable(gateway), "--since", "2999-01-01")["runs"] == []


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
