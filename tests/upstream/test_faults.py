"""Every failure of a provider call as a Fault."""

from __future__ import annotations

import pytest

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Side
from gateway.upstream.faults import UpstreamError, broken_open, failed, redirected
from gateway.wire.errors import ConnectFailed, DeadlineExceeded, UpstreamBroken, UpstreamLost


@pytest.mark.parametrize(
    ("error", "status", "code", "kind", "retry", "outcome"),
    [
        (ConnectFailed("refused"), 502, "upstream_connect", "connect", True, Outcome.REFUSED),
        (ConnectFailed("dns"), 502, "upstream_connect", "connect", True, Outcome.REFUSED),
        (ConnectFailed("tls"), 502, "upstream_connect", "connect", True, Outcome.REFUSED),
        (ConnectFailed("whatever"), 502, "upstream_connect", "connect", True, Outcome.REFUSED),
        (UpstreamLost(sent=False, began=False), 502, "upstream_connect", "connect", True, Outcome.REFUSED),
        (UpstreamLost(sent=True, began=False), 502, "maybe_sent", "stale", False, Outcome.MAYBE_SENT),
        (UpstreamLost(sent=True, began=True), 502, "maybe_sent", "stale", False, Outcome.MAYBE_SENT),
        (UpstreamBroken("framing"), 502, "upstream_protocol", "shape", False, Outcome.PROVIDER_ERROR),
        (DeadlineExceeded("connect"), 503, "upstream_busy", "busy", True, Outcome.REFUSED),
        (DeadlineExceeded("first_byte"), 504, "upstream_timeout", "ttfb", False, Outcome.TIMEOUT),
        (DeadlineExceeded("between_chunks"), 504, "upstream_timeout", "body", False, Outcome.TIMEOUT),
        (DeadlineExceeded("total"), 504, "upstream_timeout", "total", False, Outcome.TIMEOUT),
    ],
)
def test_each_failure_has_its_fault(
    error: UpstreamError, status: int, code: str, kind: str, retry: bool, outcome: Outcome
) -> None:
    """Status, code and the word to the SDK follow from what happened; only an unsent request may be retried."""
    fault = failed(error)
    assert (fault.status, fault.code, fault.failure, fault.retry, fault.outcome) == (status, code, kind, retry, outcome)
    assert fault.side is Side.PROVIDER
    assert fault.retry is not fault.sent
    assert fault.message.endswith(".")


def test_c6_redirect() -> None:
    """A redirect is a fault of the provider's address, and no retry helps."""
    fault = redirected()
    assert (fault.status, fault.code, fault.failure, fault.retry) == (502, "upstream_redirect", "redirect", False)


def test_d11_open_breaker_says_when() -> None:
    """An open breaker tells how long to wait, at least a second."""
    assert broken_open(7.2).retry_after == 7.2
    fault = broken_open(0.1)
    assert (fault.status, fault.code, fault.retry, fault.retry_after) == (503, "breaker_open", True, 1.0)
