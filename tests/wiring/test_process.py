"""What every process under the supervisor shares."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket

import pytest

from gateway.wiring.process import Assignment, Line, Orders, join_address, read, split_address


def test_arguments_round_trip() -> None:
    """What a supervisor writes, a process reads."""
    task = Assignment("live", 3, "/etc/gw.yaml", "[::1]:8080", "/var/good.yaml", 9)
    assert read(task.arguments()) == task
    assert task.name == "live-3"
    assert Assignment("control", 0, "", "").name == "control"


def test_unknown_role_is_a_usage_error() -> None:
    """A word that is no role ends with 2."""
    with pytest.raises(SystemExit) as ended:
        read(["sentinel"])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("text", "pair"),
    [("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:0", ("::1", 0)), ("host:65535", ("host", 65535))],
)
def test_addresses_round_trip(text: str, pair: tuple[str, int]) -> None:
    """Names, IPv4 and IPv6."""
    assert split_address(text) == pair
    assert join_address(*pair) == text


@pytest.mark.parametrize("text", ["8080", ":8080", "host:", "host:65536", "host:x", ""])
def test_bad_addresses_say_how_to_write_one(text: str) -> None:
    """The message shows a good one."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:8080"):
        split_address(text)


def test_line_tells_and_never_fails() -> None:
    """States arrive as JSON lines; a supervisor that is gone, or none at all, costs nothing."""
    ours, theirs = socket.socketpair()
    line = Line(theirs.detach())
    line.tell("ready", port=8080)
    assert json.loads(ours.recv(1000)) == {"state": "ready", "port": 8080}
    ours.close()
    line.tell("draining")
    line.close()
    Line(-1).tell("ready")


def test_orders_follow_signals_and_the_end_of_the_supervisor() -> None:
    """SIGHUP means reload, SIGTERM means end, SIGINT is the supervisor's; its end ends the process too."""

    async def main() -> None:
        ours, theirs = socket.socketpair()
        line = Line(theirs.detach())
        orders = Orders.listen(line)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.wait_for(orders.reload.wait(), 2)
        assert not orders.ending.is_set()
        ours.close()
        await asyncio.wait_for(orders.ending.wait(), 2)
        line.close()
        other = Orders.listen(Line(-1))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(other.ending.wait(), 2)

    asyncio.run(main())
