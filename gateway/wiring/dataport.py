"""The gateway's own data port, for the calls it makes itself: the address that was really taken, and the key to sign with.

Rule of the file: an address is our own configuration's or our own supervisor's, or one that a person at this machine typed; no
operation of the admin port can choose it, for a credential goes there.
"""

from __future__ import annotations

import os

from gateway.core.contract.fault import Fault, Kind
from gateway.settings.model import Settings
from gateway.upstream.ownport import DataPort
from gateway.wiring import processes
from gateway.wiring.process import join_address, split_address
from gateway.wiring.stamp_keys import NoStampKey, stamp_keys

VARIABLE = "TRIVET_DATA_URL"
"""Where a data port is that runs on another host than this process."""
LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def data_port(settings: Settings) -> DataPort:
    """The data port of a gateway with these settings. Raises Fault 409 `no_data_port`."""
    try:
        key = stamp_keys(settings)[0]
    except (NoStampKey, OSError) as error:
        raise Fault(Kind.CONFLICT, "no_data_port", f"calls of its own cannot be signed: {error}") from error
    certificate = settings.tls.certificate if settings.tls is not None else ""
    named = os.environ.get(VARIABLE, "").rstrip("/")
    if named:
        return DataPort(named, key, certificate)
    running = processes.read(settings)
    host, port = split_address((running.data if running is not None else "") or settings.listen)
    if not port:
        message = f"no gateway of this configuration runs here; start it, or set {VARIABLE} to the URL of its data port"
        raise Fault(Kind.CONFLICT, "no_data_port", message)
    scheme = "https" if certificate else "http"
    return DataPort(f"{scheme}://{join_address(LOOPBACK.get(host, host), port)}", key, certificate)
