"""Has the traffic of a stable release changed by itself: does it decline, break its schema, break off or ramble more than it did?

Rule of the file: it reads what is written anyway, a bounded sample of it, and each request or run counts once. Another mix of
inputs looks the same as another model, so an alarm asks for a window of probes and freezes nothing. Errors count nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.core.contract.alias import AliasState
from gateway.core.contract.exchange import Outcome
from gateway.core.contract.journal import Step
from gateway.core.contract.probing import Passive
from gateway.core.contract.records import HistoryEntry
from gateway.core.diff.finish import Ending, ending
from gateway.core.stats import detector
from gateway.sentinel.series import moment
from gateway.store import epochs, probes
from gateway.store.client import Store
from gateway.store.records import ENTRY, decode_entry

METRICS = ("refusal", "schema", "truncation", "long")
SCHEMA = frozenset(("invalid_json", "invalid_tool_call", "malformed_function_call"))
"""Flags, and Gemini's ending, of an answer that is not the JSON it should be, or calls a tool with what its schema does not take."""
UNREAD = "unchecked"
"""Flag of one that nobody read for that: it counts neither way."""
WHAT = {
    "refusal": "that decline",
    "schema": "that fit no schema",
    "truncation": "that are truncated",
    "long": "longer than nineteen of twenty were",
}
WORDS = {Ending.TRUNCATED: "truncation", Ending.REFUSAL: "refusal", Ending.FILTERED: "refusal"}
REFERENCE = 500
"""Units of the reference; the first half says what is long."""
LONG = 0.95
"""Share of the reference's first half that is no longer than `long`."""
ENTRIES = 2000
"""Entries of an alias's stream that one look takes, two a request; of more it takes the newest."""
RUNS = 100
"""Runs of a release that one look takes, the newest,"""
STEPS = 5
"""and steps of each, the first,"""
SETTLED_MS = 60_000
"""once they were bound so long ago."""


async def look(store: Store, snapshot: str, alias: str, release: str, now_ms: int) -> Passive:
    """Take in what the traffic of a stable release showed since the last look. Raises Fault for the store."""
    name = field(alias, release)
    known = await probes.passive(store, snapshot, name)
    units, seen = await _requests(store, alias, release, known.seen)
    until_ms = now_ms - SETTLED_MS
    if known.runs_ms:
        units += await _runs(store, release, known.runs_ms, until_ms)
    after = msgspec.structs.replace(taken(known, units, now_ms), seen=seen, runs_ms=until_ms)
    if after != known:
        await probes.put_passive(store, snapshot, name, after)
    return after


async def tell(store: Store, snapshot: str, alias: AliasState, release: str, found: Passive) -> None:
    """Write the last alarm into the alias's history: once, whoever asks. Raises Fault for the store."""
    entry = HistoryEntry(
        at_ms=found.alarm_ms,
        actor="sentinel",
        action="traffic",
        reason=f"{snapshot}: {found.test}",
        version=alias.version,
        before=None,
        after=None,
        operation=f"traffic:{release}:{found.alarm_ms}",
        evidence=snapshot,
        note=(
            f"other questions raise it as another model does, so probes of {release} begin now, and it freezes nothing: "
            f"`trivet drift status {snapshot}` says what they find"
        ),
    )
    await epochs.note(store, alias.name, entry)


def field(alias: str, release: str) -> str:
    """Where a release's traffic is kept."""
    return f"passive:{alias}:{release}"


def taken(known: Passive, units: Sequence[Sequence[Step]], now_ms: int) -> Passive:
    """What is known with these units in it, each a request or the first steps of a run. Pure."""
    for unit in units:
        known = _one(known, unit, now_ms)
    return known


def said(metric: str, known: Passive, value: float) -> str:
    """An alarm in words: the test, its statistic and threshold, and the reference."""
    units = {"long": REFERENCE // 2, "schema": max(REFERENCE - known.unread, 1)}.get(metric, REFERENCE)
    of = f"{WHAT[metric]}: {known.bad.get(metric, 0)} of {units} in the reference"
    since = f" of {moment(known.reference_ms)}" if known.reference_ms else ""
    return (
        f"e-detector on the traffic: its share of answers {of}{since}, at most {known.rates[metric]:.1%} tolerated; "
        f"evidence {value:.3g} over {1 / detector.ALPHA:.0f} after {known.units + 1 - REFERENCE} more"
    )


def says(step: Step) -> bool:
    """Whether a step shows how the model answers: an error of the way there shows nothing."""
    return step.outcome is Outcome.OK or ending(step.code) is Ending.FILTERED


def _one(known: Passive, unit: Sequence[Step], now_ms: int) -> Passive:
    replace = msgspec.structs.replace
    length = max((step.usage.output for step in unit if step.usage is not None), default=0)
    bad = {WORDS[word] for step in unit if (word := ending(step.finish or step.code)) in WORDS}
    if known.long and length > known.long:
        bad.add("long")
    flags = {flag for step in unit for flag in (*step.flags, step.finish.lower())}
    if flags & SCHEMA:
        bad.add("schema")
    unread = UNREAD in flags and "schema" not in bad
    units = known.units + 1
    if not known.rates:
        counted = {name: known.bad.get(name, 0) + (name in bad) for name in METRICS}
        known = replace(known, units=units, bad=counted, unread=known.unread + unread)
        if not known.long:
            known = replace(known, lengths=(*known.lengths, length))
            if units >= REFERENCE // 2:
                ordered = sorted(known.lengths)
                known = replace(known, long=max(ordered[int(LONG * len(ordered))], 1), lengths=())
        if units < REFERENCE:
            return known
        counts = dict.fromkeys(METRICS, units) | {"long": REFERENCE // 2, "schema": max(units - known.unread, 1)}
        rates = {name: detector.tolerated(known.bad[name], counts[name]) for name in METRICS}
        sums = dict.fromkeys(METRICS, detector.BEGIN)
        return replace(known, rates=rates, sums=sums, reference_ms=now_ms)
    sums = {
        name: detector.seen(known.sums[name], rate, bad=name in bad)
        if name != "schema" or not unread
        else known.sums[name]
        for name, rate in known.rates.items()
        if 0 < rate < 1
    }
    risen = next((name for name, held in sums.items() if detector.alarmed(held)), "")
    if risen:  # told once: what it is like now is the reference from here on, and probes say whether the model changed
        return Passive(
            known.seen,
            known.runs_ms,
            alarms=known.alarms + 1,
            alarm=risen,
            alarm_ms=now_ms,
            test=said(risen, known, detector.value(sums[risen])),
        )
    return replace(known, units=units, sums=sums)


async def _requests(store: Store, alias: str, release: str, after: str) -> tuple[list[list[Step]], str]:
    """Runs of one request since the last look, oldest first, and the last entry that was read."""
    start = f"({after}" if after else "-"
    page = await store.read("XREVRANGE", store.keys.steps(alias), "+", start, "COUNT", ENTRIES)
    if not page:
        return [], after
    last = page[0][0].decode()
    if not after:
        return [], last  # what was before the first look may be of any time
    return [[step] for step in _steps(reversed(page), release)], last


async def _runs(store: Store, release: str, after_ms: int, until_ms: int) -> list[list[Step]]:
    key = store.keys.release_runs(release)
    found = await store.read("ZREVRANGEBYSCORE", key, until_ms, f"({after_ms}", "LIMIT", 0, RUNS)
    keys = [store.keys.journal_of(run.decode()) for run in reversed(found)]
    pages = await store.read_many([("XRANGE", each, "-", "+", "COUNT", STEPS) for each in keys])
    units = [_steps(page, release) for page in pages]
    return [unit for unit in units if unit]


def _steps(page: Iterable[tuple[bytes, Any]], release: str) -> list[Step]:
    found = []
    for _, fields in page:
        try:
            entry = decode_entry(fields[ENTRY.encode()])
        except (KeyError, msgspec.MsgspecError):
            continue
        if isinstance(entry, Step) and entry.release == release and says(entry):
            found.append(entry)
    return found
