"""Who can read the files that hold keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.settings.check import findings
from gateway.settings.load import read
from gateway.settings.secrecy import secrets

TEXT = "providers: {p: {base_url: 'https://x.example', api_key: KEY}}\n"


@pytest.mark.parametrize(
    ("key", "mode", "warned"),
    [
        ("a-literal-key", 0o644, True),
        ("a-literal-key", 0o640, False),
        ('"${K}"', 0o644, False),
        ("client", 0o644, False),
    ],
)
def test_i7_world_readable_file(tmp_path: Path, key: str, mode: int, warned: bool) -> None:
    """A key written into a file that everybody may read is worth a warning that does not show it."""
    path = tmp_path / "gateway.yaml"
    path.write_text(TEXT.replace("KEY", key))
    path.chmod(mode)
    found = findings(read(path.read_bytes(), path, {"K": "from-environment"}))
    assert [each.key for each in found] == (["providers.p.api_key"] if warned else [])
    assert all("literal" not in each.message for each in found)


@pytest.mark.parametrize(
    "text",
    [
        "stamp_keys: [kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk]\nproviders: {p: {base_url: 'https://x.example'}}\n",
        "providers: {p: {base_url: 'https://x.example', background_api_key: key-of-background}}\n",
        "providers: {p: {base_url: 'https://x.example', endpoints: [{url: 'https://x.example', api_key: key-there}]}}\n",
    ],
)
def test_i7_every_kind_of_key_counts(tmp_path: Path, text: str) -> None:
    """Stamp keys, background keys and endpoint keys are keys as well."""
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    path.chmod(0o644)
    assert len(findings(read(path.read_bytes(), path, {}))) == 1


def test_i7_world_readable_tls_key(tmp_path: Path) -> None:
    """The listener's private key is a key as well."""
    for name in ("c.pem", "k.pem"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    text = "tls: {certificate: c.pem, key: k.pem}\nproviders: {p: {base_url: 'https://x.example'}}\n"
    assert [each.key for each in findings(read(text.encode(), tmp_path / "g.yaml", {}))] == ["tls.key"]


def test_secrets_for_redaction() -> None:
    """Every secret of the settings is named for the log's redactor, and no word that is none."""
    text = (
        "stamp_keys: [sss]\nstore: {redis: 'redis://user:pw@h', shadow_redis: 'redis://:pw2@h'}\n"
        "providers: {p: {base_url: 'https://x.example', headers: {x: hhh}, endpoints: [{url: 'https://x.example', api_key: eee}]}}\n"
    )
    assert sorted(secrets(read(text.encode(), Path("f"), {}).settings)) == ["eee", "hhh", "pw", "pw2", "sss"]
