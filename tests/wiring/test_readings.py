"""Numbers of rooms under the names of the metric table."""

from __future__ import annotations

import msgspec

from gateway.admin.audit import Audit
from gateway.live.ledger import Ledger
from gateway.settings.model import Settings
from gateway.store.counters import StoreCounters
from gateway.telemetry.counters import Registry
from gateway.wire.counters import WireCounters
from gateway.wiring import readings


def test_every_reading_is_in_the_metric_table() -> None:
    """A registry takes them all: names and label counts fit, whatever was counted."""
    wire, store = WireCounters(), StoreCounters()
    wire.reject("framing")
    wire.reject("connections")
    wire.timeout("head")
    store.stamps.error("timeout")
    store.dropped("full", 3)
    store.log_error("enospc")
    store.pointer_age = 0.2
    registry = Registry()
    registry.source(readings.wire(wire, lambda: 5))
    registry.source(readings.store(store))
    numbers = registry.snapshot().numbers
    assert numbers["connections"] == [((), 5)]
    assert numbers["conn_rejected_total"] == [((), 1)]
    assert (("framing",), 1) in numbers["rejected_total"]
    assert numbers["journal_dropped_total"] == [(("full",), 3)]
    assert numbers["redis_errors_total"] == [(("stamps", "timeout"), 1)]
    assert numbers["wal_errors_total"] == [((), 1)]


def test_tenants_with_limits_are_told_by_name() -> None:
    """A tenant is a label only where the configuration names it; any other folds."""
    ledger, registry = Ledger(), Registry()
    tenants = {"acme": {"limits": {"requests_per_minute": 5}}, "free": {}}
    settings = msgspec.convert({"tenants": tenants}, Settings)
    ledger.renew(settings)
    registry.know("tenant", settings.tenants)
    registry.source(readings.limits(ledger))
    assert registry.snapshot().numbers["tenant_inflight"] == [(("acme",), 0)]


def test_audit_becomes_rollbacks_and_promotions() -> None:
    """Moves by result, refusals of rights; other actions are in the log only."""
    audit = Audit()
    done = (("rollback", "done"), ("rollout.promote", "gate_not_green"), ("gate.finish", "NO-GO"))
    for action, result in (*done, ("status", "right_missing")):
        audit.write("a", action, {}, result)
    registry = Registry()
    registry.source(readings.audit(audit))
    numbers = registry.snapshot().numbers
    assert numbers["rollbacks_total"] == [(("done",), 1)]
    assert numbers["promotions_total"] == [(("gate_not_green",), 1)]
    assert numbers["gate_verdicts_total"] == [(("gateway", "NO-GO"), 1)]
    assert numbers["authz_denied_total"] == [(("admin",), 1)]


def test_unknown_pointer_age_is_not_shown() -> None:
    """A host that never heard of pointers shows no age, rather than -1."""
    registry = Registry()
    registry.source(readings.store(StoreCounters()))
    assert "pointer_age_seconds" not in registry.snapshot().numbers
