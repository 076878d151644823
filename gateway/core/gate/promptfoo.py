"""Results of promptfoo (`promptfoo eval --output results.json`), version 3: passed or not, one file per release.

Rule of the file: a test is told by what it is, its variables and assertions, and not by its place: promptfoo numbers repeats on,
and a file that was filtered begins elsewhere. The same test again, in order, is a repeat of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from gateway.core.gate.brought import NAMED, Brought, Unreadable

LARGEST = 256 << 20
VERSION = 3
ERROR = 2
"""`failureReason` of an answer that never came, as against 1 of one that failed an assertion."""
OWN = ("sessionId",)
"""Variables that promptfoo sets itself, as it does those that begin with an underscore."""


def read(data: bytes, name: str) -> Brought:
    """The scores of a file: 1 for a test that passed, 0 for one that did not, none for an error.

    Raises Unreadable, also for a file with several providers or prompts, which would be several releases.
    """
    whole = _document(data, name)
    results = whole.get("results")
    if not isinstance(results, dict) or not isinstance(results.get("results"), list):
        raise Unreadable(f"{name}: is no output of promptfoo: it has no results.results")
    if results.get("version") != VERSION:
        raise Unreadable(f"{name}: is of version {results.get('version')!r}; this reads version {VERSION}")
    rows = [row for row in results["results"] if isinstance(row, dict)]
    if not rows:
        raise Unreadable(f"{name}: has no results")
    asked = sorted({(_provider(row), _text(row.get("promptIdx"))) for row in rows})
    if len(asked) > 1:
        told = ", ".join(dict.fromkeys(provider for provider, _ in asked))
        raise Unreadable(f"{name}: has {len(asked)} columns ({told}); write one file per release, of one prompt")
    found: dict[str, list[tuple[int, float | None]]] = {}
    for at, row in enumerate(rows):
        where = f"{name}: result {at}"
        found.setdefault(_item(row, where), []).append((_index(row, at), _score(row, where)))
    items = {item: tuple(score for _, score in sorted(told, key=lambda each: each[0])) for item, told in found.items()}
    about = whole.get("metadata")
    version = about.get("promptfooVersion", "") if isinstance(about, dict) else ""
    named = NAMED.search(asked[0][0])
    return Brought(
        engine=f"promptfoo {version}".strip(),
        items=items,
        models=Counter(asked[0][0] for _ in rows),
        release=named.group() if named else "",
        ended=_text(results.get("timestamp")),
    )


def _document(data: bytes, name: str) -> Mapping[str, Any]:
    if len(data) > LARGEST:
        raise Unreadable(f"{name}: is larger than {LARGEST >> 20} MiB")
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name}: is not JSON, or was cut: {error}") from error
    if not isinstance(whole, dict):
        raise Unreadable(f"{name}: is no output of promptfoo: not an object")
    return whole


def _item(row: Mapping[str, Any], where: str) -> str:
    """A test's name: its description and a digest of what makes it what it is."""
    test = row.get("testCase")
    case: Mapping[str, Any] = test if isinstance(test, dict) else {}
    variables = row.get("vars", case.get("vars"))
    if not isinstance(variables, dict):
        raise Unreadable(f"{where}: has no vars")
    plain = {key: value for key, value in variables.items() if not key.startswith("_") and key not in OWN}
    what = json.dumps([plain, case.get("assert")], sort_keys=True, ensure_ascii=False)
    told = _text(case.get("description"))[:80].strip() or "test"
    return f"{told}-{hashlib.sha256(what.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _score(row: Mapping[str, Any], where: str) -> float | None:
    reason, passed = row.get("failureReason"), row.get("success")
    if reason == ERROR or (reason is None and row.get("error") and not row.get("response")):
        return None
    if not isinstance(passed, bool):
        raise Unreadable(f"{where}: success is neither true nor false")
    return float(passed)


def _provider(row: Mapping[str, Any]) -> str:
    provider = row.get("provider")
    if isinstance(provider, dict):
        return _text(provider.get("label")) or _text(provider.get("id"))
    return _text(provider)


def _index(row: Mapping[str, Any], at: int) -> int:
    index = row.get("testIdx")
    return index if isinstance(index, int) else at


def _text(value: object) -> str:
    return "" if value is None else str(value)
