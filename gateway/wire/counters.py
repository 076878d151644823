"""Counters of this room: plain integers, rendered by someone else when asked. Counting costs one addition."""

from __future__ import annotations


class WireCounters:
    """What happened on the client-facing side of one process since it started.

    `rejected` by reason of BadMessage; `client_timeouts` by phase (head, idle, body, write, linger);
    `disconnects` by phase of ClientGone (and "head").
    """

    __slots__ = (
        "accepted",
        "client_timeouts",
        "disconnects",
        "handler_errors",
        "rejected",
        "requests",
    )

    def __init__(self) -> None:
        self.accepted = 0
        self.requests = 0
        self.handler_errors = 0
        self.rejected: dict[str, int] = {}
        self.client_timeouts: dict[str, int] = {}
        self.disconnects: dict[str, int] = {}

    def reject(self, reason: str) -> None:
        """Count one refused message."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def timeout(self, phase: str) -> None:
        """Count one client that was too slow."""
        self.client_timeouts[phase] = self.client_timeouts.get(phase, 0) + 1

    def disconnect(self, phase: str) -> None:
        """Count one client that left before its answer was whole."""
        self.disconnects[phase] = self.disconnects.get(phase, 0) + 1
