"""The neutral format: JSON Lines, one answer a line, one file per release.

A line has `problem_idx` (a number or a text), `reward` (0 to 1; null where the answer has no score), and may have `repeat`
(0 by default), `model` and `metadata` with `category` and `group`. It is what NVIDIA's NeMo Evaluator writes as
`results.jsonl` (Apache-2.0); members beyond these are passed over.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from gateway.core.gate.brought import Brought, Unreadable, number, strangers

LARGEST = 256 << 20
LINES = 2_000_000
ENGINE = "jsonl"


def read(data: bytes, name: str) -> Brought:
    """The scores of a file; `name` is what errors call it. Raises Unreadable with the line that is wrong."""
    if len(data) > LARGEST:
        raise Unreadable(f"{name}: is larger than {LARGEST >> 20} MiB")
    found: dict[str, dict[int, float | None]] = {}
    categories: dict[str, str] = {}
    groups: dict[str, str] = {}
    models: Counter[str] = Counter()
    for at, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        if at > LINES:
            raise Unreadable(f"{name}:{at}: there are more than {LINES} lines")
        where = f"{name}:{at}"
        told = _object(line, where)
        item, repeat = _place(told, where)
        scores = found.setdefault(item, {})
        if repeat in scores:
            raise Unreadable(f"{where}: problem {item}, repeat {repeat} is there twice; one file is of one release")
        scores[repeat] = number(told.get("reward"), where)
        about = told.get("metadata")
        if isinstance(about, dict):
            categories |= {item: str(about["category"])} if about.get("category") else {}
            groups |= {item: str(about["group"])} if about.get("group") else {}
        if isinstance(told.get("model"), str):
            models[told["model"]] += 1
    if not found:
        raise Unreadable(f"{name}:1: has no line with a score")
    items = {item: tuple(scores[repeat] for repeat in sorted(scores)) for item, scores in found.items()}
    return Brought(ENGINE, items, categories=categories, groups=groups, models=models, fallbacks=strangers(models))


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        told = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{where}: is not JSON: {error}") from error
    if not isinstance(told, dict) or "problem_idx" not in told or "reward" not in told:
        raise Unreadable(f"{where}: must be an object with problem_idx and reward")
    return told


def _place(told: dict[str, Any], where: str) -> tuple[str, int]:
    item, repeat = told["problem_idx"], told.get("repeat", 0)
    if not isinstance(item, str | int) or isinstance(item, bool) or str(item) == "":
        raise Unreadable(f"{where}: problem_idx must be a number or a text")
    if not isinstance(repeat, int) or isinstance(repeat, bool) or repeat < 0:
        raise Unreadable(f"{where}: repeat must be a number from 0 on")
    return str(item), repeat
