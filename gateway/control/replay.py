"""A candidate over the past: stored pairs of an alias become jobs for a candidate that was not there then.

Rule of the file: nothing is called here. Jobs go to the same workers, under the same caps, and the pair id makes it safe to ask
again: what has a result, or is on its way, is not handed over twice, so an interrupted replay is resumed by starting it again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import msgspec

from gateway.control.desk import Desk
from gateway.control.moves import callable_or_fault
from gateway.control.shadow_store import results
from gateway.core.binding.decide import bucket
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.job import Job
from gateway.core.contract.pair import Line
from gateway.core.contract.shadowing import Replayed
from gateway.settings.shadows import WHOLE, refusals
from gateway.store import pairs, releases, replays
from gateway.store.client import Store
from gateway.store.replays import Standing

BATCH = 200
"""Jobs handed over by one call, and that may wait for a worker: the rest of the queue is for what is live."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for. Requests made since `since_ms`, newest first, at most `limit`; `budget` is micro-USD, 0 for none."""

    alias: str
    candidate: str
    since_ms: int
    limit: int = 1000
    budget: int = 0
    secondary: float = 0.2
    look: bool = False
    """Only tell how far it is; hand nothing over."""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Stored requests, and what this candidate has of them."""

    open: dict[str, Line]
    """Pair id to be, and a line of the same request."""
    done: dict[str, Line]


async def replay(desk: Desk, order: Order) -> Replayed:
    """Hand over the next requests, as many as may wait, and tell how far the replay is.

    Raises Fault: 404 for unknown names, 409 `release_blocked`, `release_dead` or as the configuration refuses the candidate.
    """
    state = await desk.alias(order.alias)
    candidate = await desk.release(order.candidate)
    callable_or_fault(desk, candidate)
    stables = await releases.many(desk.store, [lane.release for lane in state.lanes.values()])
    for stable in stables.values():
        if stable.id == candidate.id or stable.snapshot.provider not in desk.settings.providers:
            continue
        for refusal in refusals(desk.settings, stable.snapshot, candidate.snapshot, order.secondary):
            if refusal.code != "capture_none":  # what is there was kept
                raise Fault(Kind.CONFLICT, refusal.code, refusal.message, param=refusal.key)
    async with results(desk) as store:
        return await _replayed(desk, store, order)


async def _replayed(desk: Desk, store: Store, order: Order) -> Replayed:
    found = _sorted(await pairs.lines(store, order.alias, since_ms=order.since_ms), order)
    costs = [side.cost for line in found.done.values() for side in (line.candidate, line.secondary) if side is not None]
    spent = sum(cost for cost in costs if cost is not None)
    stopped = "budget" if order.budget and spent >= order.budget else ""
    stands = list(
        zip(found.open, await replays.standing(store, order.alias, list(found.open), desk.now_ms), strict=True)
    )
    ended = sum(each is Standing.ENDED for _, each in stands)  # those without a line: skipped, or dead letters
    queued = sum(each is Standing.QUEUED for _, each in stands)
    waiting = [pair for pair, each in stands if each is Standing.OPEN]
    room = 0 if stopped or order.look else max(BATCH - queued, 0)
    limits = (desk.settings.shadow.queue, desk.settings.shadow.store_bytes)
    passed: Counter[str] = Counter()
    added = 0
    while waiting and added < room and not stopped:
        pair = waiting.pop(0)
        made = await _made(store, found.open[pair], pair, order, desk.now_ms)
        if isinstance(made, str):
            passed[made] += 1
        elif await replays.put(store, made[0], made[1:], limits, desk.now_ms):
            added += 1
        else:
            waiting.append(pair)
            stopped = "queue"
    return Replayed(
        alias=order.alias,
        candidate=order.candidate,
        pairs=len(found.open) + len(found.done) - sum(passed.values()),
        done=len(found.done) + ended,
        queued=queued + added,
        added=added,
        left=len(waiting),
        passed_over=dict(passed),
        spent_micro=spent,
        unpriced=sum(cost is None for cost in costs),
        stopped=stopped,
    )


def _sorted(lines: list[Line], order: Order) -> _Sorted:
    """Of each request one line, newest first; those the candidate has answered apart. Its own live pairs count as answered."""
    requests: dict[str, Line] = {}
    done: dict[str, Line] = {}
    for line in lines:
        if line.at_ms < order.since_ms or line.primary.release == order.candidate:
            continue
        request = line.pair.removesuffix(f".{line.candidate.release}")
        if line.candidate.release == order.candidate:
            done[request] = line
        requests.setdefault(request, line)
    newest = sorted(requests.items(), key=lambda each: -each[1].at_ms)[: order.limit]
    chosen = {request for request, _ in newest}
    return _Sorted(
        open={f"{request}.{order.candidate}": line for request, line in newest if request not in done},
        done={request: line for request, line in done.items() if request in chosen},
    )


async def _made(store: Store, line: Line, pair: str, order: Order, now_ms: int) -> tuple[Job, bytes, bytes] | str:
    """The job with body and reply, or why the request cannot be asked again."""
    stored = await pairs.get(store, line.tenant, line.pair)
    if stored is None:
        return "expired"
    contents = stored[1]
    if contents.about.get("capture") != "full" or "job" not in contents.about or not contents.request:
        return "not kept whole"
    job = msgspec.json.decode(contents.about["job"], type=Job)
    again = msgspec.structs.replace(
        job,
        pair=pair,
        candidate=order.candidate,
        secondary=bucket("replay", pair) < order.secondary * WHOLE,
        replay_ms=now_ms,
    )
    return again, contents.request, contents.primary
