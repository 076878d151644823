"""What the shadow counts, under the names of the metric table: ends and waits of jobs, tokens and money of its calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from gateway.core.contract.exchange import Usage
from gateway.core.contract.job import Job
from gateway.core.contract.pair import Side
from gateway.core.contract.release import Release
from gateway.shadow.work import Tally
from gateway.telemetry.counters import Reading, Registry

ROLE = "shadow"
"""Who asked, beside `live`."""
MICRO = 1_000_000


class Meters:
    """Tokens and cost of calls, by alias and release, in the counters that live traffic has too."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def called(self, job: Job, release: Release, side: Side) -> None:
        """Count a call that came back."""
        usage = side.observed.usage if side.observed is not None else None
        if usage is None:
            return
        for kind, count in _kinds(usage):
            if count:
                self._registry.counter("tokens_total", job.alias, release.id, ROLE, kind).n += count
        if side.cost is None:
            self._registry.counter("unpriced_total", job.alias, release.id, ROLE).n += 1
        else:
            self._registry.counter("cost_usd_total", job.alias, release.id, ROLE).n += side.cost / MICRO


def _kinds(usage: Usage) -> tuple[tuple[str, int], ...]:
    return (
        ("input", usage.input),
        ("output", usage.output),
        ("cached", usage.cached),
        ("reasoning", usage.reasoning),
        ("written", usage.written),
    )


def ends(tally: Tally) -> Callable[[], Iterable[Reading]]:
    """A source over what became of jobs."""

    def read() -> Iterator[Reading]:
        for word, count in tally.ended.items():
            kind, _, detail = word.partition(":")
            yield "shadow_total", (detail if kind == "pair" else kind,), count
            if kind == "skip":
                yield "shadow_skips_total", (detail,), count
            elif kind == "dead":
                yield "shadow_deadletter_total", (), count
        for reason, count in tally.waits.items():
            yield "shadow_waits_total", (reason,), count
        yield "shadow_errors_total", (), tally.errors

    return read
