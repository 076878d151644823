"""The one object that crosses the phases of a request: named fields, filled phase by phase, read by `record` at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.run import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gateway.core.contract.alias import AliasState
    from gateway.core.contract.exchange import Observed
    from gateway.core.contract.prompt import Value
    from gateway.core.contract.release import Release
    from gateway.core.contract.run import Stamp, Ticket
    from gateway.core.dialect.base import Decoder, Dialect, Envelope
    from gateway.core.dialect.legs import Legs
    from gateway.core.dialect.routes import Route
    from gateway.live.capture import Copy
    from gateway.live.view import Caller, View
    from gateway.store.bind import Bound
    from gateway.upstream.call import Answer
    from gateway.upstream.choice import Spread
    from gateway.upstream.faults import UpstreamFault
    from gateway.wire.exchange import Incoming


@dataclass(slots=True, eq=False)
class Life:
    """One request from admission to record. Slots: a table of so many fields would be laid out anew for every request."""

    view: View
    incoming: Incoming
    id: str
    at_ms: int
    # admit
    caller: Caller = field(init=False)
    credential: bytes | None = None
    held: int = -1
    """Tokens held for a limited caller until the true ones are known; -1 while it is in no account."""
    holding: int = 0
    """How many of its accounts hold them."""
    # identify
    route: Route | None = None
    dialect: Dialect | None = None
    envelope: Envelope | None = None
    body: bytes = b""
    asked: str = ""
    alias: str = ""
    state: AliasState | None = None
    provider: str = ""
    run: str = ""
    source: Source = Source.NONE
    resume: bool = False
    keeper: str = ""
    """The endpoint that keeps the provider state which the request brings."""
    ticket: Ticket | None = None
    label: str = ""
    # bind
    stamp: Stamp | None = None
    bound: Bound | None = None
    release: Release | None = None
    barred: str = ""
    """Why the run cannot take a rollout's candidate."""
    drifted: str = ""
    """Drift epoch for which a strict alias takes no new run on the release it would get."""
    legs: Legs | None = None
    """None when prompt and tools pass as sent."""
    variables: Mapping[str, Value] | None = None
    """Prompt variables, once somebody asked for them."""
    tools_sent: str = ""
    """sha256 of the tools as sent, once somebody asked for it."""
    # rewrite
    path: str = ""
    """At the provider; empty until known, then the route's own serves."""
    spread: Spread | None = None
    """Set only where the provider has several endpoints."""
    # forward
    answer: Answer | None = None
    failed: UpstreamFault | None = None
    forwarded: float = 0.0
    first_byte: float = 0.0
    # relay
    copy: Copy | None = None
    """Of the answer, for the shadow, and for what is read in it when it has left (`live.checks`)."""
    decoder: Decoder | None = None
    observed: Observed | None = None
    sending: bool = False
    events: bool = False
    """The answer is sent as events, so an error can be one."""
    status: int = 0
    outcome: Outcome = Outcome.FAULT
    code: str = ""
    excerpt: str = ""
    flags: tuple[str, ...] = ()
    # record
    cost: int | None = None

    def __post_init__(self) -> None:
        self.caller = self.view.open_caller
