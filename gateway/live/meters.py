"""What the live path counts. Registers are looked up once per label set and kept; a request adds to plain numbers."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Side
from gateway.core.contract.run import Pin
from gateway.live.overhead import overhead

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.contract.fault import Fault
    from gateway.live.life import Life
    from gateway.telemetry.counters import Histogram, Register, Registry

CACHED = 10_000
"""Label sets kept at hand; the registry bounds the labels themselves."""


class Meters:
    """The registers of one live worker. `log` takes a message and allow-listed fields."""

    def __init__(self, registry: Registry, log: Callable[..., None]) -> None:
        self._registry = registry
        self._log = log
        self._kept: dict[tuple[str, ...], Register] = {}
        self._slow: dict[tuple[str, str], Histogram] = {}
        self.in_flight = registry.gauge("in_flight")
        self.heartbeats = registry.counter("heartbeats_total")
        self.gone: dict[str, Register] = {}
        """Releases whose model the provider says it no longer has."""
        self._overhead = registry.histogram("overhead_seconds")
        self._handler_errors = registry.counter("handler_errors_total")

    def add(self, name: str, *values: str, by: float = 1) -> None:
        """Add to a counter, looked up once per label set."""
        key = (name, *values)
        register = self._kept.get(key)
        if register is None:
            if len(self._kept) >= CACHED:
                self._kept.clear()
            register = self._kept[key] = self._registry.counter(name, *values)
        register.n += by

    def request(self, life: Life, ended: float) -> None:
        """Count a request that has ended; `ended` is loop time in seconds."""
        stamp = life.stamp
        status = f"{life.status // 100}xx" if life.status else "none"
        if stamp is None:
            self.add("requests_total", "", "", "", status)
            return
        self.add("requests_total", stamp.alias, stamp.release, stamp.arm.value, status)
        self.add("requests_by_source_total", life.source.value)
        self.add("outcomes_total", stamp.alias, life.outcome.value)
        if self.gone and life.outcome is Outcome.OK and stamp.release in self.gone:
            self.release_back(stamp.release)
        if life.bound is not None and life.bound.new:
            self.add("runs_bound_total", stamp.alias, stamp.release, stamp.arm.value, stamp.pin.value)
        if stamp.pin is Pin.FLOATING:
            self.add("floating_requests_total", stamp.alias)
        self._overhead.observe(overhead(life, ended))
        if life.first_byte:
            self._histogram("first_byte_seconds", life.provider).observe(life.first_byte - life.incoming.started)
            self._histogram("request_seconds", life.provider).observe(ended - life.incoming.started)
        observed = life.observed
        if observed is not None and observed.usage is not None:
            usage = observed.usage
            for kind, count in (("input", usage.input), ("output", usage.output), ("cached", usage.cached)):
                if count:
                    self.add("tokens_total", stamp.alias, stamp.release, "live", kind, by=count)

    def _histogram(self, name: str, provider: str) -> Histogram:
        found = self._slow.get((name, provider))
        if found is None:
            found = self._slow[name, provider] = self._registry.histogram(name, provider)
        return found

    def refused(self, fault: Fault) -> None:
        """Count a request that got a fault in place of an answer."""
        if fault.code == "invalid_api_key":
            self.add("auth_total", "refused")
        elif fault.code == "missing_right":
            self.add("authz_denied_total", "right")
        elif fault.code == "run_stamp_missing":
            self.add("stamp_missing_total")
        elif fault.code == "stamp_invalid":
            self.add("stamp_rejected_total", fault.reason)
        if fault.status < 500 and fault.side is not Side.PROVIDER:
            self.add("rejected_total", fault.reason)

    def stream_abort(self, side: str, reason: str) -> None:
        """Count an answer that ended uncleanly."""
        self.add("stream_aborts_total", side, reason)

    def client_gone(self, phase: str) -> None:
        """Count a client that left."""
        self.add("client_disconnect_total", phase)

    def model_mismatch(self, alias: str, release: str) -> None:
        """Count an answer from another model than the pinned one."""
        self.add("model_mismatch_total", alias, release)

    def release_gone(self, release: str) -> None:
        """The provider says that it no longer has the model of this release; held until it answers for it again."""
        if release not in self.gone:
            register = self.gone[release] = self._registry.gauge("release_unavailable", release)
            register.n = 1
            self._log("the provider no longer has the model of this release", release=release)

    def release_back(self, release: str) -> None:
        """The provider answered for a release that it had called gone."""
        self.gone.pop(release).n = 0

    def failed(self, request: str, error: BaseException) -> None:
        """Count and log an error nobody expected: its type and place, never its text, which may quote a request."""
        self._handler_errors.n += 1
        place = traceback.extract_tb(error.__traceback__)[-1] if error.__traceback__ is not None else None
        where = f"{place.filename.rpartition('gateway/')[2]}:{place.lineno}" if place is not None else ""
        self._log("request failed", request=request, error=type(error).__name__, where=where)
