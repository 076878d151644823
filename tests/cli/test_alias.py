"""`trivet alias`: list, show, history, export, apply."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.cli.conftest import NAMES
from tests.gateway_process import Gateway


def test_list_and_show(gateway: Gateway) -> None:
    """Every alias with its lanes; one alias with models and the version each worker serves."""
    rows = gateway.json("alias", "list")
    assert [row["name"] for row in rows] == NAMES
    table = gateway.cli("alias", "show", "support").stdout
    for word in ("openai/gpt-4o-2024-08-06", rows[-1]["lanes"]["*"], "live-0"):
        assert word in table


def test_unknown_alias_is_1(gateway: Gateway) -> None:
    """A name nobody knows is refused with the names there are."""
    done = gateway.shell("alias", "show", "suport", status=1)
    assert ", ".join(NAMES) in done.stderr


def test_export_and_apply_round_trip(gateway: Gateway, tmp_path: Path) -> None:
    """What export prints, apply takes; unchanged it does nothing, changed it is a promotion, old it is refused."""
    text = gateway.cli("alias", "export").stdout
    file = tmp_path / "pointers.yaml"
    file.write_text(text)
    assert "nothing to do" in gateway.cli("alias", "apply", "-f", str(file), "--reason", "same").stdout
    new = gateway.json("release", "create", "--model", "openai/gpt-4o-2024-11-20")["id"]
    wanted = yaml.safe_load(text)
    wanted["aliases"]["support"]["lanes"]["tenant:acme"] = new
    file.write_text(yaml.safe_dump(wanted))
    done = gateway.cli("alias", "apply", "-f", str(file), "--reason", "a lane for acme", "--override", "me")
    assert new in done.stdout
    assert "confirmed" in done.stdout
    assert gateway.json("alias", "show", "support")["state"]["lanes"]["tenant:acme"]["release"] == new
    stale = gateway.cli("alias", "apply", "-f", str(file), "--reason", "again", status=1)
    assert "version" in stale.stderr


def test_history_is_newest_first(gateway: Gateway) -> None:
    """Who, why, before and after."""
    entries = gateway.json("alias", "history", "other")
    assert entries[-1]["action"] == "first_release"
    assert "declared in the configuration" in gateway.cli("alias", "history", "other").stdout


def test_bad_file_is_usage(gateway: Gateway, tmp_path: Path) -> None:
    """A file that is no pointer file is 2 and named."""
    file = tmp_path / "x.yaml"
    file.write_text("aliases: [")
    assert str(file) in gateway.cli("alias", "apply", "-f", str(file), "--reason", "r", status=2).stderr
    gateway.cli("alias", "apply", "-f", str(tmp_path / "none"), "--reason", "r", status=2)


def test_prompts_and_undeclared(gateway: Gateway) -> None:
    """What an alias is sent and what nobody declares are tables and JSON; an unknown id and an --accept of nobody are refused."""
    assert gateway.json("alias", "prompts", "other") == {"alias": "other", "templates": [], "unread": 0}
    assert "nothing was learnt yet" in gateway.cli("alias", "prompts", "other").stdout
    assert "every prompt and toolset is declared" in gateway.cli("alias", "undeclared", "--text").stdout
    gateway.cli("alias", "undeclared", "--accept", "p_1", "--reason", "r", status=2)
    done = gateway.cli("alias", "undeclared", "other", "--accept", "p_1", "--reason", "r", status=1)
    assert "trivet alias prompts other" in done.stderr
