"""`trivet serve`: refusals before anything starts."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gateway.cli.app import main

PROVIDERS = "providers:\n  openai: {base_url: 'https://api.openai.com'}\n"


def serve(tmp_path: Path, text: str, *words: str) -> int:
    """Exit code of `serve` with this file."""
    file = tmp_path / "gw.yaml"
    file.write_text(PROVIDERS + f"store: {{data_dir: {tmp_path}/data}}\n" + text)
    return main(["serve", "--config", str(file), *words])


def test_c7_open_listener_without_auth_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """C7: listening off loopback without keys does not start; the message names line, key and the way out."""
    assert serve(tmp_path, "listen: 0.0.0.0:0\n") == 2
    shown = capsys.readouterr().err
    assert "gw.yaml:4: listen" in shown
    assert "auth" in shown


def test_c7_admin_port_off_loopback_needs_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for the admin port."""
    assert serve(tmp_path, "admin: {listen: '0.0.0.0:0'}\n") == 2
    assert "admin.listen" in capsys.readouterr().err


def test_unknown_role_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Roles are named."""
    assert serve(tmp_path, "", "--roles", "live,shadows") == 2
    assert "shadows" in capsys.readouterr().err


def test_taken_port_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that somebody serves is refused with the setting's name, before a store is started."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve(tmp_path, f"listen: 127.0.0.1:{port}\nadmin: {{listen: '127.0.0.1:0'}}\n") == 1
    assert "listen: another" in capsys.readouterr().err
    assert not (tmp_path / "data" / "store").exists()


def test_missing_file_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there is named."""
    assert main(["serve", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml" in capsys.readouterr().err
