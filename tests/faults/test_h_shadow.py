"""Row H3: live at capacity and a shadow of everything: the shadow sheds, live gives up nothing."""

from __future__ import annotations

import threading
import time

from tests.faults import load
from tests.faults.shadows import Stage, send, stage
from tests.provider import hang

LANES = 4
ROUND = 0.4
"""Seconds of a round at full speed."""
TRIES = 6
SHARE = 0.9
"""Goodput with the shadow over goodput without. The machine is shared: one pair of rounds that is not disturbed is enough, as a
shadow in the way disturbs them all."""


def goodput(at: Stage, alias: str) -> float:
    """Good answers a second of lanes that ask as fast as they are answered; every answer must be good."""
    done: list[int] = []
    until = time.monotonic() + ROUND

    def lane() -> None:
        with at.link() as link:
            count = 0
            while time.monotonic() < until:
                assert send(link, alias)[0] == 200
                count += 1
            done.append(count)

    lanes = [threading.Thread(target=lane) for _ in range(LANES)]
    for each in lanes:
        each.start()
    for each in lanes:
        each.join(20)
    assert len(done) == LANES, "every lane came to its end"
    return sum(done) / ROUND


def test_h3_the_shadow_sheds_and_live_does_not() -> None:
    """H3: with the queue full and a candidate that hangs, goodput is as without a shadow, and what is shed is counted."""
    with stage({"hangs": hang}, shadow={"queue": 20, "queue_bytes": 64 << 10, "timeout": 0.3}) as at:
        ratios = []
        for _ in range(TRIES):
            without = goodput(at, "plain")
            ratios.append(goodput(at, "hangs") / without)
            if ratios[-1] >= SHARE:
                break
        assert max(ratios) >= SHARE, ratios
        assert at.depth() <= 20
        large = "x" * (80 << 10)
        assert at.ask("hangs", messages=[{"role": "user", "content": large}])[0] == 200
        load.until(lambda: at.depth() == 0, 10, "an empty queue")
        time.sleep(1.1)
        found = load.numbers(at.gateway)
        shed = {r: found.get(f'shadow_dropped_total{{reason="{r}"}}', 0) for r in ("queue_full", "full")}
        assert shed["queue_full"] > 0 and shed["full"] >= 1, shed
        taken = found["shadow_captured_total"]
        assert taken == sum(at.counts("hangs").values())
        assert taken + sum(shed.values()) <= len(at.live.requests)
