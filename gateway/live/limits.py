"""Limits of keys and tenants on the way of a request: looked at when it is admitted, held while it runs, charged at its end.

Rule of the file: a caller without limits costs one look at an empty tuple. A run that is refused keeps its stamp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.exchange import Outcome, Usage
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.run import Source
from gateway.core.pinning.prices import cost
from gateway.live.costs import price_of

if TYPE_CHECKING:
    from gateway.live.life import Life

BYTES_PER_TOKEN = 4
"""Of a request or a whole answer, where nobody counted: English text has about four, JSON fewer."""
STREAM_BYTES_PER_TOKEN = 200
"""Of a stream: one event per token, each with its own envelope."""


def enter(life: Life) -> None:
    """Admit one more request of a limited caller. Raises Limited; then nothing was counted."""
    now, accounts = life.incoming.started, life.caller.accounts
    for account in accounts:
        account.check(now, life.at_ms)
    for account in accounts:
        account.count(now)
    life.held = 0


def hold(life: Life) -> None:
    """Hold a place for the run, and an estimate of the tokens that the request will turn out to be. Raises Limited."""
    named, tokens = life.source is not Source.NONE, len(life.body) // BYTES_PER_TOKEN
    for account in life.caller.accounts:
        account.hold(life.run, named=named, tokens=tokens, now=life.incoming.started)
        life.holding += 1
    life.held = tokens


def priced(life: Life) -> None:
    """Raise 403 `price_unknown` where money is limited and nobody knows what the model costs: unknown is not free."""
    if price_of(life) is None and any(account.limits.usd_per_day for account in life.caller.accounts):
        raise Fault(
            Kind.FORBIDDEN,
            "price_unknown",
            "This key may spend so much a day, and what this model costs is not known here. "
            "Set its price under `prices` of its provider in the configuration.",
            param="model",
            reason="price",
        )


def leave(life: Life, ended: float) -> None:
    """Charge what the request used, and free what was held for it."""
    tokens, price = used(life)
    loose = life.source is Source.NONE
    for at, account in enumerate(life.caller.accounts):
        held = at < life.holding
        account.left(
            ended,
            life.at_ms,
            loose=loose and held,
            reserved=life.held if held else 0,
            used=(tokens, price),
        )
    life.held = -1


def used(life: Life) -> tuple[int, int]:
    """Tokens and cost of a request: the provider's count, or an estimate by size where it answered and did not count to the end.

    So a stream that was asked for without its usage, or that the client left before its end, is not free.
    """
    observed, answer, envelope = life.observed, life.answer, life.envelope
    usage = observed.usage if observed is not None else None
    if usage is not None and (life.outcome is Outcome.OK or envelope is None or not envelope.stream):
        return usage.input + usage.output, life.cost or 0
    if answer is None or answer.out.status >= 400 or envelope is None or not _generates(life):
        return 0, 0
    wrote = life.incoming.sent // (STREAM_BYTES_PER_TOKEN if envelope.stream else BYTES_PER_TOKEN)
    if usage is None:
        usage = Usage(len(life.body) // BYTES_PER_TOKEN, wrote)
    elif wrote > usage.output:
        usage = msgspec.structs.replace(usage, output=wrote)
    price = price_of(life)
    return usage.input + usage.output, cost(usage, price) if price is not None else 0


def _generates(life: Life) -> bool:
    return life.route is not None and life.route.generates
