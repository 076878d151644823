"""How a command reaches the gateway, and what it says when it cannot."""

from __future__ import annotations

import socket
import threading
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.cli.app import main
from tests.gateway_process import Gateway, running


def test_given_address_has_no_fallback(gateway: Gateway) -> None:
    """Nobody listens on an address that was given: 3, and nothing is done on this machine's store."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        done = gateway.cli("status", "--admin", f"127.0.0.1:{port}", status=3)
    assert "--direct" in done.stderr
    assert done.stdout == ""


def test_silent_port_is_3_in_bounded_time(gateway: Gateway) -> None:
    """A port that answers something else is told apart."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        done = gateway.cli("status", "--admin", f"http://127.0.0.1:{server.getsockname()[1]}", status=5)
        thread.join()
    assert "admin port" in done.stderr


def test_tokens_come_from_the_environment() -> None:
    """Without a token 4, with one that may not 4, with the right one 0; the token is in no output."""
    tokens = [
        {"name": "a", "sha256": sha256(b"token-a-secret").hexdigest(), "rights": ["read"]},
    ]
    with running(admin={"tokens": tokens}) as gateway:
        assert "admin.tokens" in gateway.cli("status", status=4).stderr
        gateway.shell("status", TRIVET_ADMIN_TOKEN="token-a-secret")
        words = ("release", "create", "--model", "openai/gpt-4o-2024-08-06")
        done = gateway.cli(*words, status=4, TRIVET_ADMIN_TOKEN="token-a-secret")
        assert "'release'" in done.stderr
        assert "token-a-secret" not in done.stdout + done.stderr + gateway.log


def test_direct_needs_no_port(gateway: Gateway) -> None:
    """--direct works on the store, and says nothing about ports."""
    done = gateway.cli("alias", "list", "--direct")
    assert "support" in done.stdout
    assert done.stderr == ""


def test_bad_configuration_is_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that cannot be read is a usage error, not a fallback to defaults."""
    assert main(["status", "--config", str(tmp_path / "none.yaml")]) == 2
    shown = capsys.readouterr().err
    assert "none.yaml" in shown
    assert "--admin URL" in shown
