"""Liveness and readiness on the data port. None of these calls a model, and no state of Redis turns readiness red while a
pointer copy exists on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.exchange import Outcome

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker

LIVENESS = ("/livez", "/health/liveliness")


def health(worker: Worker, life: Life) -> None:
    """Answer 200, or 503 with the reason while the worker should get no new requests."""
    reasons: list[str] = []
    if life.incoming.path not in LIVENESS:
        if worker.draining:
            reasons.append("draining")
        if not worker.store.pointers.known:
            reasons.append("no pointers: neither the store nor a copy on this host")
    status = 503 if reasons else 200
    told: dict[str, object] = {"status": "unavailable" if reasons else "ok", "reasons": reasons}
    if worker.meters.gone and life.incoming.path not in LIVENESS:
        # One release of many is no reason to take the worker out of service: every other worker would say the same.
        told["releases_unavailable"] = sorted(worker.meters.gone)
    body = msgspec.json.encode(told)
    life.status, life.outcome, life.sending = status, Outcome.OK, True
    life.incoming.start(status, b"content-type: application/json\r\ncache-control: no-store\r\n", len(body))
    life.incoming.send(body)
    life.incoming.finish()
