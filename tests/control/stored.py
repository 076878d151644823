"""Stored pairs of an alias, as the shadow's workers leave them."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.contract.job import Job
from gateway.core.contract.pair import Difference, Dimension, Line, PairClass, Side, Turn
from gateway.store import pairs
from gateway.store.client import Store
from tests.shadow.jobs import BODY, chat, job


def line(told: Job, found: PairClass = PairClass.DIVERGENT, severity: float = 0.6, **more: Any) -> Line:
    """A line that says so, whatever the bodies say; `answer` stands for the candidate's side."""
    differs = (Difference(Dimension.NUMBERS, "$.text", "40", "41", severity),)
    return Line(
        pair=told.pair,
        tenant=told.tenant,
        run=told.run,
        step=told.step,
        turn=Turn.FIRST,
        at_ms=told.at_ms,
        primary=Side(told.primary, "openai/m", 200),
        candidate=more.pop("answer", Side(told.candidate, "openai/n", 200, cost=10)),
        pair_class=found,
        severity=severity,
        differences=differs if found is not PairClass.IDENTICAL else (),
        dialect=told.dialect,
        operation=told.operation,
        **more,
    )


async def keep(store: Store, number: int, releases: tuple[str, str], *, capture: str = "full", **more: Any) -> Line:
    """Store a pair with its line: the primary says 40, the candidate 41. `more` are members of the line and the job."""
    known = set(Line.__struct_fields__) - {"at_ms", "tenant", "run"} | {"answer"}
    members = {name: more.pop(name) for name in list(more) if name in known | {"found"}}
    primary, candidate = releases
    told = job(number, pair=f"req_{number}.{candidate}", primary=primary, candidate=candidate, capture=capture, **more)
    made = line(told, **members)
    about = {"alias": told.alias, "dialect": told.dialect, "operation": told.operation, "capture": capture}
    if capture == "full":
        about["job"] = msgspec.json.encode(told).decode()
    whole = capture in ("full", "redacted")
    contents = pairs.Contents(*((BODY, chat("It costs 40."), chat("It costs 41.")) if whole else ()), about=about)
    await pairs.keep(store, made, contents, 60_000)
    await pairs.finish(store, told.alias, candidate, made, told.at_ms)
    return made
