"""What the sentinel knows of a snapshot: who answered for it, since when it behaves as it does, when it retires, and which
release can be called right now.

Rule of the file: everything has the time and the source it was learnt from; what was not looked at is unknown, never fine.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gateway.core.contract.records import Record


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer's own words on who gave it, told once per worker and then when they change."""

    snapshot: str
    """`provider/model-id` that was called."""
    endpoint: str
    model: str
    """As the answer names it; empty when it names none."""
    fingerprint: str
    release: str
    alias: str
    at_ms: int
    mismatch: bool = False
    """The answer names another model than the pinned one."""


class Alarm(StrEnum):
    """Why a new drift epoch began."""

    MODEL = "model"
    """Another model answers."""
    PROBE = "probe"
    """Probes answer otherwise than the reference, twice in a row."""
    LOGPROB = "logprob"
    ACKNOWLEDGED = "acknowledged"
    """A person took what is there now for the reference."""


class Epoch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A period in which a snapshot's observed identity and behaviour were constant. Numbers begin at 1."""

    number: int = 1
    since_ms: int = 0
    alarm: Alarm | None = None
    before: str = ""
    after: str = ""
    test: str = ""
    """Which test said so, its statistic and its threshold, in words."""
    endpoint: str = ""
    """Where it was seen; empty where that does not matter."""

    @property
    def open(self) -> bool:
        """It began with an alarm that nobody has acknowledged."""
        return self.alarm is not None and self.alarm is not Alarm.ACKNOWLEDGED


class Sighted(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an endpoint named last as the model that answers for a snapshot."""

    model: str
    fingerprint: str = ""
    since_ms: int = 0
    """Since when it names this model."""
    at_ms: int = 0
    """When it was told last; workers tell again every few minutes while there is traffic."""
    mismatch: bool = False


class Watched(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything that is kept of a snapshot's identity."""

    epoch: Epoch = Epoch()
    observed: dict[str, Sighted] = {}
    """By endpoint."""
    names: dict[str, int] = {}
    """Models named lately, and when each was told last: one among them is no news, whichever endpoint names it."""
    seen: str = "0-0"
    """Id of the last entry of the stream that is in here."""
    drifted: int = 0
    """Epoch that began because another model answers, until somebody acknowledges it; 0 for none."""
    news_ms: int = 0
    """When a change of the model was last told."""
    told: int = 1
    """The last epoch that stands in the histories."""

    @property
    def open(self) -> bool:
        """There is an alarm that nobody has acknowledged."""
        return self.epoch.open or self.drifted > 0


class Proof(StrEnum):
    """Whether a release can be called, by its last call."""

    PROVEN = "proven"
    UNPROVEN = "unproven"
    """Never called, or longer ago than the interval."""
    DEAD = "dead"
    """Its provider says that the model is gone or the credential is refused."""


class Callable(Record, frozen=True):
    """A release's last proof, as `trivet:proofs` keeps it."""

    release: str
    proof: Proof
    at_ms: int
    """When a call worked last, 0 for never; of a dead release, when its provider said so last."""
    source: str
    """live, probe, gate or shadow; empty for a release that never was called."""
    why: str = ""
    """What its provider said, or what keeps it from being asked."""
    seen_ms: int = 0
    """The newest call that is in here, whatever came of it."""
    refusals: int = 0
    """Calls since the last one that worked to which its provider said that the model is gone or the credential is refused."""
    refused_ms: int = 0
    """The first of them."""
    troubles: int = 0
    """Calls in a row that said nothing of the release: busy, slow, failing."""
    asked_ms: int = 0
    """When it was probed last."""


class Retirement(Record, frozen=True):
    """When a snapshot retires, and who says so."""

    snapshot: str
    retires: str
    """YYYY-MM-DD; empty when nobody says."""
    deprecated: str
    replacement: str
    source: str
    """A public page, or `provider` for the provider's own model endpoint."""
    read_ms: int
    earliest: str = ""
    """YYYY-MM-DD: the vendor says that it will not retire before; no date to plan by."""


class WarmRow(Record, frozen=True):
    """One release that a lane can roll back to: `trivet warm`."""

    alias: str
    lane: str
    place: int
    """0 is stable, 1 the newest previous one, and so on; -1 a candidate."""
    release: str
    model: str
    proof: Proof
    at_ms: int
    age_ms: int | None
    """How long ago that was; None for never."""
    source: str
    why: str
    days_left: int | None
    """Days until its model retires; None when nobody says."""
    ready: bool
    """It can take runs right now: proven, and not blocked."""


class LifecycleRow(Record, frozen=True):
    """One snapshot that a release in use names: a line of `trivet lifecycle`."""

    snapshot: str
    used: tuple[str, ...]
    """`ALIAS LANE ROLE RELEASE`: what names it; the role is stable, candidate or warm."""
    retires: str
    """YYYY-MM-DD; empty when nobody says."""
    days_left: int | None
    """Whole days until then, negative after it; None when nobody says."""
    earliest: str
    deprecated: str
    replacement: str
    """The successor that is callable beyond the horizon, as `provider/model-id`; empty when none is known."""
    source: str
    """A public page, `provider`, or empty when nobody says anything."""
    read_ms: int


class LifecyclePath(Record, frozen=True):
    """The way of one alias from a release whose model retires to its successor: a part of `trivet lifecycle --plan`."""

    alias: str
    lanes: tuple[str, ...]
    release: str
    snapshot: str
    retires: str
    days_left: int
    successor: str
    """`provider/model-id`; empty when the vendor names none, then there are no commands."""
    candidate: str
    """Id of the release that the first command makes."""
    commands: tuple[str, ...]
    notes: tuple[str, ...]
    """What to know or decide before."""


class DriftUse(Record, frozen=True):
    """Who names a snapshot, and as what."""

    alias: str
    role: str
    """stable, candidate or warm."""
    release: str


class DriftSeen(Record, frozen=True):
    """What an endpoint says who answers for a snapshot."""

    endpoint: str
    model: str
    fingerprint: str
    since_ms: int
    at_ms: int
    mismatch: bool


class DriftPoint(Record, frozen=True):
    """One value that a test came to."""

    name: str
    """When, or of what."""
    value: float


class DriftTest(Record, frozen=True):
    """What watches a release's behaviour, and what it came to lately."""

    release: str
    test: str
    """`mmd`: p of windows of answers, an alarm below `limit` twice in a row. `logprob`: statistic of windows, an alarm above it.
    `traffic`: evidence that a share of the traffic rose, by share; above `limit` a window begins."""
    points: tuple[DriftPoint, ...]
    """Oldest first."""
    limit: float | None
    """None while there is too little to judge by."""
    reference_ms: int
    """When the reference was recorded; 0 for none yet."""
    note: str


class DriftRow(Record, frozen=True):
    """One snapshot: `trivet drift status`."""

    snapshot: str
    pin: str
    epoch: int
    since_ms: int
    """0 for the first epoch, which nobody saw begin."""
    alarm: str
    """Why the epoch began: model, probe, logprob, acknowledged; empty for the first."""
    open: bool
    """It began with an alarm that nobody has acknowledged."""
    before: str
    after: str
    test: str
    endpoint: str
    observed: tuple[DriftSeen, ...]
    used: tuple[DriftUse, ...]
    advice: tuple[str, ...]
    """What to do, a sentence each; empty while nothing is open."""
    tests: tuple[DriftTest, ...] = ()
    """Where probes are declared, or one snapshot was asked for."""


class DriftAcknowledged(Record, frozen=True):
    """Answer of `trivet drift ack`."""

    snapshot: str
    epoch: int
    changed: bool
    """False when nothing was open."""
    reference: tuple[str, ...]
    """Models that are right from now on."""
    aliases: tuple[str, ...]
    frozen: tuple[str, ...]
    """Aliases whose rollout is frozen by it still: `trivet rollout resume`."""
