"""What a shadow found, for people and programs: the report, pairs by severity, one pair with both answers.

Rule of the file: nothing here changes anything. What anybody said is told only where the caller may see contents, and where the
capture mode kept it.
"""

from __future__ import annotations

import re

import msgspec

from gateway.control.desk import Desk
from gateway.control.shadow_report import report as reported
from gateway.control.shadow_store import results
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.pair import Line, Side
from gateway.core.contract.shadowing import AnswerText, LinePage, PairDetail, PairRow, ShadowReport
from gateway.core.dialect.base import reply_of
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation
from gateway.store import aliases, pairs
from gateway.store.client import Store
from gateway.store.pairs import Contents


class PageOrder(msgspec.Struct, frozen=True):
    """Which lines are asked for; `before` is the cursor of the page before, empty for the first."""

    alias: str
    candidate: str = ""
    since_ms: int = 0
    before: str = ""
    limit: int = 500


async def report(desk: Desk, alias: str, candidate: str = "", since_ms: int = 0) -> ShadowReport:
    """The report of one candidate over the pairs whose requests were made since then.

    Counts of how jobs ended are over all time. Without a candidate the alias must have had only one.
    Raises Fault: 404 `alias_unknown`, 400 `candidate_needed`.
    """
    state = await desk.alias(alias)
    async with results(desk) as store:
        counts = await pairs.counts(store, alias)
        known = tuple(dict.fromkeys([*(each.candidate for each in state.shadows), *counts]))
        name = candidate or _only(alias, known)
        lines = await _lines(store, alias, name, since_ms)
    return reported(alias, name, lines, {word: n for word, n in counts.get(name, {}).items() if n})


async def listed(
    desk: Desk, alias: str, candidate: str = "", *, sort: str = "severity", limit: int = 10
) -> list[PairRow]:
    """Pairs of an alias, the gravest or the newest first. Raises Fault 404 `alias_unknown`."""
    await desk.alias(alias)
    async with results(desk) as store:
        found = await _lines(store, alias, candidate, 0)
    if sort == "severity":
        found.sort(key=lambda line: (-line.severity, line.similarity, -line.at_ms))
    else:
        found.sort(key=lambda line: -line.at_ms)  # a line compared again is a newer entry
    return [_row(line) for line in found[:limit]]


async def page(desk: Desk, order: PageOrder) -> LinePage:
    """Whole lines, newest first, a page at a time; fewer than asked for, or none, where others are of another candidate.

    Raises Fault 404 `alias_unknown`, 400 `bad_cursor`.
    """
    await desk.alias(order.alias)
    entry_id(order.before)
    async with results(desk) as store:
        found = await pairs.entries(store, order.alias, since_ms=order.since_ms, before=order.before, limit=order.limit)
    lines = (line for _, line in found if line.at_ms >= order.since_ms)
    return LinePage(
        lines=tuple(line for line in lines if order.candidate in ("", line.candidate.release)),
        before=found[-1][0] if len(found) == order.limit else "",
    )


def entry_id(before: str) -> None:
    """Raise Fault 400 `bad_cursor` for what is no entry id of a stream."""
    if before and not re.fullmatch(r"\d{1,20}-\d{1,20}", before):
        message = "the cursor is not one that an answer gave; leave it out to begin"
        raise Fault(Kind.BAD_REQUEST, "bad_cursor", message, param="before")


async def show(desk: Desk, pair: str, *, alias: str = "", tenant: str = "", contents: bool = False) -> PairDetail:
    """One pair; its answers put together where `contents` says that the caller may see them.

    `alias` and `tenant` only spare the search. Raises Fault 404 `pair_unknown`.
    """
    async with results(desk) as store:
        line = None
        for name in [alias] if alias else await aliases.names(desk.store):
            line = await pairs.find(store, name, pair)
            if line is not None:
                break
        whose = line.tenant if line is not None else tenant
        stored = await pairs.get(store, whose, pair) if whose else None
    told = line or (stored[0] if stored is not None else None)
    if told is None:
        message = f"there is no pair {pair}; `trivet shadow pairs ALIAS` lists them"
        raise Fault(Kind.NOT_FOUND, "pair_unknown", message, param="pair")
    kept = stored[1] if stored is not None else Contents()
    detail = _bare(told, kept, stored=stored is not None)
    if not contents or not kept.request:
        return detail
    return msgspec.structs.replace(
        detail,
        request=kept.request.decode("utf-8", "replace"),
        primary=_answer(told, told.primary, kept.primary),
        candidate=_answer(told, told.candidate, kept.candidate),
        secondary=_answer(told, told.secondary, kept.secondary) if told.secondary is not None else None,
    )


def without_values(line: Line) -> Line:
    """A line for who may not see contents: where the answers differ and how gravely, not what they said."""
    return msgspec.structs.replace(
        line,
        differences=tuple(msgspec.structs.replace(d, primary="", candidate="") for d in line.differences),
        noise=tuple(msgspec.structs.replace(d, primary="", candidate="") for d in line.noise),
    )


async def _lines(store: Store, alias: str, candidate: str, since_ms: int) -> list[Line]:
    found = await pairs.lines(store, alias, since_ms=since_ms)
    return [line for line in found if line.at_ms >= since_ms and candidate in ("", line.candidate.release)]


def _only(alias: str, known: tuple[str, ...]) -> str:
    if len(known) == 1:
        return known[0]
    told = f"its candidates: {', '.join(known)}" if known else "none ever ran; `trivet shadow start` starts one"
    message = f"say which candidate of {alias} is meant with --candidate; {told}"
    raise Fault(Kind.BAD_REQUEST, "candidate_needed", message, param="candidate")


def _row(line: Line) -> PairRow:
    ordered = sorted(line.differences, key=lambda each: -each.severity)
    return PairRow(
        pair=line.pair,
        tenant=line.tenant,
        run=line.run,
        step=line.step,
        turn=line.turn,
        at_ms=line.at_ms,
        candidate=line.candidate.release,
        pair_class=line.pair_class,
        severity=line.severity,
        similarity=line.similarity,
        differs=tuple(f"{each.dimension.value} {each.path}" for each in ordered),
    )


def _bare(line: Line, kept: Contents, *, stored: bool) -> PairDetail:
    return PairDetail(
        line=line,
        capture=kept.about.get("capture", ""),
        kept=stored and bool(kept.request),
        request=None,
        primary=None,
        candidate=None,
        secondary=None,
    )


def _answer(line: Line, side: Side, body: bytes) -> AnswerText:
    """An answer put together from its bytes; a failed one has its code and whatever came."""
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[str] = []
    finish = ""
    if body and line.dialect in DIALECTS:
        for message in reply_of(DIALECTS[line.dialect], Operation(line.operation), body, stream=side.stream).messages:
            texts += [part for part in (message.text, message.refusal) if part]
            thoughts += [message.reasoning] if message.reasoning else []
            calls += [f"{call.name}({call.arguments})" for call in message.tool_calls]
            finish = finish or message.finish
    failed = side.failed or ("" if 200 <= side.status < 300 else str(side.status))
    if failed and not texts:
        texts = [body[:2000].decode("utf-8", "replace")]
    return AnswerText(
        release=side.release,
        model=side.model,
        failed=failed,
        text="\n\n".join(texts),
        reasoning="\n\n".join(thoughts),
        calls=tuple(calls),
        finish=finish,
    )
