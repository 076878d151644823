"""Registers, snapshots, merging."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.counters import Registry, Snapshot, decode, encode, flat, merge
from gateway.telemetry.metrics import Across, Label, Metric, Type

METRICS = {
    each.name: each
    for each in (
        Metric("seen_total", Type.COUNTER, "Seen.", ("alias", "kind")),
        Metric("plain_total", Type.COUNTER, "Plain."),
        Metric("now", Type.GAUGE, "Now."),
        Metric("worst", Type.GAUGE, "Worst.", across=Across.MAX),
        Metric("up", Type.GAUGE, "Up.", across=Across.MIN),
        Metric("wait_seconds", Type.HISTOGRAM, "Wait.", ("kind",), (0.1, 1.0)),
        Metric("labels_folded_total", Type.COUNTER, "Folded."),
    )
}
LABELS = {"alias": Label(3, known=True), "kind": Label(2)}


def registry() -> Registry:
    """A registry over a small table."""
    return Registry(METRICS, LABELS)


def test_the_same_register_every_time() -> None:
    """Equal labels give the same register; adding to it is all that counting takes."""
    made = registry()
    made.know("alias", ["a"])
    one = made.counter("seen_total", "a", "x")
    one.n += 2
    assert made.counter("seen_total", "a", "x") is one
    assert flat(made.snapshot())["seen_total{a,x}"] == 2


def test_unknown_names_fold_into_other() -> None:
    """A name nobody declared counts as `other`, however many there are (faults.md H5)."""
    made = registry()
    made.know("alias", ["a", "b"])
    for number in range(1000):
        made.counter("seen_total", f"made-up-{number}", "x").n += 1
    made.counter("seen_total", "b", "x").n += 1
    found = flat(made.snapshot())
    assert found["seen_total{other,x}"] == 1000
    assert found["seen_total{b,x}"] == 1
    assert found["labels_folded_total"] == 1000


def test_known_names_are_bounded_too() -> None:
    """A label takes no more values than its limit, known or not."""
    made = registry()
    made.know("alias", [f"a{number}" for number in range(10)])
    for number in range(10):
        made.counter("seen_total", f"a{number}", "x")
    assert len(made.snapshot().numbers["seen_total"]) == 4


def test_open_labels_are_bounded() -> None:
    """A label without declared names takes the first values up to its limit."""
    made = registry()
    made.know("alias", ["a"])
    for number in range(10):
        made.counter("seen_total", "a", f"k{number}").n += 1
        made.histogram("wait_seconds", f"k{number}").observe(0.5)
    assert {values[1] for values, _ in made.snapshot().numbers["seen_total"]} == {"k0", "k1", "other"}
    assert len(made.snapshot().histograms["wait_seconds"]) == 3


def test_histogram_buckets() -> None:
    """A value counts in the first bucket whose bound is not below it."""
    made = registry().histogram("wait_seconds", "x")
    for value in (0.05, 0.1, 0.5, 1.0, 7.0):
        made.observe(value)
    assert made.counts == [2, 2, 1]
    assert made.sum == pytest.approx(8.65)


@pytest.mark.parametrize(
    ("kind", "name", "labels"),
    [("counter", "nope_total", ()), ("counter", "now", ()), ("gauge", "plain_total", ()), ("counter", "seen_total", ("a",)), ("histogram", "now", ())],
)  # fmt: skip
def test_what_is_not_in_the_table(kind: str, name: str, labels: tuple[str, ...]) -> None:
    """A metric that the table does not have, of another type or with other labels, is a programming error."""
    with pytest.raises((KeyError, ValueError)):
        getattr(registry(), kind)(name, *labels)


def test_sources_are_read_at_snapshot() -> None:
    """Numbers that another room keeps are added when somebody looks."""
    made = registry()
    numbers = {"n": 1}
    made.source(
        lambda: [("plain_total", (), numbers["n"]), ("seen_total", ("zzz", "x"), 2), ("seen_total", ("yyy", "x"), 3)]
    )
    made.counter("plain_total").n += 10
    assert flat(made.snapshot())["plain_total"] == 11
    assert flat(made.snapshot())["seen_total{other,x}"] == 5
    numbers["n"] = 5
    assert flat(made.snapshot())["plain_total"] == 15


def test_merge_over_processes() -> None:
    """Counters and histograms add up; gauges add, or take the worst, by their row; the dead leave no gauge."""

    def process(number: int) -> Snapshot:
        made = registry()
        made.counter("plain_total").n += number
        for name in ("now", "worst", "up"):
            made.gauge(name).n = number
        made.histogram("wait_seconds", "x").observe(number)
        return made.snapshot()

    merged = merge([process(1), process(2)], [process(4)], METRICS)
    found = flat(merged)
    assert (found["plain_total"], found["now"], found["worst"], found["up"]) == (7, 3, 2, 1)
    [(_, state)] = merged.histograms["wait_seconds"]
    assert (state.counts, state.sum) == ([0, 1, 2], 7.0)


def test_merge_leaves_out_what_it_does_not_know() -> None:
    """A process of another version cannot break a scrape."""
    foreign = decode(
        b'{"numbers":{"gone_total":[[[],1]],"seen_total":[[["a"],1]]},"histograms":{"wait_seconds":[[["x"],[[1],1]]]}}'
    )
    merged = merge([foreign], (), METRICS)
    assert not any(merged.numbers.values())
    assert not any(merged.histograms.values())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=20), st.integers(1, 4))
def test_merging_loses_nothing(counts: list[tuple[str, int]], processes: int) -> None:
    """However counts are spread over processes, the sum is the same, also after a round through bytes."""
    spread = [registry() for _ in range(processes)]
    for made in spread:
        made.know("alias", "abc")
    for index, (alias, number) in enumerate(counts):
        spread[index % processes].counter("seen_total", alias, "x").n += number
    merged = flat(merge([decode(encode(made.snapshot())) for made in spread], (), METRICS))
    for alias in "abc":
        assert merged.get(f"seen_total{{{alias},x}}", 0) == sum(number for name, number in counts if name == alias)


def test_counting_is_cheap() -> None:
    """Counting a request takes no more than a few microseconds, measured generously."""
    made = registry()
    counter, wait = made.counter("plain_total"), made.histogram("wait_seconds", "x")
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(2000):
            counter.n += 1
            wait.observe(0.3)
        best = min(best, (time.process_time() - start) / 2000)
    assert best < 5e-6
