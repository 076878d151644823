"""Ports are reserved once, by the supervisor, before any process starts.

A reserved socket is bound but does not listen: it names the port for every worker, gives one clear message when another
program has it, and keeps it while a worker restarts. Workers listen on the same port with SO_REUSEPORT.
"""

from __future__ import annotations

import errno
import socket


class PortTaken(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class Reserved:
    """A port that belongs to this gateway until `close`."""

    __slots__ = ("_socket", "host", "port")

    def __init__(self, host: str, port: int, *, share: bool, setting: str) -> None:
        """Reserve `host:port`; port 0 takes a free one. `share` joins a port that a trivet of the same user serves."""
        self.host = host
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise PortTaken(f"{setting}: {host!r} is not an address of this machine ({error.strerror})") from error
        if port and not share and _served(family, place):
            raise PortTaken(
                f"{setting}: another process listens on {host}:{port}. Stop it, choose another port, "
                "or join it during a handover with --share-port"
            )
        held = socket.socket(family, kind, protocol)
        try:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            held.bind(place)
        except OSError as error:
            held.close()
            raise PortTaken(_told(error, host, port, setting)) from error
        self._socket = held
        self.port: int = held.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def _served(family: int, place: tuple[object, ...]) -> bool:
    """Whether somebody already listens there: SO_REUSEPORT alone would silently share with an older trivet."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
        return False


def _told(error: OSError, host: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{setting}: another program listens on {host}:{port}. Stop it or choose another port"
    if error.errno == errno.EACCES:
        return f"{setting}: port {port} needs privileges this user does not have. Choose one above 1023"
    return f"{setting}: cannot listen on {host}:{port} ({error.strerror})"
