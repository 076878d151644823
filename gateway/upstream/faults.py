"""Every way a provider call can fail, become a Fault once: here.

The rule that matters most: `retry` (what `x-should-retry` will say) is true only when nothing was sent, because a provider
that may have worked on a request may bill and answer it twice.
"""

from __future__ import annotations

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.wire.errors import ConnectFailed, DeadlineExceeded, UpstreamBroken, UpstreamLost

UpstreamError = ConnectFailed | UpstreamLost | UpstreamBroken | DeadlineExceeded


class UpstreamFault(Fault):
    """A Fault of a provider call, with what the journal wants to know.

    `outcome` of the exchange, `failure` is the label `kind` of `upstream_errors_total`, `sent` says whether the provider
    may have seen the request, `word` is the attempt's in the journal, `attempts` and `attempt_log` (one word per failed attempt) are filled in by the call.
    """

    def __init__(
        self,
        kind: Kind,
        code: str,
        message: str,
        *,
        outcome: Outcome,
        failure: str,
        sent: bool,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(kind, code, message, side=Side.PROVIDER, retry=not sent, retry_after=retry_after)
        self.outcome = outcome
        self.failure = failure
        self.sent = sent
        self.word = "maybe_sent" if outcome is Outcome.MAYBE_SENT else failure
        self.attempts = 1
        self.attempt_log: tuple[str, ...] = ()
        self.endpoint = ""


_CONNECT = {
    "refused": "The provider refused the connection; nothing was sent.",
    "dns": "The provider's host name could not be resolved; nothing was sent.",
    "tls": "The TLS handshake with the provider failed; nothing was sent.",
    "timeout": "The provider did not accept a connection in time; nothing was sent.",
}
_LIMITS = {
    "first_byte": ("ttfb", "The provider did not begin its answer in time."),
    "between_chunks": ("body", "The provider stopped in the middle of its answer."),
    "total": ("total", "The provider did not finish its answer in time."),
}


def failed(error: UpstreamError) -> UpstreamFault:
    """The Fault of a call that brought no answer, by what the wire says of it."""
    if isinstance(error, ConnectFailed):
        return refused(_CONNECT.get(error.kind, "The provider could not be reached; nothing was sent."))
    if isinstance(error, DeadlineExceeded):
        return _late(error)
    if isinstance(error, UpstreamBroken):
        return protocol("The provider's answer is not HTTP that the gateway accepts.")
    if not error.sent:
        return refused("The provider closed the connection before anything was sent.")
    return UpstreamFault(
        Kind.UPSTREAM,
        "maybe_sent",
        "The connection to the provider was lost after the request may have reached it. It was not sent again.",
        outcome=Outcome.MAYBE_SENT,
        failure="stale",
        sent=True,
    )


def refused(message: str) -> UpstreamFault:
    """The provider could not be called at all."""
    return UpstreamFault(
        Kind.UPSTREAM, "upstream_connect", message, outcome=Outcome.REFUSED, failure="connect", sent=False
    )


def protocol(message: str) -> UpstreamFault:
    """The provider answered with something that is not its API."""
    return UpstreamFault(
        Kind.UPSTREAM, "upstream_protocol", message, outcome=Outcome.PROVIDER_ERROR, failure="shape", sent=True
    )


def redirected() -> UpstreamFault:
    """The provider wants the request elsewhere; keys and prompts go where the configuration says, and nowhere else."""
    return UpstreamFault(
        Kind.UPSTREAM,
        "upstream_redirect",
        "The provider answered with a redirect, which is not followed. Check the provider's base_url.",
        outcome=Outcome.PROVIDER_ERROR,
        failure="redirect",
        sent=True,
    )


def broken_open(wait: float) -> UpstreamFault:
    """The breaker is open; `wait` seconds until somebody may try again."""
    return UpstreamFault(
        Kind.OVERLOADED,
        "breaker_open",
        "The provider failed several times in a row for this model; calls are held back for a moment.",
        outcome=Outcome.REFUSED,
        failure="breaker",
        sent=False,
        retry_after=max(1.0, wait),
    )


def _late(error: DeadlineExceeded) -> UpstreamFault:
    if error.phase == "connect":
        return UpstreamFault(
            Kind.OVERLOADED,
            "upstream_busy",
            "All connections to the provider were in use; nothing was sent. Raise `connections` of the provider.",
            outcome=Outcome.REFUSED,
            failure="busy",
            sent=False,
            retry_after=1.0,
        )
    failure, message = _LIMITS.get(error.phase, _LIMITS["total"])
    return UpstreamFault(Kind.TIMEOUT, "upstream_timeout", message, outcome=Outcome.TIMEOUT, failure=failure, sent=True)
