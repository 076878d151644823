"""A rollout: one candidate on its way from draft to stable, as one value inside its alias. What moves it, and what it is judged by.

Rule of the file: everything that a control process needs to go on where another died stands in these values, so a takeover
reads and never starts again.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Phase(StrEnum):
    """Where a rollout is."""

    DRAFT = "draft"
    SHADOWING = "shadowing"
    GATED = "gated"
    CANARY = "canary"
    AWAITING_APPROVAL = "awaiting_approval"
    PROMOTING = "promoting"
    FROZEN = "frozen"
    COMPLETED = "completed"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled_back"
    EXPIRED = "expired"


TERMINAL = frozenset({Phase.COMPLETED, Phase.ABORTED, Phase.ROLLED_BACK, Phase.EXPIRED})
EXPOSED = frozenset({Phase.CANARY, Phase.AWAITING_APPROVAL, Phase.PROMOTING, Phase.FROZEN})
"""Phases in which runs may be on the candidate."""


class Word(StrEnum):
    """What can happen to a rollout: the events of the state table."""

    START = "start"
    SHADOWED = "shadowed"
    """Enough trios, no hard failure of the candidate in shadow."""
    SKIP_SHADOW = "skip_shadow"
    SHADOW_FAILED = "shadow_failed"
    GO = "go"
    NO_GO = "no_go"
    OVERRIDE = "override"
    """A named person goes on without a GO."""
    ADVANCE = "advance"
    """Bake time over, samples reached, every guardrail clean, evidence still good."""
    APPROVE = "approve"
    REGRESSION = "regression"
    """A guardrail regressed, or a tripwire was hit too often: back, by itself."""
    FREEZE = "freeze"
    """A signal regressed, the ratio is off, data is missing or inconclusive, a drift alert, or a person."""
    CLEARED = "cleared"
    """The cause of a freeze is gone, and it is one that may clear by itself."""
    RESUME = "resume"
    ACCEPT = "accept_inconclusive"
    ABORT = "abort"
    ROLLBACK = "rollback"
    EXPIRE = "expire"
    RETRY = "retry"
    """Lifts the bar of a candidate that was aborted or rolled back."""


class Action(StrEnum):
    """What a regression of a metric does."""

    ROLLBACK = "rollback"
    FREEZE = "freeze"
    OBSERVE = "observe"


class Guardrail(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A metric that is watched, and what its regression does. Names: `core.rollout.metrics.METRICS`, or `outcome.NAME`."""

    metric: str
    action: Action = Action.ROLLBACK
    ratio: float = 1.0
    """Rate ratio, canary over control, that is tolerated."""
    above: float | str = ""
    """A value above this is bad: a number in the metric's unit, or `p95` of the incumbent before the rollout."""
    below: float | str = ""
    """A value below this is bad: a number, or `p05` of the incumbent."""
    noninferior: float = 0.0
    """To widen, the data must show that the rate ratio is below this; 0 asks for no such proof."""


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One step of a rollout: a weight in one lane. Lanes before it keep their last weight; in lanes after it nobody is exposed."""

    lane: str
    weight: int
    """Share of 10,000."""
    bake_ms: int
    runs: int
    """Canary units of this stage that must have been seen before the next."""
    approve: bool = False
    """A person must approve before this stage begins."""


class Plan(msgspec.Struct, frozen=True, omit_defaults=True):
    """A manifest with every default filled in: nothing in it changes while the rollout lives."""

    stages: tuple[Stage, ...]
    promoting: Stage
    """The last step: most runs on the candidate, a small holdback for comparison. Its lane is `*` and stands for all."""
    guardrails: tuple[Guardrail, ...]
    by: str = "run"
    """What sticks to its arm: run, tenant or user."""
    trios: int = 50
    """Shadow trios that are needed; 0 with `skip_shadow`."""
    shadow_rate: int = 1000
    """Share of runs, of 10,000, that is shadowed while shadowing."""
    shadow_secondary: int = 2000
    """Share of its pairs, of 10,000, that get a second live answer and so become trios."""
    shadow_failures: int = 500
    """Failed candidate calls, of 10,000 pairs, above which the shadow has failed."""
    alpha: float = 0.05
    """False rollbacks that are tolerated per rollout."""
    grace_ms: int = 24 * 3_600_000
    """How long a stage may be without any new canary unit before it is missing data."""
    deadline_ms: int = 7 * 86_400_000
    """How long a stage may last."""
    approval_ms: int = 3 * 86_400_000
    """How long an approval is waited for."""
    trips: int = 3
    """Tripwire hits that roll back; the first freezes."""
    canaries: tuple[str, ...] = ()
    """Strings that no answer and no call of the candidate may hold: one that does hits a tripwire."""


class Rollout(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a rollout is and how it got there. `at` indexes `plan.stages`; -1 before the first, their number in `promoting`."""

    id: str
    """16 hex digits; also the salt of its split."""
    candidate: str
    incumbent: str
    lanes: tuple[str, ...]
    plan: Plan
    phase: Phase = Phase.DRAFT
    at: int = -1
    since_ms: int = 0
    """When the phase, or the stage within it, began; a freeze does not change it for the stage it interrupts."""
    started_ms: int = 0
    version: int = 0
    """Version of the alias that its first write made: what was bound before it is not part of it."""
    frozen_from: Phase | None = None
    frozen_ms: int = 0
    causes: tuple[str, ...] = ()
    """Why it is frozen or has ended: `CODE` or `CODE:DETAIL`, codes of `core.rollout.table.CAUSES`."""
    waived: tuple[str, ...] = ()
    """Causes that a person resumed from in this stage: they do not freeze it again before the next; events, named by a detail, never."""
    accepted: tuple[int, ...] = ()
    """Stages whose inconclusive result a person accepted."""
    approved: tuple[int, ...] = ()
    evidence: tuple[str, ...] = ()
    """Digests of the gate evidence it went on."""
    shadow_report: str = ""
    """sha256 of the shadow report it went on."""
    limits: dict[str, float] = {}
    """Thresholds of values, by metric, fixed before anybody was exposed."""
    skip_shadow: str = ""
    """The stated reason to go without a shadow."""
    override: str = ""
    """`NAME: reason` of who goes on without a GO."""
    retried: bool = False
    """After its end: the bar of its candidate was lifted."""
    actor: str = ""
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Nothing moves it any more."""
        return self.phase in TERMINAL


class Verdict(StrEnum):
    """What the data says of one metric."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    """Nothing was observed; never 0, never a pass."""


class Finding(msgspec.Struct, frozen=True):
    """One metric's state: the counts it rests on, each from the release it names, and what follows."""

    metric: str
    action: Action
    verdict: Verdict
    e_value: float
    """Evidence that the canary's rate is above `ratio` times the control's; a regression at `threshold`."""
    threshold: float
    canary_bad: int
    canary_units: int
    control_bad: int
    control_units: int
    ratio: float
    noninferior_e: float = 0.0
    """Evidence that the rate ratio is below `noninferior`, where that is asked for."""
    limit: float | None = None
    """Threshold of the value, where the metric has one."""


class Tally(msgspec.Struct, frozen=True):
    """What was counted of one rollout, recomputable from the streams. A unit counts once per metric.

    Keys of the inner maps are `LANE ARM ALLOCATION`, such as `* canary 500`.
    """

    units: dict[str, int] = {}
    """Exposed units."""
    bad: dict[str, dict[str, int]] = {}
    """By metric: units with a bad event."""
    seen: dict[str, dict[str, int]] = {}
    """By metric: units with any observation, for what not every unit reports (`outcome.NAME`)."""
    trips: dict[str, int] = {}
    """Tripwire hits of the canary, by name: units."""
    twice: int = 0
    """Units that were exposed to both arms under one allocation: the assignment did not stick."""
    newest_ms: int = 0
    """Wall clock of the newest canary exposure; 0 for none."""
    first_bad_ms: int = 0
    """Wall clock of the canary's first bad event of a metric that rolls back; 0 for none."""
    first: dict[str, int] = {}
    """Units by their first exposure, whose arm is random; a tenant, user or opening that comes again under another
    allocation is in `units` again."""
    lost_ms: int = 0
    """Store's clock when entries were last found gone before they were counted; 0 for never."""

    @property
    def lost(self) -> bool:
        """Whether anything was lost before it was counted."""
        return self.lost_ms > 0


class ShadowFacts(msgspec.Struct, frozen=True):
    """What the shadow of a candidate says: trios compared, pairs in all, and candidate calls that failed."""

    trios: int
    pairs: int
    failures: int
    report: str = ""
    """sha256 of the report this was read from."""


class GateFacts(msgspec.Struct, frozen=True):
    """The gate's word on the candidate against its incumbent: GO, NO-GO, INSUFFICIENT, or MISSING where no fresh evidence fits."""

    verdict: str
    evidence: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


class Facts(msgspec.Struct, frozen=True):
    """Everything that the next event of a rollout depends on, at one moment."""

    now_ms: int
    tally: Tally = Tally()
    findings: tuple[Finding, ...] = ()
    health: tuple[str, ...] = ()
    """Causes the health checks found: `sample_ratio`, `exposed_twice`, `missing_outcomes`."""
    shadow: ShadowFacts | None = None
    gate: GateFacts = GateFacts("MISSING")
    alarms: tuple[str, ...] = ()
    """Causes from outside the rollout: `drift`, `undeclared`, `nameless_tools`, `events_lost`."""
    errors: int = 0
    """Times in a row that the facts could not be read."""
