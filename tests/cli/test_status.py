"""`trivet status`: one look at everything."""

from __future__ import annotations

import os
import signal
import time

from tests.cli.conftest import NAMES
from tests.gateway_process import Gateway


def test_says_what_runs(gateway: Gateway) -> None:
    """Store, workers and aliases; exit code 0 while all is well."""
    found = gateway.json("status")
    assert [row["name"] for row in found["aliases"]] == NAMES
    assert [beat["alive"] for beat in found["workers"]] == [True]
    assert "keeps what it acknowledges" in gateway.cli("status").stdout


def test_dead_background_process_is_said(gateway: Gateway) -> None:
    """While the admin port is away the store is asked directly, and the command says so on standard error."""
    os.kill(gateway.pid("supervisor"), signal.SIGSTOP)  # nobody starts the background process again
    try:
        pid = gateway.kill("control")
        time.sleep(0.2)
        done = gateway.shell("status")
        assert "does not answer" in done.stderr
        assert "support" in done.stdout
    finally:
        os.kill(gateway.pid("supervisor"), signal.SIGCONT)
    gateway.wait_restarted("control", pid)
