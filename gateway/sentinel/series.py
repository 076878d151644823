"""A series of probe windows: when one is due, when it is whole, and what it says against the reference. Pure.

Rule of the file: only a whole window says anything. One that a slow, busy or failing provider keeps from being whole in time is
discarded and counted, and the reference stays what it is until somebody acknowledges that behaviour changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from math import isnan
from typing import Any

import msgspec

from gateway.core.contract.probing import Series, Window
from gateway.core.contract.suite import Item
from gateway.core.stats import logprobs, mmd

LONGEST_MS = 6 * 3_600_000
"""A window that takes longer is of no one moment."""
FAILED_LEAST = 5
FAILED_SHARE = 0.1
"""More calls than both of these that came to nothing discard a window."""
CONFIRM_MS = 3_600_000
"""After a window that differs, and after one that was discarded, the next one begins so soon, if `every` is not sooner."""
WINDOWS_KEPT = 30
FINGERPRINTS = 64
NEVER_MS = 1 << 62
CHANCE_FAILED = 5
"""Calls that come to nothing after which a window of log-probabilities is discarded."""


def moment(at_ms: int) -> str:
    """A moment for people."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def due(series: Series, every_ms: int, now_ms: int) -> bool:
    """Whether there is something to ask: a window in progress, a reference to record, or the time for the next window.

    `every_ms` is 0 where nothing begins by itself.
    """
    if series.going or series.wanted:
        return True
    if not every_ms:
        return False
    wait = every_ms
    if not series.reference_ms:
        wait = min(every_ms, CONFIRM_MS) if series.begun_ms else 0
    elif doubted(series) or series.failed:
        wait = min(every_ms, CONFIRM_MS)
    return now_ms - series.begun_ms >= wait


def hinted(series: Series, fingerprints: Collection[str], every_ms: int, now_ms: int) -> bool:
    """Whether answers have a fingerprint that no window has seen: a hint, and often a harmless one, so that it is followed four times
    in `every` at most."""
    new = bool(series.fingerprints) and any(each and each not in series.fingerprints for each in fingerprints)
    return new and series.reference_ms > 0 and every_ms > 0 and now_ms - series.begun_ms >= every_ms // 4


def fingerprinted(series: Series, fingerprints: Collection[str]) -> Series:
    """With the fingerprints of answers as a window begins."""
    known = tuple(dict.fromkeys((*series.fingerprints, *sorted(each for each in fingerprints if each))))
    return msgspec.structs.replace(series, fingerprints=known[-FINGERPRINTS:])


def doubted(series: Series) -> bool:
    """Whether the last whole window differs from the reference: the next one confirms it or not."""
    return bool(series.windows) and series.windows[-1].p < mmd.LEVEL


def begun(series: Series, now_ms: int) -> Series:
    """With a new window."""
    return msgspec.structs.replace(series, open={}, begun_ms=now_ms, going=True, failed=0, wanted="")


def missing(series: Series, items: Sequence[Item], samples: int) -> list[Item]:
    """What is still to be asked of the window in progress, one answer to each prompt before the next."""
    if not series.going:
        return []
    have = {item.id: len(series.open.get(item.id, ())) for item in items}
    return [item for number in range(samples) for item in items if have[item.id] <= number]


def answered(series: Series, found: Sequence[tuple[str, str]], failed: int, samples: int) -> Series:
    """With these answers, prompt and text each, and so many calls that came to nothing. No prompt gets more than its samples."""
    texts = dict(series.open)
    for prompt, text in found:
        held = texts.get(prompt, ())
        if len(held) < samples:
            texts[prompt] = (*held, text[: mmd.CHARACTERS])
    return msgspec.structs.replace(
        series, open=texts, failed=series.failed + failed, calls=series.calls + len(found) + failed
    )


def hopeless(series: Series, size: int, now_ms: int) -> bool:
    """Whether the window in progress can no longer be whole in time."""
    late = now_ms - series.begun_ms > LONGEST_MS
    return series.going and (late or series.failed > max(FAILED_LEAST, FAILED_SHARE * size))


def discarded(series: Series) -> Series:
    """Without the window in progress, which says nothing; `failed` stays, so that the next one begins soon."""
    return msgspec.structs.replace(
        series, open={}, going=False, failed=max(series.failed, 1), discarded=series.discarded + 1
    )


def whole(series: Series, now_ms: int) -> Series:
    """With the window in progress compared, or taken for the reference where there is none."""
    if not series.reference_ms:
        return msgspec.structs.replace(
            series, reference=series.open, reference_ms=now_ms, open={}, going=False, failed=0
        )
    seed = zlib.crc32(f"{series.reference_ms} {series.begun_ms}".encode())
    found = mmd.compare(series.reference, series.open, seed)
    window = Window(now_ms, round(found.statistic, 6), found.p, found.calls)
    windows = (*series.windows, window)[-WINDOWS_KEPT:]
    return msgspec.structs.replace(series, windows=windows, open={}, going=False, failed=0)


def alarmed(series: Series) -> bool:
    """Whether the newest windows differ from the reference, twice in a row."""
    return mmd.alarmed([window.p for window in series.windows])


def chances_due(series: Series, now_ms: int) -> bool:
    """Whether log-probabilities are to be asked for: they may be there, and it is time."""
    return series.chances is not False and now_ms >= series.chances_next_ms


def chanced(series: Series, samples: Sequence[Mapping[str, float]], failed: int, every_ms: int, now_ms: int) -> Series:
    """With these samples, and so many calls that came to nothing. A whole window is the reference, or joins the past; the first
    ones follow each other at once, for it takes a past to judge by."""
    held = (*series.chances_open, *(dict(each) for each in samples))
    calls = series.calls + len(samples) + failed
    later = now_ms + every_ms if every_ms else NEVER_MS
    known = True if samples else series.chances
    replace = msgspec.structs.replace
    series = replace(series, chances=known, calls=calls, chances_failed=series.chances_failed + failed)
    if series.chances_failed > CHANCE_FAILED:
        soon = now_ms + min(every_ms, CONFIRM_MS) if every_ms else NEVER_MS
        return replace(series, chances_open=(), chances_failed=0, chances_next_ms=soon, discarded=series.discarded + 1)
    if len(held) < logprobs.WINDOW:
        return replace(series, chances_open=held)
    window, rest = held[: logprobs.WINDOW], held[logprobs.WINDOW :]
    series = replace(series, chances_open=rest, chances_failed=0)
    if not series.chances_reference:
        return replace(series, chances_reference=window, chances_reference_ms=now_ms)
    value = logprobs.statistic(series.chances_reference, window)
    past = (*series.chances_past, value)[-logprobs.PAST - 1 :]
    ready = len(past) >= logprobs.ENOUGH
    return replace(series, chances_past=past, chances_next_ms=later if ready else 0)


def chances_limit(series: Series) -> float | None:
    """What the newest statistic had to exceed; None while there was no past to judge it by."""
    return logprobs.threshold(series.chances_past[:-1]) if series.chances_past else None


def chances_alarmed(series: Series) -> bool:
    """Whether the newest statistic stands out from those before it."""
    limit = chances_limit(series)
    return limit is not None and series.chances_past[-1] > limit


def sample_of(body: bytes) -> dict[str, float] | None:
    """The log-probabilities of the first token of an OpenAI chat answer; None where it brings none."""
    try:
        found: Any = msgspec.json.decode(body)
        told = found["choices"][0]["logprobs"]["content"][0]
        sample = {str(each["token"]): float(each["logprob"]) for each in told.get("top_logprobs") or [told]}
    except (msgspec.DecodeError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    return {token: max(value, -100.0) for token, value in sample.items() if not isnan(value)} or None
