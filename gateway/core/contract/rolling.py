"""What the operations of a rollout answer with: records of the admin API and of `--json`. Field names are a public interface."""

from __future__ import annotations

from gateway.core.contract.alias import Lane, Split, Stakes
from gateway.core.contract.records import Acknowledgement, Record
from gateway.core.contract.rollout import Facts, Rollout, Word


class Wait(Record, frozen=True):
    """One thing that a rollout waits for, or that stands in its way, and the command that helps."""

    what: str
    command: str = ""
    """Empty where only time or traffic helps."""


class RolloutMoved(Record, frozen=True):
    """Answer of every order to a rollout: before, after, and how fast the workers followed."""

    alias: str
    action: str
    changed: bool
    """False when there was nothing to do: asking twice is harmless."""
    version: int
    before: Rollout | None
    after: Rollout | None
    split_before: Split | None
    split_after: Split | None
    warnings: tuple[str, ...]
    override: str
    acknowledged: Acknowledgement
    waits: tuple[Wait, ...] = ()
    """What it waits for now."""


class RolloutStatus(Record, frozen=True):
    """Answer of `rollout status`: where it is, the numbers that decide, and what it waits for."""

    alias: str
    version: int
    stakes: Stakes
    at_ms: int
    """When this was read, wall clock."""
    rollout: Rollout | None
    """None when the alias never had one."""
    lanes: dict[str, Lane]
    split: Split | None
    barred: dict[str, str]
    models: dict[str, str]
    """Release id to `provider/model-id`, of candidate and incumbent."""
    facts: Facts | None
    """Of one that has ended only what was counted of it. None where nobody was exposed then, or the numbers could not be read."""
    waits: tuple[Wait, ...]
    possible: tuple[Word, ...]
    """What a person may do to it now."""
    conductor: str
    """The process that drives rollouts; empty while there is none."""
    heard_ms: int
    """Milliseconds since it last said so; -1 when there never was one. Above 10,000 no new run gets the candidate."""
    warnings: tuple[str, ...] = ()
