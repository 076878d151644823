"""Logs of Inspect (UK AI Security Institute, MIT), version 2, as `.json` and as `.eval`: read without Inspect itself.

Rule of the file: a log that is not of a whole, valid run is refused. Numbers are taken from `reductions`, which Inspect computed;
the scores of single epochs only where they come to the same means, so that a scorer's own letters are never guessed.

A `.eval` is a zip whose entries are Zstandard (method 93), which Python reads from 3.14 on; the caller brings the decoder.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import fsum, isclose
from typing import Any

from gateway.core.gate.brought import NAMED, Brought, Unreadable, number, strangers

LARGEST = 512 << 20
"""Bytes of a file, and of all entries of a `.eval` that are read."""
VERSION = 2
ZSTANDARD = 93
LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
"""Inspect's own words for a score: correct, incorrect, partial, no answer."""

BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
)
"""What Python raises for an archive that is damaged, encrypted or of another kind."""

Decoder = Callable[[bytes, int], bytes]
"""Decompress Zstandard bytes to at most so many; raises ValueError for more and for what is none."""


def read_json(data: bytes, name: str, scorer: str = "") -> Brought:
    """Scores of a `.json` log. `scorer` chooses one of several. Raises Unreadable."""
    log = _json(data, name)
    return _brought(log, _objects(log.get("samples")), name, scorer)


def read_eval(data: bytes, name: str, unpack: Decoder | None, scorer: str = "") -> Brought:
    """Scores of a `.eval` log. Raises Unreadable, also where `unpack` would be needed and is None."""
    if len(data) > LARGEST:
        raise Unreadable(f"{name}: is larger than {LARGEST >> 20} MiB")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = {entry.filename: entry for entry in archive.infolist()}
    except BROKEN as error:
        raise Unreadable(f"{name}: is no .eval file, or was cut: {error}") from error
    if sum(entry.file_size for entry in entries.values()) > LARGEST:
        raise Unreadable(
            f"{name}: holds more than {LARGEST >> 20} MiB; export it with --log-format json and fewer events"
        )
    if "header.json" not in entries:
        raise Unreadable(f"{name}: has no header.json: the run it is of has not ended")

    def entry(which: str) -> Any:
        return _json(_unpacked(data, entries[which], name, unpack), f"{name}/{which}")

    log = dict(entry("header.json"))
    if "reductions.json" in entries:
        log["reductions"] = entry("reductions.json")
    samples = (entry(which) for which in sorted(entries) if which.startswith("samples/") and which.endswith(".json"))
    return _brought(log, samples, name, scorer)


def _unpacked(data: bytes, entry: zipfile.ZipInfo, name: str, unpack: Decoder | None) -> bytes:
    """The bytes of an entry: its local header has lengths of its own before the compressed bytes."""
    where = f"{name}/{entry.filename}"
    if entry.compress_type != ZSTANDARD:
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                return archive.read(entry)
        except BROKEN as error:
            raise Unreadable(f"{where}: cannot be unpacked: {error}") from error
    if unpack is None:
        raise Unreadable(
            f"{where}: is compressed with Zstandard. Install trivet[inspect-logs], or write the log as JSON: "
            "`inspect log convert --to json`, or `--log-format json` when it runs"
        )
    try:
        names, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
        start = entry.header_offset + 30 + names + extra
        return unpack(data[start : start + entry.compress_size], entry.file_size)
    except (struct.error, ValueError) as error:
        raise Unreadable(f"{where}: cannot be unpacked: {error}") from error


def _brought(log: Mapping[str, Any], samples: Iterable[Mapping[str, Any]], name: str, scorer: str) -> Brought:
    _whole(log, name)
    told = _mapping(log.get("eval"))
    reduced = _reduced(log, name, scorer)
    seen: dict[str, dict[int, object]] = {item: {} for item in reduced[1]}
    models: Counter[str] = Counter()
    categories: dict[str, str] = {}
    fallbacks = 0
    for sample in samples:
        item, epoch = str(sample.get("id", "")), sample.get("epoch", 1)
        scores, failed = _mapping(sample.get("scores")), sample.get("error") or sample.get("invalidation")
        value = _mapping(scores.get(reduced[0])).get("value") if not failed else None
        seen.setdefault(item, {})[epoch if isinstance(epoch, int) else 1] = value
        model = _mapping(sample.get("output")).get("model")
        if isinstance(model, str) and model and not failed:
            models[model] += 1
        fallbacks += sum(_count(each) for each in _objects(sample.get("model_fallbacks")))
        category = _mapping(sample.get("metadata")).get("category")
        categories |= {item: str(category)[:200]} if isinstance(category, str | int) else {}
    asked = NAMED.search(str(told.get("model", "")))
    packages = _mapping(told.get("packages"))
    stats = _mapping(log.get("stats"))
    epochs = _mapping(told.get("config")).get("epochs")
    return Brought(
        engine=f"inspect_ai {packages.get('inspect_ai', '')}".strip(),
        items=dict(_items(seen, reduced[1], epochs if isinstance(epochs, int) else 1, name)),
        suite=f"{told.get('task', '')}@{told.get('task_version', 0)}",
        categories=categories,
        models=models,
        release=asked.group() if asked else "",
        fallbacks=max(fallbacks, strangers(models)),
        started=str(stats.get("started_at") or ""),
        ended=str(stats.get("completed_at") or told.get("created") or ""),
    )


def _whole(log: Mapping[str, Any], name: str) -> None:
    if not isinstance(log.get("eval"), dict) or "status" not in log:
        raise Unreadable(f"{name}: is no log of Inspect: it has no eval and no status")
    if log.get("version") != VERSION:
        raise Unreadable(f"{name}: is of log version {log.get('version')!r}; this reads version {VERSION}")
    if log["status"] != "success":
        raise Unreadable(f"{name}: the run ended as {str(log['status'])[:20]!r}; only a run that succeeded is evidence")
    if log.get("invalidated"):
        raise Unreadable(f"{name}: samples of the run were invalidated")


def _reduced(log: Mapping[str, Any], name: str, scorer: str) -> tuple[str, dict[str, float | None]]:
    """The scorer and its number per item."""
    found = {str(each.get("scorer")): each for each in _objects(log.get("reductions"))}
    if not found:
        raise Unreadable(f"{name}: has no reductions, which hold the scores as numbers")
    if scorer and scorer not in found:
        raise Unreadable(f"{name}: has no scorer {scorer}; it has {', '.join(sorted(found))}")
    if not scorer and len(found) > 1:
        raise Unreadable(f"{name}: has several scorers, {', '.join(sorted(found))}: choose one with --scorer")
    chosen = scorer or next(iter(found))
    numbers: dict[str, float | None] = {}
    for sample in _objects(found[chosen].get("samples")):
        item = str(sample.get("sample_id", ""))
        numbers[item] = number(sample.get("value"), f"{name}: scorer {chosen}, sample {item}")
    if not numbers:
        raise Unreadable(f"{name}: scorer {chosen} scored nothing")
    return chosen, numbers


def _items(
    seen: Mapping[str, Mapping[int, object]], numbers: Mapping[str, float | None], epochs: int, name: str
) -> Iterator[tuple[str, tuple[float | None, ...]]]:
    """Scores per epoch where every item's come to Inspect's own number, else that number alone."""
    each = {item: tuple(_letter(values.get(epoch)) for epoch in range(1, epochs + 1)) for item, values in seen.items()}
    if all(_agrees(values, numbers.get(item)) for item, values in each.items()):
        yield from each.items()
        return
    for item in seen:
        yield item, (numbers.get(item),)
    if not seen:
        raise Unreadable(f"{name}: has no samples")


def _letter(value: object) -> float | None:
    if isinstance(value, str):
        return LETTERS.get(value)
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return float(value)
    return None


def _agrees(values: tuple[float | None, ...], mean: float | None) -> bool:
    known = [value for value in values if value is not None]
    if not known or mean is None:
        return not known and mean is None
    return isclose(fsum(known) / len(known), mean, abs_tol=1e-9)


def _count(fallback: Mapping[str, Any]) -> int:
    count = fallback.get("count", 1)
    return count if isinstance(count, int) and count > 0 else 1


def _json(data: bytes, name: str) -> Any:
    """A document; Inspect writes NaN where a number is none, as Python's own reader takes it."""
    if len(data) > LARGEST:
        raise Unreadable(f"{name}: is larger than {LARGEST >> 20} MiB")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name}: is not JSON, or was cut: {error}") from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
