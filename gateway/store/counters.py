"""What the live side of the store counts: plain integers, read at scrape. No label look-up happens on the hot path."""

from __future__ import annotations


class LineCounters:
    """One connection to the store."""

    __slots__ = ("breaker", "connects", "errors", "up")

    def __init__(self) -> None:
        self.up = 0
        """1 while commands are sent."""
        self.breaker = 0
        """0 closed, 1 half-open (a probe is under way), 2 open."""
        self.connects = 0
        self.errors: dict[str, int] = {}
        """By kind: timeout, closed, refused, desync, readonly, loading, noauth, moved, misconf, oom, ..."""

    def error(self, kind: str) -> None:
        """Count one error."""
        self.errors[kind] = self.errors.get(kind, 0) + 1


class StoreCounters:
    """Everything the live side of the store counts. Ages are seconds, `-1` while unknown."""

    __slots__ = (
        "bulk",
        "bulk_dropped",
        "bulk_queued",
        "bulk_sent",
        "conflicts",
        "lease_expired",
        "links_missed",
        "links_unknown",
        "log_appended",
        "log_bad",
        "log_errors",
        "log_evicted",
        "log_fsync_max_ms",
        "log_fsync_ms",
        "log_fsyncs",
        "log_pending",
        "log_replayed",
        "pointer_age",
        "pointer_errors",
        "pointer_updates",
        "shadow",
        "shadow_dropped",
        "shadow_queued",
        "shadow_taken",
        "stamps",
        "stamps_missing",
        "stamps_new",
        "stamps_offline",
        "stamps_repaired",
        "stamps_resumed",
        "stamps_ticket_only",
        "store_lost",
    )

    def __init__(self) -> None:
        self.stamps = LineCounters()
        self.bulk = LineCounters()
        self.stamps_new = 0
        self.stamps_resumed = 0
        self.stamps_missing = 0
        """Resumes refused with 409 because no stamp was found anywhere."""
        self.stamps_offline = 0
        """Bindings made while the store was out of reach."""
        self.stamps_ticket_only = 0
        """Bindings that neither the store nor the host log could take."""
        self.stamps_repaired = 0
        """Stamps the store had lost and got back from a ticket, this process or the host log."""
        self.conflicts = 0
        """Two bindings of one run met; the earlier one stands."""
        self.links_missed = 0
        self.links_unknown = 0
        """Look-ups that could not ask the store."""
        self.log_appended = 0
        self.log_pending = 0
        """Records written while the store was out of reach and not yet replayed by this process."""
        self.log_replayed = 0
        self.log_bad = 0
        """Torn or corrupt stretches met while reading."""
        self.log_evicted = 0
        """Segments removed because of `store.log_bytes`."""
        self.log_fsyncs = 0
        self.log_fsync_ms = 0.0
        self.log_fsync_max_ms = 0.0
        self.log_errors: dict[str, int] = {}
        self.bulk_queued = 0
        self.bulk_sent = 0
        self.bulk_dropped: dict[str, int] = {}
        """Records by reason: full, lost (sent, answer never came), refused."""
        self.pointer_age = -1.0
        self.pointer_updates = 0
        self.pointer_errors: dict[str, int] = {}
        self.store_lost = 0
        self.lease_expired = 0
        """1 while a rollout has a weight that is not in force here: its control process or the store is silent."""
        self.shadow = LineCounters()
        self.shadow_queued = 0
        self.shadow_taken = 0
        """Captured exchanges that the store has."""
        self.shadow_dropped: dict[str, int] = {}
        """Exchanges chosen for a shadow that it never got, by reason: full, queue_full, too_large, redis_oom, ..."""

    def unshadowed(self, reason: str, count: int = 1) -> None:
        """Count exchanges that the shadow will not get."""
        self.shadow_dropped[reason] = self.shadow_dropped.get(reason, 0) + count

    def dropped(self, reason: str, count: int = 1) -> None:
        """Count bulk records that will not be written."""
        self.bulk_dropped[reason] = self.bulk_dropped.get(reason, 0) + count

    def log_error(self, kind: str) -> None:
        """Count a host log failure."""
        self.log_errors[kind] = self.log_errors.get(kind, 0) + 1

    def pointer_error(self, kind: str) -> None:
        """Count a pointer that could not be read or was refused."""
        self.pointer_errors[kind] = self.pointer_errors.get(kind, 0) + 1
