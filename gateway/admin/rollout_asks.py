"""What the operations of a rollout are asked with. Member names are a public interface, as the records of the answers are."""

from __future__ import annotations

from gateway.admin.asks import Id, Reason
from gateway.admin.table import Ask
from gateway.core.rollout.manifest import Manifest


class RolloutOne(Ask, frozen=True):
    """The rollout of an alias."""

    alias: Id


class RolloutPlanAsk(Ask, frozen=True):
    """What a rollout would take."""

    alias: Id
    manifest: str
    """The manifest as JSON."""


class RolloutStart(Ask, frozen=True):
    """Begin a rollout."""

    alias: Id
    manifest: Manifest
    reason: Reason
    supersede: bool = False
    """Abort the rollout in progress first."""
    acknowledged: bool = False
    """Answers for what the shadow of the candidate asks somebody to answer for."""
    attested: str = ""
    """A person's statement that an id of class unpinnable or unknown is fixed."""


class RolloutWord(Ask, frozen=True):
    """An order that always says why."""

    alias: Id
    reason: Reason


class RolloutApprove(Ask, frozen=True):
    """Let the next stage begin."""

    alias: Id
    reason: Reason = ""
    """Needed at stakes `high`."""


class RolloutResume(Ask, frozen=True):
    """Go on in spite of what froze it."""

    alias: Id
    reason: Reason
    accept_inconclusive: bool = False
    """Accept that the stage left a metric open, or without data."""


class RolloutOverride(Ask, frozen=True):
    """Go on without a GO of the gate."""

    alias: Id
    reason: Reason
    override: str = ""
    """Name of the person who answers for it; by default the actor. Stays in the history for ever."""


class RolloutRetry(Ask, frozen=True):
    """Lift the bar of a candidate."""

    alias: Id
    reason: Reason
    candidate: str = ""
    """By default the last rollout's."""
