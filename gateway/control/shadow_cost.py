"""What a shadow will cost at the last day's traffic, as far as the store can tell.

Rule of the file: nothing is guessed. Requests are counted in the journals and steps of the last day, money comes from the price
table, and what is not known is None with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState
from gateway.core.contract.exchange import Usage
from gateway.core.contract.journal import Step
from gateway.core.contract.release import Snapshot
from gateway.core.contract.run import run_digest
from gateway.core.contract.shadowing import Estimate
from gateway.core.pinning.classify import vendor_of
from gateway.core.pinning.prices import cost
from gateway.settings import tables
from gateway.settings.prices import PriceBook
from gateway.store import runs

DAY_MS = 86_400_000
RUNS = 200
"""Runs whose journals are read; of more, the number of requests is scaled up."""
LISTED = 5000
"""Newest runs of a release that are counted; of more, a day's number is reckoned from the time these took."""
STEPS = 2000
"""Entries of runs of one request that are read, likewise."""


async def estimate(
    desk: Desk, state: AliasState, shares: tuple[float, float], ways: Sequence[tuple[Snapshot, Snapshot]]
) -> Estimate:
    """Cost of a day. `shares` are rate and secondary; `ways` are the live snapshots, each with the candidate's.

    Where lanes have different live releases, the dearest is reckoned with.
    """
    rate, secondary = shares
    requests, steps = await _traffic(desk, state)
    used = [step.usage for step in steps if step.usage is not None]
    mean = _mean(used)
    candidate = again = None
    why = "" if requests else "no request of this alias is known from the last day"
    if requests and mean is None:
        why = "no provider said how many tokens the requests of the last day had"
    if mean is not None and requests:
        book = _book(desk)
        models = {str(each): book.find(str(each)) for way in ways for each in way}
        unknown = sorted(model for model, price in models.items() if price is None)
        if unknown:
            why = f"no price is known of {', '.join(unknown)}; write it under providers.NAME.prices"
        spent = {model: cost(mean, price) for model, price in models.items() if price is not None}
        theirs, own = [str(way[1]) for way in ways], [str(way[0]) for way in ways]
        if all(model in spent for model in theirs):
            candidate = round(requests * rate * max(spent[model] for model in theirs))
        if all(model in spent for model in own):
            again = round(requests * rate * secondary * max(spent[model] for model in own))
    return Estimate(
        requests=requests,
        sampled=len(used),
        input=mean.input if mean is not None else 0,
        output=mean.output if mean is not None else 0,
        candidate_micro=candidate,
        secondary_micro=again,
        cap_micro=round(desk.settings.shadow.budget * 24_000_000),
        why=why,
    )


async def _traffic(desk: Desk, state: AliasState) -> tuple[int, list[Step]]:
    """Requests of the alias in the last day, and those of them that were looked at."""
    since = desk.now_ms - DAY_MS
    alone, whole = await runs.of_one_request(desk.store, state.name, since_ms=since, limit=STEPS)
    found = list(alone)
    requests = _scaled(len(alone), desk.now_ms - min((s.at_ms for s in alone), default=0), whole=whole)
    for release in dict.fromkeys(lane.release for lane in state.lanes.values()):
        listed = await runs.of_release(desk.store, release, since_ms=since, limit=LISTED)
        stamps = [stamp for stamp in listed if stamp.alias == state.name]
        if not stamps:
            continue
        looked = 0
        for stamp in stamps[:RUNS]:
            journal = await runs.journal(desk.store, run_digest(stamp.tenant, stamp.run))
            steps = [step for step in journal.steps if step.alias == state.name and step.at_ms >= since]
            looked += len(steps)
            found += steps
        bound = _scaled(len(stamps), desk.now_ms - listed[-1].at_ms, whole=len(listed) < LISTED)
        requests += round(looked * bound / min(len(stamps), RUNS))
    return requests, found


def _scaled(count: int, span_ms: int, *, whole: bool) -> int:
    """Requests of a day from the newest ones: all there are, or as many as came in a shorter time."""
    return count if whole or not count else round(count * DAY_MS / max(span_ms, 1))


def _mean(used: Sequence[Usage]) -> Usage | None:
    if not used:
        return None
    return Usage(sum(u.input for u in used) // len(used), sum(u.output for u in used) // len(used))


def _book(desk: Desk) -> PriceBook:
    providers = desk.settings.providers
    vendors = {name: vendor_of(name, each.base_url, each.vendor) for name, each in providers.items()}
    return PriceBook(providers, vendors, tables.prices())
