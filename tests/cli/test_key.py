"""Keys: shown once, kept as a hash, taken out line by line."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.cli.app import main
from gateway.cli.key import without_item
from gateway.cli.reach import Failed
from tests.gateway_process import running
from tests.provider import Provider, events, stream

A, B = "a" * 64, "b" * 64


def new(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
    """Make a key."""
    assert main(["key", "new", *words, "--json"]) == 0
    made: dict[str, str] = json.loads(capsys.readouterr().out)
    return made


def test_new_key_matches_its_hash(capsys: pytest.CaptureFixture[str]) -> None:
    """The printed line holds the sha256 of the printed key, and no key is made twice."""
    made = new(capsys, "acme", "--segment", "beta", "--right", "learn", "--right", "pass-through")
    assert made["key"].startswith("sk-")
    assert hashlib.sha256(made["key"].encode()).hexdigest() == made["sha256"]
    line = yaml.safe_load(made["yaml"])[0]
    assert line == {"sha256": made["sha256"], "tenant": "acme", "segment": "beta", "rights": ["learn", "pass-through"]}
    assert new(capsys)["key"] != made["key"]


def test_a_new_key_may_have_limits(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The printed line is one that the configuration takes, and `list` shows what stands there, the tenant's limits too."""
    words = (
        "--limit",
        "requests_per_minute=60",
        "--limit",
        "usd_per_day=2.5",
        "--allow",
        "support-*",
        "--allow",
        "gpt-4o",
    )
    made = new(capsys, "acme", *words)
    line = yaml.safe_load(made["yaml"])[0]
    assert line["limits"] == {"requests_per_minute": 60, "usd_per_day": 2.5}
    assert line["allow"] == ["support-*", "gpt-4o"]
    config = tmp_path / "gateway.yaml"
    tenants = "tenants: {acme: {limits: {concurrent_runs: 5}}}\n"
    config.write_text(f"auth: keys\nkeys:\n  {made['yaml']}\n{tenants}providers: {{}}\n")
    assert main(["key", "list", "--config", str(config), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["limits"], row["tenant_limits"]) == (line["limits"], {"concurrent_runs": 5})
    assert main(["key", "list", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    for word in ("60 requests/min", "2.5 USD/day", "5 runs", "support-*"):
        assert word in out


@pytest.mark.parametrize(
    "words",
    [("--limit", "requests=1"), ("--limit", "usd_per_day"), ("--limit", "concurrent_runs=-1"), ("--allow", "a b")],
)
def test_a_limit_that_is_none_is_a_usage_error(words: tuple[str, ...]) -> None:
    """What the configuration would refuse is refused here."""
    assert main(["key", "new", "acme", *words]) == 2


def test_admin_token_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a token of the admin port."""
    made = new(capsys, "--admin-token", "alice", "--right", "rollback")
    assert made["under"] == "admin.tokens"
    assert yaml.safe_load(made["yaml"])[0]["name"] == "alice"


@pytest.mark.parametrize(
    "words", [["a b"], ["acme", "--right", "rollback"], ["--admin-token", "x", "--right", "learn"], ["x" * 65]]
)
def test_bad_names_and_rights_are_usage_errors(words: list[str]) -> None:
    """A tenant or a right that the configuration would refuse is refused here."""
    assert main(["key", "new", *words]) == 2


TEXT = f"""# keys of the shop
auth: keys
keys:
  # acme's
  - {{sha256: {A}, tenant: acme}}   # first
  - sha256: {B}
    tenant: globex
    rights: [learn]

providers: {{openai: {{base_url: 'https://api.openai.com'}}}}
"""


def test_revoke_takes_out_its_lines_only() -> None:
    """A one-line item and an item of many lines leave; every other byte stays."""
    assert without_item(TEXT, A) == TEXT.replace(f"  - {{sha256: {A}, tenant: acme}}   # first\n", "")
    left = without_item(TEXT, B)
    assert yaml.safe_load(left)["keys"] == [{"sha256": A, "tenant": "acme"}]
    assert left.startswith("# keys of the shop")
    assert "providers" in left


def test_last_key_leaves_an_empty_list() -> None:
    """The file still reads as a list."""
    assert yaml.safe_load(without_item(without_item(TEXT, A), B))["keys"] == []


def test_shared_line_is_refused() -> None:
    """Two keys on one line are a person's to part."""
    with pytest.raises(Failed, match="by hand"):
        without_item(f"keys: [{{sha256: {A}, tenant: x}}, {{sha256: {B}, tenant: y}}]\n", A)
    with pytest.raises(Failed, match="not written out"):
        without_item(TEXT, "c" * 64)


def test_c5_revoked_key_is_refused_within_a_second_or_two(capsys: pytest.CaptureFixture[str]) -> None:
    """C5: after `key revoke` the key's next request gets 401, its stream in flight is finished, the run's stamp stays."""
    one, two = new(capsys, "acme"), new(capsys, "globex")
    keys = [yaml.safe_load(made["yaml"])[0] for made in (one, two)]
    with Provider() as provider, running({"openai": provider.url}, auth="keys", keys=keys) as gateway:

        def status(key: str) -> int:
            body = {"model": "gpt-4o-2024-08-06", "messages": []}
            headers = {"authorization": f"Bearer {key}", "x-trivet-run": "r"}
            return httpx.post(f"{gateway.base}/v1/chat/completions", json=body, headers=headers).status_code

        assert (status(one["key"]), status(two["key"]), status("sk-other")) == (200, 200, 401)
        listed = gateway.json("key", "list")
        assert [(k["tenant"], bool(k["line"])) for k in listed] == [("acme", True), ("globex", True)]
        provider.then(stream(events(["x"] * 30), gap=0.1))
        whole: list[bytes] = []
        body = {"model": "gpt-4o-2024-08-06", "messages": [], "stream": True}
        headers = {"authorization": f"Bearer {one['key']}"}

        def read() -> None:
            with httpx.stream("POST", f"{gateway.base}/v1/chat/completions", json=body, headers=headers) as answer:
                whole.extend(answer.iter_raw())

        reader = threading.Thread(target=read)
        reader.start()
        provider.wait_for(3)
        gateway.shell("key", "revoke", one["sha256"][:12])
        for _ in range(60):
            if status(one["key"]) == 401:
                break
            time.sleep(0.05)
        assert (status(one["key"]), status(two["key"])) == (401, 200)
        reader.join(10)
        assert b"data: [DONE]" in b"".join(whole)
        assert gateway.cli("run", "show", "r", "--tenant", "acme").stdout
        for secret in (one["key"], two["key"], one["sha256"]):
            assert secret not in gateway.log


def test_revoke_wants_a_hash(tmp_path: Path) -> None:
    """Never the key itself, never a guess."""
    file = tmp_path / "gw.yaml"
    file.write_text(TEXT)
    assert main(["key", "revoke", "sk-trivet-abc", "--config", str(file)]) == 2
    assert main(["key", "revoke", "c" * 12, "--config", str(file)]) == 1
    assert main(["key", "revoke", "a" * 8, "--config", str(file)]) == 0
    assert A not in file.read_text()
