"""TLS contexts."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from gateway.wire.tls import client_context, listener_context


def test_client_contexts_always_verify(certificate: tuple[Path, Path]) -> None:
    """Certificates and names are verified with the system's authorities and with a file; old TLS is off."""
    for context in (client_context(), client_context(str(certificate[0]))):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert len(client_context(str(certificate[0])).get_ca_certs()) == 1


def test_unreadable_files(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """A missing or wrong file is an error at once, not a context that believes nothing or everything."""
    with pytest.raises(OSError):
        client_context(str(tmp_path / "none.pem"))
    (tmp_path / "bad.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        client_context(str(tmp_path / "bad.pem"))
    with pytest.raises(OSError):
        listener_context(str(tmp_path / "none.pem"), str(certificate[1]))
    assert listener_context(*map(str, certificate)).minimum_version is ssl.TLSVersion.TLSv1_2
