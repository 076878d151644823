"""The operation that probes a release for a change of behaviour, as a row of the one table (`admin.operations`).

Rule of the file: no logic, as there.
"""

from __future__ import annotations

import time
from typing import Any

from gateway.admin import asks
from gateway.admin.visit import Visit
from gateway.core.contract import probing
from gateway.core.contract.alias import EVERYONE
from gateway.sentinel.probes import Post, target, work

WORK_SECONDS = 120.0
"""Limit of a piece of work: it waits for the answers it asked for."""


async def _probe(visit: Visit, ask: asks.DriftProbe) -> probing.ProbeProgress:
    desk, begun = visit.desk, time.monotonic()
    state = await desk.alias(ask.alias)
    lane = state.lanes.get(EVERYONE) or next(iter(state.lanes.values()))
    clock = lambda: desk.now_ms + round((time.monotonic() - begun) * 1000)  # noqa: E731 - the wall clock as it goes on
    post = Post(desk.store, desk.settings, desk.data_port, clock)
    return await work(post, await target(post, ask.alias, ask.release or lane.release), begin=ask.begin)


def rows() -> tuple[tuple[Any, ...], ...]:
    """Name, method, path, right, request, answer, function, summary and its limit in seconds."""
    return (
        ("drift.probe", "POST", "/aliases/{alias}/probe", "rollout", asks.DriftProbe, probing.ProbeProgress, _probe, "Ask probe prompts for a few seconds, and tell how far the window is.", WORK_SECONDS),
    )  # fmt: skip
