"""Ports that stay free: outside of the range from which the system serves port 0 and outgoing connections.

A port that was got by binding port 0 is given to somebody else as soon as nobody holds it: while a server is down between
two starts, or under a test that wants a port where nobody listens.
"""

from __future__ import annotations

import secrets
import socket

LOWEST, HIGHEST = 15000, 31999
"""Below what Linux (32768) and others (49152) hand out."""


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens, and that only a test that asks here may get by chance."""
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)  # hypothesis seeds `random` alike in every process
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
