"""What a live worker is made of while it serves: the current view, and the rooms that a request passes through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.live.identity import Identities
    from gateway.live.meters import Meters
    from gateway.live.notice import Notices
    from gateway.live.view import View
    from gateway.store.live import LiveStore
    from gateway.upstream.call import Upstreams
from gateway.live.checks import Checks
from gateway.wire.deadlines import Sweeper


@dataclass(slots=True)
class Worker:
    """One live worker: the current view and the rooms that a request passes through."""

    view: View
    store: LiveStore
    upstreams: Upstreams
    meters: Meters
    now_ms: Callable[[], int]
    """Wall clock in milliseconds since the epoch: for stamps and journal entries, never for deadlines."""
    clock: Callable[[], float]
    """Monotonic seconds of the event loop."""
    request_id: Callable[[], str]
    """A new id, unique over workers and restarts, ordered within a worker."""
    sweeper: Sweeper = field(default_factory=Sweeper)
    """Looks after the heartbeats of silent streams."""
    learner: Learner | None = None
    notices: Notices | None = None
    """Notices which prompts and toolsets are sent."""
    identities: Identities | None = None
    """Tells who answers."""
    checks: Checks = field(default_factory=Checks)
    """Reads answers of runs in a rollout when they have left."""
    draining: bool = False


class Learner:
    """Port: notes the first answers to floating names that have no alias (`live.learn` implements it)."""

    __slots__ = ()

    def saw(self, view: View, provider: str, asked: str, answered: str, credential: bytes | None) -> None:
        """A floating name was answered; never blocks, never raises."""
        raise NotImplementedError
