"""The rules of a series, without a store: when a window is due, whole, hopeless, and what it says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.core.contract.probing import Series, Window
from gateway.core.contract.suite import Answer, Check, Item, Said
from gateway.sentinel import series as rules
from gateway.sentinel.series import CONFIRM_MS, FAILED_LEAST, LONGEST_MS, due

ITEMS = tuple(Item(name, (Said("user", name),), Check(), Answer(), Answer()) for name in "ab")
DAY = 86_400_000
NOW = 10 * DAY


def whole(texts: tuple[str, ...] = ("x", "y", "x"), series: Series | None = None) -> Series:
    """A series with another whole window of these answers to each prompt."""
    begun = rules.begun(series or Series(), NOW)
    found = rules.answered(begun, [(item.id, text) for item in ITEMS for text in texts], 0, 3)
    assert not rules.missing(found, ITEMS, 3)
    return rules.whole(found, NOW + 1000)


def test_a_window_is_due_in_its_time() -> None:
    """At once for a reference, then every so often; sooner to confirm a difference, and never by itself where `every` is 0."""
    assert due(Series(), DAY, NOW)
    assert not due(Series(), 0, NOW)
    assert due(Series(wanted="the passive detector"), 0, NOW)
    done = whole()
    assert not due(done, DAY, NOW + DAY - 1)
    assert due(done, DAY, NOW + DAY)
    odd = msgspec.structs.replace(done, windows=(Window(NOW, 0.5, 0.001, 6),))
    assert rules.doubted(odd)
    assert not due(odd, DAY, NOW + CONFIRM_MS - 1)
    assert due(odd, DAY, NOW + CONFIRM_MS)
    assert due(rules.begun(done, NOW), 0, NOW)


def test_a_fingerprint_that_no_window_has_seen_is_a_hint() -> None:
    """A window begins for it, a quarter of `every` after the last one at the earliest; known ones, none, and no reference are no hint."""
    known = rules.fingerprinted(msgspec.structs.replace(Series(), reference_ms=1, begun_ms=NOW), ["fp_1", ""])
    later = NOW + DAY // 4
    assert known.fingerprints == ("fp_1",)
    assert rules.hinted(known, ["fp_1", "fp_2"], DAY, later)
    assert not rules.hinted(known, ["fp_2"], DAY, later - 1)
    assert not rules.hinted(known, ["fp_2"], 0, later)
    assert not rules.hinted(known, ["fp_1", ""], DAY, later)
    assert not rules.hinted(msgspec.structs.replace(known, fingerprints=()), ["fp_2"], DAY, later)
    assert not rules.hinted(msgspec.structs.replace(known, reference_ms=0), ["fp_2"], DAY, later)
    many = rules.fingerprinted(known, [f"fp_{number:03}" for number in range(200)])
    assert len(many.fingerprints) == rules.FINGERPRINTS
    assert rules.fingerprinted(known, ["fp_2"]).fingerprints == ("fp_1", "fp_2")


def test_the_rounds_go_over_the_prompts() -> None:
    """One answer to each prompt before the next, and what is there is not asked again."""
    begun = rules.begun(Series(), NOW)
    assert [item.id for item in rules.missing(begun, ITEMS, 2)] == ["a", "b", "a", "b"]
    some = rules.answered(begun, [("a", "x" * 1000), ("a", "y"), ("a", "too many")], 1, 2)
    assert [item.id for item in rules.missing(some, ITEMS, 2)] == ["b", "b"]
    assert (some.open["a"], some.failed, some.calls) == (("x" * 200, "y"), 1, 4)
    assert rules.missing(Series(), ITEMS, 2) == []


@pytest.mark.parametrize(
    ("failed", "size", "lost"), [(FAILED_LEAST, 20, False), (6, 20, True), (20, 200, False), (21, 200, True)]
)
def test_failures_discard_a_window(failed: int, size: int, lost: bool) -> None:
    """More than five and more than a tenth of its calls; so does time. The next one then begins soon."""
    going = msgspec.structs.replace(rules.begun(whole(), NOW), failed=failed)
    assert rules.hopeless(going, size, NOW + 1) == lost
    assert rules.hopeless(rules.begun(Series(), NOW), size, NOW + LONGEST_MS + 1)
    gone = rules.discarded(going)
    assert (gone.going, gone.open, gone.discarded, gone.windows) == (False, {}, 1, ())
    assert due(gone, DAY, NOW + CONFIRM_MS)


def test_two_windows_that_differ_are_an_alarm() -> None:
    """The first whole window is the reference, equal ones say nothing, and one that differs is not enough."""
    same = ("x1", "x2", "x3", "x2", "x1", "x3")

    def window(series: Series, texts: tuple[str, ...]) -> Series:
        begun = rules.begun(series, NOW)
        return rules.whole(rules.answered(begun, [(i.id, t) for i in ITEMS for t in texts], 0, 6), NOW)

    series = window(window(Series(), same), same)
    assert series.reference["a"] == same
    assert not rules.alarmed(series)
    other = ("zq", "zw", "ze", "zq", "zw", "ze")
    once = window(series, other)
    assert rules.doubted(once)
    assert not rules.alarmed(once)
    assert not rules.alarmed(window(once, same))
    assert rules.alarmed(window(once, other))


def test_log_probabilities_take_a_reference_and_a_past() -> None:
    """Six windows at once, then one every so often; a jump is an alarm, jitter is none, and failures discard one."""
    series = Series()

    def window(value: float, at_ms: int) -> Series:
        return rules.chanced(series, [{"a": value, "b": -3.0}] * 24, 0, DAY, at_ms)

    for number in range(6):
        assert rules.chances_due(series, NOW)
        series = window(-1.0 - number / 100, NOW)
    assert (len(series.chances_past), rules.chances_due(series, NOW), rules.chances_due(series, NOW + DAY)) == (
        5,
        False,
        True,
    )
    series = window(-1.1, NOW + DAY)
    assert not rules.chances_alarmed(series)
    assert rules.chances_alarmed(window(-9.0, NOW + 2 * DAY))
    assert rules.chances_limit(series) == 1.0
    lost = rules.chanced(series, [{"a": -9.0}], 6, DAY, NOW)
    assert (lost.chances_open, lost.discarded, lost.chances_past) == ((), 1, series.chances_past)
    assert rules.chanced(series, [], 0, 0, NOW).chances is True


def chat(content: Any) -> bytes:
    """An answer with these log-probabilities."""
    return json.dumps({"choices": [{"logprobs": content}]}).encode()


@pytest.mark.parametrize(
    ("body", "sample"),
    [
        (chat({"content": [{"token": "a", "logprob": -1, "top_logprobs": [{"token": "a", "logprob": -1}, {"token": "b", "logprob": -1e999}]}]}), {"a": -1.0, "b": -100.0}),
        (chat({"content": [{"token": "a", "logprob": -1, "top_logprobs": []}]}), {"a": -1.0}),
        (chat({"content": []}), None),
        (chat(None), None),
        (b"{", None),
        (b"[]", None),
        (chat({"content": [{"token": "a", "logprob": "x"}]}), None),
    ],
)  # fmt: skip
def test_what_an_answer_tells_of_its_first_token(body: bytes, sample: dict[str, float] | None) -> None:
    """The likeliest tokens, or none: whatever else an answer holds is no sample."""
    assert rules.sample_of(body.replace(b"-Infinity", b"-1e308")) == sample
