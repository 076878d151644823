"""How aliases, releases, stamps and heartbeats look in the store. Both sides of the room use these and nothing else.

An alias is a hash: `name`, `version`, `epoch`, `stakes`, `side_effects`, `learned` (0 or 1), one field `lane:LANE` per lane
with the lane as JSON, `split`, `shadows`, `rollout` and `barred` as JSON while there are any. Other fields belong to the control side and are ignored here.
Releases and stamps are JSON. A stream entry has one field, `entry`, with the record as JSON (tagged by `type` in a journal).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.core.contract.alias import AliasState, Lane, Shadow, SideEffects, Split, Stakes
from gateway.core.contract.journal import Plan, Report, Step
from gateway.core.contract.release import Release
from gateway.core.contract.rollout import Rollout
from gateway.core.contract.run import Stamp

ENTRY = "entry"
"""The one field of an entry in journal, steps, exposures and events streams."""

STAMP_FIELD = "stamp:"
"""Prefix of a run hash's field per alias. Beside them: `steps` (counter) and `label:LABEL` (step number of a client's label)."""

STEPS_FIELD = "steps"
LABEL_FIELD = "label:"


class PointerFile(msgspec.Struct, omit_defaults=True):
    """`pointers.json`, the copy of what the store said last, and `pointers.local.json`, an operator's override on this host.

    In an override only `aliases` and `releases` count; a state is in force while its version is above the store's.
    """

    instance: str = ""
    saved_ms: int = 0
    aliases: dict[str, AliasState] = {}
    releases: dict[str, Release] = {}
    labels: dict[str, str] = {}
    """Label to digest. The texts themselves are files of their own (`store.artifacts`)."""


class StoreIdentity(msgspec.Struct, frozen=True, omit_defaults=True):
    """The `store` hash. `replaces`: instance ids, separated by spaces, whose workers may move over to this store; written by
    `trivet store bootstrap`, so that an empty store is never taken for the old one by itself."""

    instance: str = ""
    schema: int = 0
    replaces: str = ""


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """A field of the `workers` hash: sign of life and the pointer versions this worker binds by."""

    at_ms: int
    """By the store's clock."""
    host: str = ""
    pid: int = 0
    role: str = "live"
    versions: dict[str, int] = {}
    store_lost: bool = False
    local: tuple[str, ...] = ()
    """Aliases for which an override of this host is in force."""


def alias_fields(state: AliasState) -> dict[str, str]:
    """The hash fields of a state."""
    fields = {
        "name": state.name,
        "version": str(state.version),
        "epoch": str(state.epoch),
        "stakes": state.stakes.value,
        "side_effects": state.side_effects.value,
        "learned": "1" if state.learned else "0",
    }
    for name, lane in state.lanes.items():
        fields["lane:" + name] = msgspec.json.encode(lane).decode()
    if state.split is not None:
        fields["split"] = msgspec.json.encode(state.split).decode()
    if state.rollout is not None:
        fields["rollout"] = msgspec.json.encode(state.rollout).decode()
    if state.barred:
        fields["barred"] = msgspec.json.encode(state.barred).decode()
    if state.shadows:
        fields["shadows"] = msgspec.json.encode(state.shadows).decode()
    return fields


def alias_state(fields: Mapping[str, str]) -> AliasState:
    """Read a state from its hash fields. Raises ValueError (or its child msgspec.ValidationError) when it is not one."""
    if "name" not in fields or "version" not in fields:
        raise ValueError("an alias hash without name or version")
    lanes = {
        name[5:]: msgspec.json.decode(value, type=Lane) for name, value in fields.items() if name.startswith("lane:")
    }
    split = fields.get("split")
    return AliasState(
        name=fields["name"],
        version=int(fields["version"]),
        lanes=lanes,
        stakes=Stakes(fields.get("stakes", "standard")),
        side_effects=SideEffects(fields.get("side_effects", "unstated")),
        epoch=int(fields.get("epoch", "0")),
        split=msgspec.json.decode(split, type=Split) if split else None,
        learned=fields.get("learned") == "1",
        shadows=msgspec.json.decode(fields["shadows"], type=tuple[Shadow, ...]) if fields.get("shadows") else (),
        rollout=msgspec.json.decode(fields["rollout"], type=Rollout) if fields.get("rollout") else None,
        barred=msgspec.json.decode(fields["barred"], type=dict[str, str]) if fields.get("barred") else {},
    )


def encode_release(release: Release) -> bytes:
    """A release as stored."""
    return msgspec.json.encode(release)


def decode_release(data: bytes | str) -> Release:
    """Read a stored release. Raises msgspec.ValidationError or DecodeError (both ValueError)."""
    return msgspec.json.decode(data, type=Release)


def encode_stamp(stamp: Stamp) -> bytes:
    """A stamp as stored."""
    return msgspec.json.encode(stamp)


def decode_stamp(data: bytes | str) -> Stamp:
    """Read a stored stamp. Raises msgspec.ValidationError or DecodeError (both ValueError)."""
    return msgspec.json.decode(data, type=Stamp)


def encode_entry(entry: Plan | Step | Report) -> bytes:
    """A journal entry as stored, tagged by `type`."""
    return msgspec.json.encode(entry)


def decode_entry(data: bytes | str) -> Plan | Step | Report:
    """Read a journal entry. Raises msgspec.ValidationError or DecodeError (both ValueError)."""
    return msgspec.json.decode(data, type=Plan | Step | Report)


def releases_of(state: AliasState) -> tuple[str, ...]:
    """Every release a new run may be bound to, without repeats: what must be known before the state may be used."""
    names = dict.fromkeys(lane.release for lane in state.lanes.values())
    if state.split is not None:
        names[state.split.candidate] = None
    return tuple(names)
