"""An alias is what has releases. Its state is one value with one version: a reader sees a whole state or an older whole state, never a mix."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.core.contract.rollout import Rollout

EVERYONE = "*"
"""The lane every tenant without a lane of its own falls into."""


class Stakes(StrEnum):
    """How much rigor applies to an alias."""

    LOW = "low"
    STANDARD = "standard"
    HIGH = "high"


class SideEffects(StrEnum):
    """Whether the agent behind an alias acts on the world: decides if a tool-carrying request may ride a floating model."""

    UNSTATED = "unstated"
    NONE = "none"
    REAL = "real"


class Arm(StrEnum):
    """Which side of a split a run is on."""

    STABLE = "stable"
    CANARY = "canary"


class Lane(msgspec.Struct, frozen=True, omit_defaults=True):
    """One lane's pointer. Lane names: `tenant:NAME`, `segment:NAME` or `*`."""

    release: str
    previous: tuple[str, ...] = ()
    """Releases that were stable in this lane before, newest first, without repeats; rollback takes only these."""
    rolled_back: str = ""
    """The release this lane was rolled back from, until something else becomes stable: rolling back twice is then harmless."""


class Split(msgspec.Struct, frozen=True, omit_defaults=True):
    """The live part of a rollout: who gets the candidate."""

    candidate: str
    salt: str
    weights: dict[str, int] = {}
    """Lane to the candidate's share of 10,000 of its new runs. A lane that is not named has no part in the rollout."""
    by: str = "run"
    """What sticks to its arm: `run`, `tenant` or `user`."""
    since: int = 0
    """Version of the alias that began the rollout: what was bound before is not observed for it."""

    @property
    def weight(self) -> int:
        """The largest share in any lane; 0 while nobody new is exposed."""
        return max(self.weights.values(), default=0)

    @property
    def lanes(self) -> tuple[str, ...]:
        """The lanes that have a part in it."""
        return tuple(self.weights)


class Shadow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A candidate that runs alongside on a share of the runs: its answers are stored and compared, never served."""

    candidate: str
    salt: str
    rate: int = 1000
    """Share of runs of 10,000: a run is shadowed whole or not at all."""
    secondary: int = 2000
    """Share of pairs of 10,000 for which the primary's own release is asked a second time, for noise."""
    started_ms: int = 0
    until_ms: int = 0
    """End of the shadow; 0 is until it is stopped."""


class AliasState(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything a live worker needs to bind a run of this alias."""

    name: str
    version: int
    lanes: dict[str, Lane]
    stakes: Stakes = Stakes.STANDARD
    side_effects: SideEffects = SideEffects.UNSTATED
    epoch: int = 0
    """Fencing epoch of the control process; a script refuses a lower one."""
    split: Split | None = None
    shadows: tuple[Shadow, ...] = ()
    """Candidates that run alongside; at most one entry per candidate."""
    rollout: Rollout | None = None
    """The rollout in progress, or the last one that ended."""
    barred: dict[str, str] = {}
    """Releases that were aborted or rolled back, with the reason: not candidates again until `retry`."""
    learned: bool = False
    """True when the alias was made by `unmanaged: learn`, not by a person."""
