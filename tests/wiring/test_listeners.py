"""Ports are reserved once, and a taken one is said in one sentence."""

from __future__ import annotations

import socket

import pytest

from gateway.wiring.listeners import PortTaken, Reserved


def listening(port: int = 0, *, share: bool = False) -> socket.socket:
    """A listener on 127.0.0.1."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(("127.0.0.1", port))
    held.listen()
    return held


def test_port_zero_is_one_port_for_all() -> None:
    """The reserved port can be listened on by several workers, and the reservation takes none of their connections."""
    reserved = Reserved("127.0.0.1", 0, share=False, setting="listen")
    with listening(reserved.port, share=True) as one, listening(reserved.port, share=True):
        one.settimeout(1)
        for _ in range(20):
            socket.create_connection(("127.0.0.1", reserved.port), timeout=1).close()
    reserved.close()


def test_taken_port_is_refused_by_name() -> None:
    """Another program's port, sharing or not, names the setting and what to do."""
    for share in (False, True):
        with listening(share=share) as taken, pytest.raises(PortTaken, match=r"admin\.listen: another"):
            Reserved("127.0.0.1", taken.getsockname()[1], share=False, setting="admin.listen")


def test_share_joins_a_trivet_but_no_stranger() -> None:
    """A handover shares the port of a process that shares; a port of a program that does not stays refused."""
    with listening(share=True) as ours:
        Reserved("127.0.0.1", ours.getsockname()[1], share=True, setting="listen").close()
    with listening() as theirs, pytest.raises(PortTaken, match="another program"):
        Reserved("127.0.0.1", theirs.getsockname()[1], share=True, setting="listen")


def test_port_of_a_connection_just_closed_is_free() -> None:
    """TIME_WAIT of the gateway before does not stop the next one."""
    with listening() as first:
        port = first.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        served, _ = first.accept()
        served.close()
        client.close()
    Reserved("127.0.0.1", port, share=False, setting="listen").close()


def test_foreign_address_is_said() -> None:
    """An address this machine does not have."""
    with pytest.raises(PortTaken, match=r"listen: cannot listen on 192\.0\.2\.1"):
        Reserved("192.0.2.1", 1, share=True, setting="listen")
    with pytest.raises(PortTaken, match="not an address"):
        Reserved("no-such-host.invalid", 1, share=True, setting="listen")
