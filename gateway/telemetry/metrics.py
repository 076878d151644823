"""Every metric of the gateway, in one table. `docs/metrics.md` documents each, and a test keeps the two in step.

Base units (seconds, bytes). Never a run, user or session id in a label, and a tenant only where its name stands under
`tenants` of the configuration; a label whose values come from outside is
bounded in `LABELS`, and what exceeds the bound folds into `other`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "trivet_"
OTHER = "other"


class Type(StrEnum):
    """Prometheus type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Across(StrEnum):
    """How a gauge of several processes becomes one value."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. `name` is without prefix."""

    name: str
    type: Type
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    across: Across = Across.SUM

    @property
    def full(self) -> str:
        """The name as scraped."""
        return PREFIX + self.name


@dataclass(frozen=True, slots=True)
class Label:
    """How many different values a label may take in one process; `known` lets in only names said to be known."""

    limit: int
    known: bool = False


LABELS: dict[str, Label] = {
    "alias": Label(2000, known=True),
    "model": Label(200),
    "snapshot": Label(200),
    "release": Label(4000),
    "lane": Label(2000),
    "provider": Label(100, known=True),
    "version": Label(50),
    "tenant": Label(200, known=True),
}
"""Labels that can grow. An alias that nobody declared is a name a client made up, so only names given to `Registry.know`
stand for themselves. Every other label takes words from the code only, and is bounded all the same (`DEFAULT_LIMIT`)."""
DEFAULT_LIMIT = 64

_FAST = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)
_SLOW = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name.removeprefix(PREFIX), Type.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str, across: Across = Across.SUM) -> Metric:
    return Metric(name.removeprefix(PREFIX), Type.GAUGE, text, labels, across=across)


def _histogram(name: str, text: str, *labels: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name.removeprefix(PREFIX), Type.HISTOGRAM, text, labels, buckets)


_REQUESTS = (
    _counter("trivet_requests_total", "Requests answered.", "alias", "release", "arm", "status_class"),
    _counter("trivet_requests_by_source_total", "Requests by where their run id came from.", "source"),
    _counter("trivet_outcomes_total", "Exchanges by how they ended.", "alias", "outcome"),
    _histogram(
        "trivet_overhead_seconds", "Time a request spent in the gateway, everything but the provider.", buckets=_FAST
    ),
    _histogram("trivet_first_byte_seconds", "Request complete to first byte of the answer.", "provider", buckets=_SLOW),
    _histogram("trivet_request_seconds", "Request complete to end of the answer.", "provider", buckets=_SLOW),
    _gauge("trivet_in_flight", "Requests in flight."),
    _gauge("trivet_connections", "Open client connections."),
    _counter("trivet_tokens_total", "Tokens as providers count them.", "alias", "release", "role", "kind"),
    _counter("trivet_cost_usd_total", "What they cost by the price table, in US dollars.", "alias", "release", "role"),
    _counter("trivet_unpriced_total", "Exchanges with tokens whose price is unknown.", "alias", "release", "role"),
    _counter("trivet_limited_total", "Requests refused by a limit of their key or tenant.", "limit", "scope"),
    _gauge("trivet_tenant_inflight", "Requests in flight of a tenant that has limits.", "tenant"),
    _counter("trivet_rejected_total", "Requests refused before any provider was called.", "reason"),
    _counter("trivet_auth_total", "Credentials checked.", "result"),
    _counter("trivet_authz_denied_total", "Requests without the right they need.", "right"),
    _counter("trivet_client_timeout_total", "Clients that were too slow.", "phase"),
    _counter("trivet_client_disconnect_total", "Clients that left before their answer was whole.", "phase"),
    _counter("trivet_conn_rejected_total", "Connections refused over the connection cap."),
    _counter("trivet_handler_errors_total", "Requests that met an error nobody expected."),
    _counter("trivet_heartbeats_total", "Comments sent into silent streams."),
    _counter("trivet_stream_aborts_total", "Streams ended uncleanly, by who broke them and why.", "side", "reason"),
)

_RUNS = (
    _counter("trivet_runs_bound_total", "Runs bound to a release.", "alias", "release", "arm", "pin"),
    _counter("trivet_stamp_conflicts_total", "Bindings that lost to an earlier one."),
    _counter("trivet_stamp_missing_total", "Resumes whose stamp was nowhere."),
    _counter("trivet_stamp_rejected_total", "Tickets refused.", "reason"),
    _counter("trivet_stamp_repaired_total", "Stamps the store had lost and got back from a log or ticket."),
    _counter("trivet_floating_requests_total", "Requests served by a floating model.", "alias"),
    _counter("trivet_unmanaged_total", "Requests for a model name that is no alias, by what became of them.", "result"),
    _counter("trivet_learned_total", "Attempts to learn a pin for a floating name.", "result"),
    _counter(
        "trivet_unchecked_total",
        "Answers of runs in a rollout or of a watched alias that were not read once more.",
        "alias",
        "reason",
    ),
    _counter("trivet_ineligible_total", "New runs that a rollout's candidate could not take.", "alias", "reason"),
    _counter("trivet_undeclared_total", "Requests whose prompt or tools the release does not declare.", "alias", "leg"),
    _gauge(
        "trivet_undeclared_templates",
        "Templates and toolsets that no release declares.",
        "alias",
        "leg",
        across=Across.MAX,
    ),
    _counter("trivet_model_mismatch_total", "Answers from another model than the pinned one.", "alias", "release"),
)

_PROVIDERS = (
    _counter("trivet_upstream_requests_total", "Calls to providers, each attempt counted.", "provider", "status_class"),
    _counter("trivet_upstream_errors_total", "Calls to providers that failed.", "provider", "kind"),
    _counter("trivet_retries_total", "Calls that the gateway repeated itself.", "provider", "kind"),
    _counter("trivet_failovers_total", "Calls at another endpoint than the run's own.", "provider", "kind"),
    _counter("trivet_retry_budget_exhausted_total", "Calls not repeated because the budget was spent.", "provider"),
    _gauge("trivet_breaker_state", "0 closed, 1 half open, 2 open.", "provider", "model", across=Across.MAX),
    _gauge("trivet_upstream_connections", "Connections to providers.", "provider", "state"),
    _gauge(
        "trivet_release_unavailable",
        "1 while the provider says the pinned model is gone.",
        "release",
        across=Across.MAX,
    ),
)

_STORE = (
    _gauge("trivet_redis_up", "1 while the store answers.", "line", across=Across.MIN),
    _gauge("trivet_redis_breaker_state", "0 closed, 1 half open, 2 open.", "line", across=Across.MAX),
    _counter("trivet_redis_errors_total", "Store commands that failed.", "line", "kind"),
    _counter("trivet_redis_commands_total", "Store commands sent.", "line"),
    _histogram("trivet_bind_seconds", "Time to bind a run durably.", buckets=_FAST),
    _gauge("trivet_redis_unsafe_config", "1 when the store may evict or lose stamps.", across=Across.MAX),
    _gauge("trivet_store_lost", "1 while an empty or changed store is not believed.", across=Across.MAX),
    _gauge("trivet_lease_expired", "1 while a rollout's weight is not in force here, unconfirmed.", across=Across.MAX),
    _gauge("trivet_pointer_age_seconds", "Age of the newest word from the store about pointers.", across=Across.MAX),
    _gauge("trivet_pointer_version", "Version of an alias that the slowest worker serves.", "alias", across=Across.MIN),
    _gauge(
        "trivet_active_release", "1 for the release a lane points at.", "alias", "lane", "release", across=Across.MAX
    ),
    _gauge("trivet_workers_behind", "Workers that have not acknowledged the newest pointers.", across=Across.MAX),
    _counter("trivet_journal_dropped_total", "Entries dropped because the store did not take them.", "kind"),
    _gauge("trivet_stamp_wal_pending", "Stamps in the host log that the store has not acknowledged."),
    _counter("trivet_wal_replayed_total", "Stamps of the host log written to the store after a reconnect."),
    _counter("trivet_wal_bad_records_total", "Records of the host log that were cut or damaged."),
    _counter("trivet_wal_errors_total", "Writes to the host log that failed."),
    _histogram("trivet_wal_fsync_seconds", "Time of an fsync of the host log.", buckets=_FAST),
    _counter("trivet_shadow_captured_total", "Exchanges handed over to the shadow's queue."),
    _counter(
        "trivet_shadow_dropped_total", "Exchanges chosen for a shadow that its queue never got, by reason.", "reason"
    ),
    _gauge("trivet_shadow_queued", "Captured exchanges that the store has not taken yet."),
    _counter("trivet_shadow_total", "Shadow jobs that came to an end, by what they became.", "outcome"),
    _counter("trivet_shadow_skips_total", "Shadow jobs that could not become a pair, by reason.", "reason"),
    _counter("trivet_shadow_deadletter_total", "Shadow jobs that failed every time."),
    _counter("trivet_shadow_stale_total", "Shadow jobs that nobody worked on within an hour."),
    _counter("trivet_shadow_errors_total", "Shadow jobs that failed once and are delivered again."),
    _counter("trivet_shadow_waits_total", "Times a shadow job had to wait, by reason.", "reason"),
    _gauge("trivet_shadow_depth", "Jobs in the shadow's queue.", across=Across.MAX),
    _gauge("trivet_shadow_age_seconds", "Age of the oldest job in the shadow's queue.", across=Across.MAX),
    _gauge("trivet_shadow_paused", "1 while no shadow call is made to a provider.", "provider", across=Across.MAX),
)

_HOUSE = (
    _counter("trivet_promotions_total", "Promotions by result.", "result"),
    _counter("trivet_rollbacks_total", "Rollbacks by result.", "result"),
    _counter("trivet_gate_verdicts_total", "Verdicts of the gate when evidence was added.", "origin", "result"),
    _counter(
        "trivet_webhooks_total", "Messages to webhooks: taken, failed and tried again, given up.", "webhook", "result"
    ),
    _gauge(
        "trivet_webhook_waiting_seconds",
        "Age of the message that a webhook does not take.",
        "webhook",
        across=Across.MAX,
    ),
    _counter("trivet_erasures_total", "Tenants and runs erased, by result.", "result"),
    _counter("trivet_config_reload_total", "Reloads of the configuration.", "result"),
    _gauge("trivet_config_version", "1 for the configuration version in use.", "version", across=Across.MAX),
    _gauge("trivet_build_info", "1 for the version of the gateway.", "version", across=Across.MAX),
    _gauge("trivet_processes", "Processes that are alive.", "role"),
    _gauge("trivet_draining", "Processes that are shutting down."),
    _counter("trivet_labels_folded_total", "Label values folded into `other`, counted where they were looked up."),
)

_SENTINEL = (
    _gauge("trivet_drift_epoch", "Drift epoch of a model in use.", "snapshot", across=Across.MAX),
    _gauge("trivet_drift_open", "1 while nobody has acknowledged that a model changed.", "snapshot", across=Across.MAX),
    _counter("trivet_drift_alarms_total", "Drift epochs that began with an alarm, by what raised it.", "alarm"),
    _gauge("trivet_warm_state", "1 for what is known of a release.", "alias", "release", "state", across=Across.MAX),
    _gauge(
        "trivet_warm_releases", "Releases a lane was on that can take runs now.", "alias", "lane", across=Across.MAX
    ),
    _counter("trivet_probes_total", "The gateway's own cheap calls to releases, by what they came to.", "result"),
    _counter("trivet_probe_windows_total", "Windows of probe prompts, by what they came to.", "result"),
    _counter("trivet_passive_alarms_total", "Rates of stable releases' traffic that rose.", "alias", "metric"),
    _gauge(
        "trivet_probe_statistic",
        "How far the last window is from the reference.",
        "alias",
        "release",
        across=Across.MAX,
    ),
    _gauge("trivet_probe_p", "How likely that is for the same model.", "alias", "release", across=Across.MAX),
    _gauge("trivet_probe_calls", "The gateway's own probes of this UTC day.", across=Across.MAX),
    _gauge("trivet_probe_spent_usd", "What they cost, in US dollars.", across=Across.MAX),
    _counter("trivet_drift_moves_total", "Floating names that were seen to resolve to another model."),
    _gauge(
        "trivet_retirement_days",
        "Days until the model of a release in use retires, where somebody says.",
        "alias",
        "release",
        "model",
        across=Across.MIN,
    ),
)

_ROLLOUTS = (
    _gauge("trivet_control_leader", "1 in the process that drives rollouts.", across=Across.MAX),
    _gauge("trivet_rollout_state", "1 for the phase a rollout is in.", "alias", "state", across=Across.MAX),
    _gauge("trivet_rollout_weight", "Largest share of new runs on the candidate, 0 to 1.", "alias", across=Across.MAX),
    _gauge("trivet_rollout_stage_seconds", "How long a rollout's stage has lasted.", "alias", across=Across.MAX),
    _gauge("trivet_rollout_overdue_seconds", "How long ago it should have got on.", "alias", across=Across.MAX),
    _gauge("trivet_guardrail_e_value", "Evidence that the candidate is worse.", "alias", "metric", across=Across.MAX),
    _counter("trivet_rollout_transitions_total", "Steps made by the loop.", "alias", "word", "cause"),
    _counter("trivet_rollout_rollbacks_total", "Rollbacks that the loop made by itself, by cause.", "cause"),
    _histogram(
        "trivet_rollout_revert_seconds", "First bad event of a candidate to the write that took it off.", buckets=_SLOW
    ),
)

METRICS: dict[str, Metric] = {
    row.name: row for row in (*_REQUESTS, *_RUNS, *_PROVIDERS, *_STORE, *_ROLLOUTS, *_SENTINEL, *_HOUSE)
}
"""Name without prefix to its row."""
