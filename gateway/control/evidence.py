"""Gate evidence as operators use it: the verdict on a candidate, and what is stored.

Rule of the file: a verdict is computed when it is asked for, from what is stored and the policy in force; none is stored.
"""

from __future__ import annotations

from gateway.control.desk import Desk
from gateway.core.contract.evidence import Evidence, GateReport
from gateway.core.gate.policy import Policy
from gateway.core.gate.verdict import judge
from gateway.store import evidence as stored

OF_PAIR = 50
"""Newest records of the same two releases that are judged."""
OF_OTHERS = 5
"""Newest records of other releases that are looked at, to say what is wrong with them."""


def policy_for(desk: Desk, alias: str) -> Policy:
    """What the alias's gate asks for, from the configuration."""
    declared = desk.settings.aliases.get(alias)
    return Policy(stakes=declared.stakes) if declared is not None else Policy()


def epochs(desk: Desk, *releases: str) -> dict[str, int]:
    """Drift epochs now, by snapshot, of these releases. A snapshot that was never seen to drift is left out."""
    del desk, releases
    return {}


async def report_for(desk: Desk, alias: str, candidate: str, incumbent: str) -> GateReport:
    """The gate's word on `candidate` in place of `incumbent`, from the evidence stored, as of `desk.now_ms`.

    Asks the store twice. Raises Fault when it cannot be read; it does not look whether alias and releases exist.
    """
    found = await _related(desk, alias, candidate, incumbent)
    return judge(
        found,
        policy_for(desk, alias),
        alias=alias,
        candidate=candidate,
        incumbent=incumbent,
        now_ms=desk.now_ms,
        epochs=epochs(desk, candidate, incumbent),
    )


async def _related(desk: Desk, alias: str, candidate: str, incumbent: str) -> list[Evidence]:
    entries = await stored.index(desk.store, alias)
    same = [each.digest for each in entries if (each.candidate, each.incumbent) == (candidate, incumbent)]
    others = [each.digest for each in entries if (each.candidate, each.incumbent) != (candidate, incumbent)]
    wanted = [*same[:OF_PAIR], *others[:OF_OTHERS]]
    return list((await stored.many(desk.store, wanted)).values()) if wanted else []
