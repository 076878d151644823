"""Numbers that rooms keep as plain integers, as the metric table names them. Read once a second, never on a request's way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

from gateway.store.counters import LineCounters, StoreCounters
from gateway.telemetry.counters import Reading
from gateway.wire.counters import WireCounters

if TYPE_CHECKING:
    from gateway.admin.audit import Audit
    from gateway.live.ledger import Ledger

VERDICTS = MappingProxyType({"gate.finish": "gateway", "evidence.import": "imported"})
"""Actions that end with a verdict of the gate, to the origin of the evidence that was added."""


def wire(counters: WireCounters, connections: Callable[[], int]) -> Callable[[], Iterable[Reading]]:
    """A source over the listening side of a live worker."""

    def read() -> Iterator[Reading]:
        yield "connections", (), connections()
        yield "handler_errors_total", (), counters.handler_errors
        yield "conn_rejected_total", (), counters.rejected.get("connections", 0)
        for reason, count in counters.rejected.items():
            yield "rejected_total", (reason,), count
        for phase, count in counters.client_timeouts.items():
            yield "client_timeout_total", (phase,), count

    return read


def store(counters: StoreCounters) -> Callable[[], Iterable[Reading]]:
    """A source over the store's live side."""

    def read() -> Iterator[Reading]:
        yield from _line("stamps", counters.stamps)
        yield from _line("bulk", counters.bulk)
        yield "stamp_conflicts_total", (), counters.conflicts
        yield "stamp_repaired_total", (), counters.stamps_repaired
        yield "stamp_wal_pending", (), counters.log_pending
        yield "wal_replayed_total", (), counters.log_replayed
        yield "wal_bad_records_total", (), counters.log_bad
        yield "wal_errors_total", (), sum(counters.log_errors.values())
        yield "store_lost", (), counters.store_lost
        yield "lease_expired", (), counters.lease_expired
        if counters.pointer_age >= 0:
            yield "pointer_age_seconds", (), counters.pointer_age
        for kind, count in counters.bulk_dropped.items():
            yield "journal_dropped_total", (kind,), count
        if counters.shadow.connects or counters.shadow_dropped:
            yield from _line("shadow", counters.shadow)
            yield "shadow_queued", (), counters.shadow_queued
            yield "shadow_captured_total", (), counters.shadow_taken
            for reason, count in counters.shadow_dropped.items():
                yield "shadow_dropped_total", (reason,), count

    return read


def limits(ledger: Ledger) -> Callable[[], Iterable[Reading]]:
    """A source over the tenants that have limits."""

    def read() -> Iterator[Reading]:
        for tenant, count in ledger.tenants.items():
            yield "tenant_inflight", (tenant,), count

    return read


def audit(counters: Audit) -> Callable[[], Iterable[Reading]]:
    """A source over what was done on the admin port."""

    def read() -> Iterator[Reading]:
        yield "authz_denied_total", ("admin",), counters.denied
        yield "handler_errors_total", (), counters.failed
        for (action, result), count in counters.results.items():
            if action == "rollback":
                yield "rollbacks_total", (result,), count
            elif action in ("rollout.promote", "alias.apply"):
                yield "promotions_total", (result,), count
            elif action in VERDICTS:
                yield "gate_verdicts_total", (VERDICTS[action], result), count
            elif action == "tenant.erase" and result != "going_on":
                yield "erasures_total", (result,), count

    return read


def _line(name: str, counters: LineCounters) -> Iterator[Reading]:
    yield "redis_up", (name,), counters.up
    yield "redis_breaker_state", (name,), counters.breaker
    for kind, count in counters.errors.items():
        yield "redis_errors_total", (name, kind), count
