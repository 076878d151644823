"""`trivet serve` as a child that cannot outlive whoever started it, not even by kill -9: `python -m gateway.demo.tether serve ...`.

Rule of the file: the end of standard input is the order to end. Only the parent holds the other side, so the system closes it
whatever becomes of the parent; a process that is told by SIGTERM ends everything it has started, in order.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading

READ = 4096


def tie(descriptor: int = 0) -> None:
    """Have this process told to end by SIGTERM when the descriptor comes to its end. Returns at once."""
    threading.Thread(target=_wait, args=(descriptor,), name="tether", daemon=True).start()


def _wait(descriptor: int) -> None:
    while os.read(descriptor, READ):  # nobody writes; os.read holds no lock that the end of the process would want
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    tie()
    runpy.run_module("gateway", run_name="__main__")
