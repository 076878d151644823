"""Evidence as tests need it: from means to scores, from scores to a record."""

from __future__ import annotations

import random
from collections.abc import Sequence

from gateway.core.contract.evidence import Evidence, GateReport, Origin, Score, SuiteEvidence
from gateway.core.contract.suite import SuiteKind
from gateway.core.gate.policy import DAY_MS, Declared, Policy
from gateway.core.gate.stale import Wanted
from gateway.core.gate.verdict import judge

NOW = 1_700_000_000_000
ALIAS, NEW, OLD = "agent", "rel_2", "rel_1"


def flips(items: int, only_incumbent: int = 0, only_candidate: int = 0, failed: int = 0) -> tuple[Score, ...]:
    """Yes-or-no scores, asked once: so many flips each way, so many failed by both, the rest passed by both."""
    cells = [(0.0, 1.0)] * only_incumbent + [(1.0, 0.0)] * only_candidate + [(0.0, 0.0)] * failed
    cells += [(1.0, 1.0)] * (items - len(cells))
    return tuple(Score(f"i{at}", (one,), (other,)) for at, (one, other) in enumerate(cells))


def drawn(dice: random.Random, rates: Sequence[tuple[float, float]], repeats: int = 1) -> tuple[Score, ...]:
    """Scores of items that the candidate and the incumbent pass with these chances."""

    def asked(rate: float) -> tuple[float, ...]:
        return tuple(float(dice.random() < rate) for _ in range(repeats))

    return tuple(Score(f"i{at}", asked(one), asked(other)) for at, (one, other) in enumerate(rates))


def suite(
    scores: Sequence[Score], kind: SuiteKind = SuiteKind.TASK, name: str = "", repeats: int = 1, **more: object
) -> SuiteEvidence:
    """A suite's part of a record; its name is the kind's unless another is given."""
    members = {"digest": "d" * 64, **more}
    return SuiteEvidence(name or f"{kind.value}@1", kind, repeats=repeats, scores=tuple(scores), **members)  # type: ignore[arg-type]


def evidence(*suites: SuiteEvidence, **more: object) -> Evidence:
    """A record of the gateway's own run that ended a day ago."""
    members: dict[str, object] = {
        "alias": ALIAS,
        "candidate": NEW,
        "incumbent": OLD,
        "origin": Origin.GATEWAY,
        "engine": "trivet 0",
        "actor": "alice",
        "started_ms": NOW - DAY_MS - 1000,
        "ended_ms": NOW - DAY_MS,
        **more,
    }
    return Evidence(suites=tuple(suites), **members)  # type: ignore[arg-type]


def declared(*kinds: SuiteKind, **more: object) -> Policy:
    """A policy that declares a suite of each kind, as `suite` names them."""
    return Policy(tuple(Declared(f"{kind.value}@1", "d" * 64, kind, **more) for kind in kinds))  # type: ignore[arg-type]


def judged(policy: Policy, *found: Evidence, **more: object) -> GateReport:
    """The verdict on NEW in place of OLD, now."""
    members: dict[str, object] = {"alias": ALIAS, "candidate": NEW, "incumbent": OLD, "now_ms": NOW, **more}
    return judge(found, policy, Wanted(**members))  # type: ignore[arg-type]
