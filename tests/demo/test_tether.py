"""A tethered process ends when its parent is gone. The whole gateway's end is told in test_story.py."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

CHILD = "import time; from gateway.demo.tether import tie; tie(); print('here', flush=True); time.sleep(60)"
PARENT = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_it_ends_when_its_parent_is_killed() -> None:
    """kill -9 of the parent, which can tell nobody, ends the child."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    parent.wait(5)
    parent.stdout.close()
    until = time.monotonic() + 5
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_it_goes_on_while_its_parent_lives() -> None:
    """What comes in on standard input is no order; only its end is."""
    child = subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    with child:
        child.stdout.readline()
        child.stdin.write("words\n")
        child.stdin.flush()
        time.sleep(0.1)
        assert child.poll() is None
        child.stdin.close()
        assert child.wait(5) == -15
