"""The gateway's own data port is where it really listens, with the key that it signs with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.core.contract.fault import Fault
from gateway.settings.model import Settings, StoreSettings, TlsSettings
from gateway.wiring import processes
from gateway.wiring.dataport import VARIABLE, data_port
from gateway.wiring.processes import Part, Processes


def settings(folder: Path, **members: object) -> Settings:
    """Settings with a data_dir of their own."""
    return Settings(store=StoreSettings(data_dir=str(folder / "data")), **members)  # type: ignore[arg-type]


def test_it_is_the_port_that_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running supervisor's word, else the configuration's; a wildcard is reached as loopback, TLS with its certificate."""
    monkeypatch.delenv(VARIABLE, raising=False)
    plain = data_port(settings(tmp_path, listen="0.0.0.0:8080"))
    assert (plain.url, plain.certificate, len(plain.key)) == ("http://127.0.0.1:8080", "", 32)
    assert "key" not in repr(plain)
    secure = settings(tmp_path, listen="[::]:8443", tls=TlsSettings("c.pem", "k.pem"))
    assert (data_port(secure).url, data_port(secure).certificate) == ("https://[::1]:8443", "c.pem")
    processes.write(
        plain_settings := settings(tmp_path), Processes("127.0.0.1:5", "", {"supervisor": Part(os.getpid(), "ready")})
    )
    assert data_port(plain_settings).url == "http://127.0.0.1:5"
    monkeypatch.setenv(VARIABLE, "http://gateway.example:80/")
    assert data_port(plain_settings).url == "http://gateway.example:80"


def test_without_a_port_or_a_key_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody runs here, or hosts that share a store share no key."""
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(Fault, match="no_data_port") as caught:
        data_port(settings(tmp_path, listen="127.0.0.1:0"))
    assert VARIABLE in caught.value.message
    with pytest.raises(Fault, match="no_data_port"):
        data_port(Settings(store=StoreSettings(redis="redis://127.0.0.1:1")))
