"""Phase 5, forward: one call inside the bound release. Retries and limits are the upstream room's; no other model is ever tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.live.view import LIVE
from gateway.upstream.call import Ask

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.wire.client import BodyStream


async def forward(worker: Worker, life: Life, body: bytes | BodyStream | None) -> None:
    """Set `ask` and `answer`; the answer's head has come when this returns. Raises Fault."""
    incoming, route, stamp = life.incoming, life.route, life.stamp
    assert route is not None
    retries = incoming.fields.get(b"x-stainless-retry-count", b"0")
    ask = Ask(
        provider=life.provider,
        model=stamp.model.partition("/")[2] if stamp is not None else "",
        method=incoming.method,
        path=life.path or route.path,
        query=incoming.query,
        headers=incoming.headers,
        body=body,
        credential=life.credential,
        retryable=isinstance(body, bytes),
        generation=route.generates,
        client_retry=int(retries[:4]) if retries.isdigit() else 0,
        spread=life.spread,
        memo=incoming.memo,
    )
    if life.caller.role is not LIVE:
        ask.own = True
    life.forwarded = worker.clock()
    life.answer = await worker.upstreams.call(ask)
    life.first_byte = life.answer.out.first_byte_at
