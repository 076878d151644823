"""What operations answer with: the records of the admin API and of `--json`. Field names are a public interface.

Rule of the file: a record is whole by itself; a table or a sentence for people is made from it, never the other way.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.core.contract.alias import AliasState, Lane, SideEffects, Split, Stakes
from gateway.core.contract.journal import Report, Step
from gateway.core.contract.release import Mode, Params, PinClass, Release
from gateway.core.contract.run import Stamp


class Record(msgspec.Struct, frozen=True):
    """Base of every record: all members are always written, so a reader never guesses a default."""


class Safety(Record, frozen=True):
    """Whether the store keeps what it acknowledges, as far as it tells."""

    where: str
    server: str
    """Name and version, `redis 7.0.15`; empty when the server does not tell."""
    instance: str
    """Random id of this store; empty while nothing was ever written."""
    schema: int
    safe: bool
    """No warning, and nothing untold that `store.assume: durable` does not vouch for."""
    policy: str
    """maxmemory-policy; empty when the server does not tell."""
    appendonly: bool | None
    appendfsync: str
    warnings: tuple[str, ...]
    untold: tuple[str, ...]
    """What the server will not tell: `maxmemory-policy`, `appendonly`."""
    assumed: bool
    """`store.assume: durable` stands for what is untold."""
    used_bytes: int
    max_bytes: int
    keys: int


class Acknowledgement(Record, frozen=True):
    """How long workers took to serve a version of an alias, milliseconds since the write, and who kept silent."""

    version: int
    milliseconds: dict[str, float]
    silent: tuple[str, ...]

    @property
    def slowest(self) -> float:
        """Milliseconds until the last worker that answered; 0.0 when there is none."""
        return max(self.milliseconds.values(), default=0.0)


class WorkerBeat(Record, frozen=True):
    """A live worker's last heartbeat. `behind` counts aliases it serves at an older version than the store's."""

    worker: str
    at_ms: int
    alive: bool
    versions: dict[str, int]
    behind: int


class HistoryEntry(Record, frozen=True):
    """One pointer write or transition: who, why, and the whole state before and after."""

    at_ms: int
    actor: str
    action: str
    """first_release, learn, promote, rollback, apply, block, unblock, restore, bootstrap, local, undeclared, accept,
    drift, drift_ack, moved, shadow_start, shadow_stop."""
    reason: str
    version: int
    before: AliasState | None
    after: AliasState | None
    operation: str = ""
    """Random id of the operation: a write that is sent twice is applied and recorded once."""
    evidence: str = ""
    override: str = ""
    """The rule that was overridden, named; recorded for ever."""
    note: str = ""
    id: str = ""
    """Stream id; empty until stored."""


class LegAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A leg as asked for: the text itself, or the digest or label of an artifact that is stored already."""

    mode: Mode = Mode.SERVE
    content: str = ""
    digest: str = ""
    label: str = ""
    """`support@v7`: names what `content` or `digest` is, for ever; without either, what it names."""


class ReleaseAsk(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A release as asked for: whole, or as changes to `base` (`stable` of `alias`, or a release id)."""

    model: str = ""
    prompt: LegAsk | None = None
    tools: LegAsk | None = None
    params: Params | None = None
    base: str = ""
    alias: str = ""
    """Whose stable `base: stable` means, and whose stakes decide whether the model may float."""
    lane: str = "*"
    note: str = ""
    allow_floating: str = ""
    """The reason to accept a floating model at stakes `standard`."""
    attested: str = ""
    """A person's statement that an id of class unpinnable or unknown is fixed; needed at stakes `high`."""


class ReleaseMade(Record, frozen=True):
    """Answer of `release create`."""

    id: str
    release: Release
    new: bool
    """False when the same triple was stored before: creating is idempotent."""
    warnings: tuple[str, ...]


class ReleaseRow(Record, frozen=True):
    """A line of `release list`."""

    id: str
    model: str
    pin: PinClass
    prompt: str
    tools: str
    created_ms: int
    actor: str
    note: str
    blocked: str
    serves: tuple[str, ...]
    """`ALIAS LANE` wherever it is stable now."""


class LegText(Record, frozen=True):
    """A leg with its artifact; `text` is None when the store does not have it."""

    mode: Mode
    digest: str
    text: str | None
    labels: tuple[str, ...] = ()


class ReleaseDetail(Record, frozen=True):
    """Answer of `release show`."""

    release: Release
    prompt: LegText
    tools: LegText
    serves: tuple[str, ...]
    warm: tuple[str, ...]
    """`ALIAS LANE` wherever rollback may return to it."""
    runs: int


class ReleaseUse(Record, frozen=True):
    """Answer of `release runs`: who still uses a release, and whether the code of its tools may be removed."""

    release: str
    runs: tuple[RunRow, ...]
    bound: int
    """Runs bound to it that are still stored, whatever `since` and `limit` list."""
    ends_ms: int
    """When the last run with its tools is forgotten if it takes no other step; 0 when there is none."""
    toolset: str
    """Digest of its tools; empty where they are the agent's own."""
    labels: tuple[str, ...]
    removable: bool
    why: tuple[str, ...]
    """What keeps the tools in use; empty when they may go."""
    warnings: tuple[str, ...]


class Change(Record, frozen=True):
    """One difference between two releases: which part, and both sides."""

    part: str
    """`model`, `prompt`, `tools`, `params.set.temperature`, ..."""
    before: Any
    after: Any
    lines: tuple[str, ...] = ()
    """Unified diff of the text of a prompt or toolset."""


class ReleaseDiff(Record, frozen=True):
    """Answer of `release diff`; no changes means the same triple."""

    before: str
    after: str
    changes: tuple[Change, ...]


class BlockResult(Record, frozen=True):
    """Answer of `release block` and `unblock`."""

    release: str
    blocked: str
    changed: bool
    aliases: tuple[str, ...]
    """Aliases told, so that live workers stop (or resume) its runs."""
    acknowledged: dict[str, Acknowledgement]
    note: str


class RunRow(Record, frozen=True):
    """A line of `run list`."""

    run: str
    tenant: str
    alias: str
    release: str
    model: str
    lane: str
    arm: str
    at_ms: int
    key: str
    """RUN of the key names."""


class RunDetail(Record, frozen=True):
    """Answer of `run show`: its stamps, and its journal in order."""

    run: str
    tenant: str
    stamps: tuple[Stamp, ...]
    steps: tuple[Step, ...]
    outcomes: tuple[Report, ...]
    ttl_s: int
    """Seconds until the run is forgotten, each step starts it anew."""
    unread: int
    """Journal entries of a form this version does not know."""


class RunRestart(Record, frozen=True):
    """Answer of `run restart`: a new run id, bound to the current release of each alias of the old one."""

    old: str
    run: str
    tenant: str
    stamps: tuple[Stamp, ...]


class AliasRow(Record, frozen=True):
    """A line of `alias list`."""

    name: str
    version: int
    stakes: Stakes
    side_effects: SideEffects
    lanes: dict[str, str]
    """Lane to its stable release."""
    canary: str
    weight: int
    learned: bool


class AliasDetail(Record, frozen=True):
    """Answer of `alias show`."""

    state: AliasState
    models: dict[str, str]
    """Release id to `provider/model-id`, of every release the alias names."""
    blocked: dict[str, str]
    workers: tuple[WorkerBeat, ...]


class TemplateRow(Record, frozen=True):
    """A prompt template or a toolset that an alias was sent, as learnt from the requests."""

    id: str
    alias: str
    leg: str
    """`prompt` or `tools`."""
    state: str
    """`declared`, `baseline`, `accepted`, `undeclared`, or `new` while too few requests had it to say."""
    releases: tuple[str, ...]
    """Which declare it, or whose baseline it is in."""
    accepted: str
    """Who accepted it."""
    first_ms: int
    last_ms: int
    requests: int
    share: float
    """Of the requests of the last day whose prompt, or tools, were read: 0 to 1."""
    text: str | None
    """Literals, `{...}` where values change, `{date}`, `{time}`, `{id}`; None without the right `content`, and for `new`,
    whose literals may be a user's."""


class TemplateList(Record, frozen=True):
    """Answer of `alias prompts`."""

    alias: str
    templates: tuple[TemplateRow, ...]
    unread: int
    """Requests that were not read: more different texts came than the bound lets through."""


class Accepted(Record, frozen=True):
    """Answer of `alias undeclared --accept`."""

    alias: str
    id: str
    changed: bool
    """False when it was accepted or declared already."""


class PointerFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`alias export` writes it, `alias apply` reads it: which release each lane of an alias has. Format `v: 1`."""

    aliases: dict[str, PointerWant]
    v: int = 1


class PointerWant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One alias of a pointer file. `version` is what the file was made from; a newer store refuses it."""

    lanes: dict[str, str]
    version: int = 0


class Moved(Record, frozen=True):
    """Answer of promote, rollback and apply for one alias: before, after, and how fast the workers followed."""

    alias: str
    action: str
    changed: bool
    """False when there was nothing to do: asking twice is harmless."""
    version: int
    before: dict[str, Lane]
    after: dict[str, Lane]
    split_before: Split | None
    split_after: Split | None
    warnings: tuple[str, ...]
    override: str
    acknowledged: Acknowledgement
    where: str = "store"
    """`store`, or `local` for an override file on this host while the store is dead."""


class Seeded(Record, frozen=True):
    """What first_release did for one alias."""

    alias: str
    release: str
    made: bool
    why: str
    """Why nothing was made: the store or the disk copy knows the alias, or the store is lost."""


class Status(Record, frozen=True):
    """Answer of `status`."""

    store: Safety | None
    store_error: str
    store_lost: bool
    aliases: tuple[AliasRow, ...]
    workers: tuple[WorkerBeat, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()
    """What somebody should plan for, and need not look at now."""


class Recovered(Record, frozen=True):
    """Answer of `store restore` and `store bootstrap`."""

    action: str
    instance: str
    aliases: tuple[str, ...]
    releases: int
    warnings: tuple[str, ...]
