"""Comments into silent streams."""

from __future__ import annotations

import time

from gateway.live.heartbeat import COMMENT, Heartbeat
from gateway.telemetry.counters import Register
from gateway.wire.deadlines import NEVER
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, events, stream


class Client:
    """The answering side, as far as a heartbeat uses it."""

    def __init__(self) -> None:
        self.finished = self.gone = False
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.sent.append(data)


def test_beats_only_while_the_provider_is_waited_for() -> None:
    """A beat is due after so many seconds of waiting, again after as many, and never while it rests."""
    client, counted = Client(), Register()
    beat = Heartbeat(client, 5, counted)  # type: ignore[arg-type]
    assert beat.due == NEVER
    beat.wait(100.0)
    assert beat.due == 105.0
    beat.expire(105.5)
    assert (beat.due, client.sent, counted.n) == (110.5, [COMMENT], 1)
    beat.rest()
    assert beat.due == NEVER


def test_an_answer_that_ended_gets_no_comment() -> None:
    """Neither after its end nor to a client that left."""
    for attribute in ("finished", "gone"):
        client, counted = Client(), Register()
        setattr(client, attribute, True)
        beat = Heartbeat(client, 5, counted)  # type: ignore[arg-type]
        beat.wait(0.0)
        beat.expire(6.0)
        assert (beat.due, client.sent, counted.n) == (NEVER, [], 0)


def test_without_the_setting_nothing_is_watched(gateway: LiveGateway, provider: Provider) -> None:
    """Heartbeats are off by default: a silent stream gets nothing, and nothing looks after it."""
    gateway.alias("gpt-4o", release("openai/gpt-4o-2024-08-06"))
    sent = events(["a"])
    provider.then(stream(sent, gap=0.05))
    began = time.monotonic()
    assert gateway.chat("gpt-4o", stream=True).body == b"".join(sent)
    assert time.monotonic() - began > 0.15
    assert len(gateway.worker.sweeper) == 0
