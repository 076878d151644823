"""What watches a snapshot's behaviour, as operators see it: the windows of each test with the threshold they are held against.

Rule of the file: it reads what the sentinel wrote, and says where nothing is known yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from gateway.core.contract.probing import Passive, ProbeProgress, Series, Window
from gateway.core.contract.sentinel import DriftPoint, DriftTest
from gateway.core.stats import detector, logprobs, mmd
from gateway.store import probes
from gateway.store.client import Store

SHOWN = 10
"""Newest windows of a test."""


async def watched(store: Store, snapshots: Iterable[str]) -> dict[str, tuple[DriftTest, ...]]:
    """The tests of each snapshot that have begun. Raises Fault for the store."""
    return {name: tuple(_of(kept)) for name, kept in (await probes.every(store, snapshots)).items()}


def progress(done: ProbeProgress) -> tuple[DriftTest, ...]:
    """The same of a window that somebody ran."""
    found = [_answers(done.release, done.windows, done.reference_ms, "")]
    if done.chances_past:
        found.append(_chances(done.release, done.chances_past, done.chances_limit, done.chances_ms))
    return tuple(found)


def _of(kept: Mapping[str, Series | Passive]) -> Iterable[DriftTest]:
    newest: dict[str, Series] = {}
    for name, each in kept.items():
        release = name.partition(":")[0]
        if isinstance(each, Series) and (release not in newest or each.begun_ms > newest[release].begun_ms):
            newest[release] = each
    for release, series in newest.items():
        yield _answers(release, series.windows, series.reference_ms, _note(series))
        if series.chances_reference:
            limit = logprobs.threshold(series.chances_past[:-1])
            yield _chances(release, series.chances_past, limit, series.chances_reference_ms)
    for name, each in kept.items():
        if isinstance(each, Passive) and each.units:
            yield _traffic(name.rpartition(":")[2], each)


def _answers(release: str, windows: Iterable[Window], reference_ms: int, note: str) -> DriftTest:
    points = tuple(DriftPoint(_moment(each.at_ms), each.p) for each in tuple(windows)[-SHOWN:])
    return DriftTest(release, "mmd", points, mmd.LEVEL, reference_ms, note)


def _chances(release: str, past: Iterable[float], limit: float | None, reference_ms: int) -> DriftTest:
    held = tuple(past)[-SHOWN:]
    points = tuple(
        DriftPoint(f"window {at - len(held)}" if at < len(held) else "last window", value)
        for at, value in enumerate(held, 1)
    )
    return DriftTest(release, "logprob", points, limit, reference_ms, "" if limit else "too few windows to judge by")


def _traffic(release: str, known: Passive) -> DriftTest:
    if not known.rates:
        note = f"{known.units} answers of the reference are there"
        return DriftTest(release, "traffic", (), 1 / detector.ALPHA, 0, note)
    points = tuple(DriftPoint(name, detector.value(held)) for name, held in known.sums.items())
    note = f"{known.units} answers seen" + (
        f"; last alarm {known.alarm}, {_moment(known.alarm_ms)}" if known.alarms else ""
    )
    return DriftTest(release, "traffic", points, 1 / detector.ALPHA, known.reference_ms, note)


def _note(series: Series) -> str:
    said = []
    if series.going:
        said.append(f"a window is in progress: {sum(map(len, series.open.values()))} answers")
    if series.discarded:
        said.append(f"{series.discarded} discarded because they were not whole in time")
    return "; ".join(said)


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
