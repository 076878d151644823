"""TLS contexts: upstreams are verified always, and the only knob is which authorities are believed."""

from __future__ import annotations

import ssl


def client_context(ca_file: str = "") -> ssl.SSLContext:
    """For connections to upstreams: certificates and host names verified, TLS 1.2 or newer, HTTP/1.1 only.

    `ca_file` replaces the system's authorities. Raises OSError or ssl.SSLError when it cannot be read.
    """
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def listener_context(certificate: str, key: str) -> ssl.SSLContext:
    """For our own listener: a PEM chain and its key, TLS 1.2 or newer, HTTP/1.1 only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    return context
