"""The one object that crosses the phases of a request: named fields, filled phase by phase, read by `record` at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.alias import AliasState, Arm
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.run import Pin, Source

if TYPE_CHECKING:
    from gateway.core.contract.exchange import Observed
    from gateway.core.contract.release import Release
    from gateway.core.contract.run import Stamp, Ticket
    from gateway.core.dialect.base import Decoder, Dialect, Envelope
    from gateway.core.dialect.routes import Route
    from gateway.live.worker import Caller, View
    from gateway.store.bind import Bound
    from gateway.upstream.call import Answer, Ask
    from gateway.upstream.faults import UpstreamFault
    from gateway.wire.exchange import Incoming


class Life:
    """One request from admission to record."""

    __slots__ = (
        "alias",
        "answer",
        "ask",
        "asked",
        "at_ms",
        "body",
        "bound",
        "caller",
        "code",
        "credential",
        "decoder",
        "dialect",
        "envelope",
        "excerpt",
        "failed",
        "first_byte",
        "flags",
        "forwarded",
        "headers",
        "id",
        "incoming",
        "label",
        "observed",
        "outcome",
        "pin",
        "provider",
        "release",
        "resume",
        "route",
        "run",
        "sending",
        "source",
        "stamp",
        "state",
        "status",
        "ticket",
        "view",
    )

    def __init__(self, view: View, incoming: Incoming, request_id: str, at_ms: int) -> None:
        self.view = view
        self.incoming = incoming
        self.id = request_id
        self.at_ms = at_ms
        # admit
        self.caller: Caller = view.open_caller
        self.credential: bytes | None = None
        # identify
        self.route: Route | None = None
        self.dialect: Dialect | None = None
        self.envelope: Envelope | None = None
        self.body: bytes = b""
        self.asked = ""
        self.alias = ""
        self.state: AliasState | None = None
        self.provider = ""
        self.run = ""
        self.source = Source.NONE
        self.resume = False
        self.ticket: Ticket | None = None
        self.label = ""
        # bind
        self.pin = Pin.UNKNOWN
        self.stamp: Stamp | None = None
        self.bound: Bound | None = None
        self.release: Release | None = None
        # rewrite, forward
        self.ask: Ask | None = None
        self.answer: Answer | None = None
        self.failed: UpstreamFault | None = None
        self.forwarded = 0.0
        self.first_byte = 0.0
        # relay
        self.headers = b""
        self.decoder: Decoder | None = None
        self.observed: Observed | None = None
        self.sending = False
        self.status = 0
        self.outcome = Outcome.FAULT
        self.code = ""
        self.excerpt = ""
        self.flags: tuple[str, ...] = ()

    @property
    def arm(self) -> Arm:
        """Which side of a split the run is on."""
        return self.stamp.arm if self.stamp is not None else Arm.STABLE
