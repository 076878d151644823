"""What the live path counts. Registers are looked up once per label set and kept; a request adds to plain numbers."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Side
from gateway.core.contract.run import Pin
from gateway.live.account import Limited
from gateway.live.overhead import overhead

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.core.contract.fault import Fault
    from gateway.core.contract.run import Stamp
    from gateway.live.life import Life
    from gateway.telemetry.counters import Histogram, Register, Registry

TOKEN_KINDS = ("input", "output", "cached", "reasoning", "written")
MICRO = 1_000_000
CACHED = 2_000
"""Label sets kept at hand; the registry bounds the labels themselves."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """The registers that requests of one kind add to, looked up together once."""

    counts: tuple[Register, ...]
    first_byte: Histogram
    whole: Histogram
    cost: Register
    unpriced: Register
    input: Register
    output: Register
    cached: Register
    reasoning: Register
    written: Register


def _status(status: int) -> str:
    return f"{status // 100}xx" if status else "none"


class Meters:
    """The registers of one live worker. `log` takes a message and allow-listed fields."""

    def __init__(self, registry: Registry, log: Callable[..., None]) -> None:
        self._registry = registry
        self._log = log
        self._kept: dict[tuple[str, ...], Register] = {}
        self._sheets: dict[tuple[object, ...], Sheet] = {}
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
        if stamp is None:
            self.add("requests_total", "", "", "", _status(life.status))
            return
        outcome, status, bound = life.outcome, life.status, life.bound
        new = bound is not None and bound.new
        role = life.caller.role
        which = (
            stamp.alias,
            stamp.release,
            stamp.arm,
            stamp.pin,
            life.source,
            outcome,
            status,
            life.provider,
            new,
            role,
        )
        sheet = self._sheets.get(which)
        if sheet is None:
            if len(self._sheets) >= CACHED:
                self._sheets.clear()
            sheet = self._sheets[which] = self._sheet(life, stamp, new=new)
        for register in sheet.counts:
            register.n += 1
        if self.gone and outcome is Outcome.OK and stamp.release in self.gone:
            self.release_back(stamp.release)
        self._overhead.observe(overhead(life, ended))
        if life.first_byte:
            started = life.incoming.started
            sheet.first_byte.observe(life.first_byte - started)
            sheet.whole.observe(ended - started)
        observed = life.observed
        if observed is not None and observed.usage is not None:
            usage = observed.usage
            sheet.input.n += usage.input
            sheet.output.n += usage.output
            sheet.cached.n += usage.cached
            if usage.reasoning:
                sheet.reasoning.n += usage.reasoning
            if usage.written:
                sheet.written.n += usage.written
            if life.cost is None:
                sheet.unpriced.n += 1
            else:
                sheet.cost.n += life.cost / MICRO

    def _sheet(self, life: Life, stamp: Stamp, *, new: bool) -> Sheet:
        """Look up every register that a request of this kind adds to."""
        counter, arm, role = self._registry.counter, stamp.arm.value, life.caller.role
        counts = [
            counter("requests_total", stamp.alias, stamp.release, arm, _status(life.status)),
            counter("requests_by_source_total", life.source.value),
            counter("outcomes_total", stamp.alias, life.outcome.value),
        ]
        if new:
            counts.append(counter("runs_bound_total", stamp.alias, stamp.release, arm, stamp.pin.value))
        if stamp.pin is Pin.FLOATING:
            counts.append(counter("floating_requests_total", stamp.alias))
        tokens = [counter("tokens_total", stamp.alias, stamp.release, role, kind) for kind in TOKEN_KINDS]
        histogram = self._registry.histogram
        return Sheet(
            tuple(counts),
            histogram("first_byte_seconds", life.provider),
            histogram("request_seconds", life.provider),
            counter("cost_usd_total", stamp.alias, stamp.release, role),
            counter("unpriced_total", stamp.alias, stamp.release, role),
            *tokens,
        )

    def refused(self, fault: Fault) -> None:
        """Count a request that got a fault in place of an answer."""
        if isinstance(fault, Limited):
            self.add("limited_total", fault.limit, fault.scope)
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
