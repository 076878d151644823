"""Which release a run that has none gets: its lane's pointer, and within a rollout the split.

Rule of the file: the choice depends on nothing but its arguments, so every worker makes the same one, and a run that was chosen
at some weight is chosen at every higher weight of the same salt.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from hashlib import sha256

import msgspec

from gateway.core.contract.alias import EVERYONE, AliasState, Arm, Lane
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Mode

_STABLE = Arm.STABLE  # ten times as fast as to look it up in its enum
WHOLE = 10_000
"""The weight of everybody: weights are shares of this."""


class Choice(msgspec.Struct, frozen=True, gc=False):
    """What a new run is bound to. `allocation` is the candidate's weight when the run took part in the split, else 0."""

    release: str
    lane: str
    arm: Arm
    allocation: int


def lane_of(state: AliasState, tenant: str, segment: str) -> tuple[str, Lane]:
    """The lane a tenant falls into and its pointer: the tenant's own, its segment's, then everybody's.

    Raises Fault 404 `model_not_found` when the alias has none of the three.
    """
    lanes = state.lanes
    name = f"tenant:{tenant}"
    lane = lanes.get(name)
    if lane is None and segment:
        name = f"segment:{segment}"
        lane = lanes.get(name)
    if lane is None:
        name = EVERYONE
        lane = lanes.get(name)
    if lane is None:
        raise Fault(
            Kind.NOT_FOUND,
            "model_not_found",
            "The alias has no release for this tenant. An operator can give it one: `trivet rollout promote ALIAS --release REL`.",
            param="model",
            reason="model",
        )
    return name, lane


def choose(state: AliasState, tenant: str, segment: str, unit: str, eligible: bool = True) -> Choice:
    """The release for a run that has no stamp.

    `unit` is what sticks to its arm: the run id, or for a nameless run `split_unit(...)`. `eligible` is False for a run that
    cannot run the candidate's tools, or while the weight's lease has run out: it gets the stable release and allocation 0, so
    it never counts as a control. The tenant is hashed with the unit. Raises Fault as `lane_of`.
    """
    name, lane = lane_of(state, tenant, segment)
    split = state.split
    weight = min(split.weights.get(name, 0), WHOLE) if split is not None else 0
    if split is None or not eligible or weight <= 0:
        return Choice(lane.release, name, _STABLE, 0)
    if bucket(split.salt, f"{tenant}\0{unit}") < weight:
        return Choice(split.candidate, name, Arm.CANARY, weight)
    return Choice(lane.release, name, Arm.STABLE, weight)


def bucket(salt: str, unit: str) -> int:
    """0 to 9,999, uniform over units and independent between salts."""
    digest = sha256(f"{salt}\0{unit}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") * WHOLE >> 64


def sticky_unit(secret: bytes, by: str, tenant: str, alias: str, user: str = "") -> str:
    """The split unit of a tenant, or of a tenant's user: keyed as `split_unit`, so that no name of either is stored, and another
    one for every alias. `by` is `tenant` or `user`."""
    parts = (by.encode(), tenant.encode(), alias.encode(), user.encode("utf-8", "surrogatepass"))
    return hmac.digest(secret, b"\0".join(parts), "sha256")[:16].hex()


def split_unit(secret: bytes, tenant: str, alias: str, opening: bytes) -> str:
    """The split unit of a request that names no run: 32 hex digits keyed by a secret, so nobody can aim for an arm.

    Costs one HMAC over `opening` (system prompt and first user message): ask only while the alias has a split.
    """
    return hmac.digest(secret, b"\0".join((b"unit", tenant.encode(), alias.encode(), opening)), "sha256")[:16].hex()


def can_run(mode: Mode, toolset: Collection[str], listed: Collection[str] | None, sent: str | None) -> bool:
    """Whether an executor can run a release's toolset.

    `toolset` holds the digests the release's toolset goes by; `listed` those of the toolsets that `x-trivet-tools` names, None
    without that header; `sent` is the digest of the toolset in the request, empty without tools, None where there is no
    request yet. What was sent can be run. What is served otherwise must be listed; an executor that lists nothing and sends
    nothing takes what it is given. A toolset that is verified must be the one sent: listing it does not make it so.
    """
    if mode is Mode.AS_SENT or sent in toolset:
        return True
    if mode is Mode.VERIFY and sent is not None:
        return False
    if listed is not None:
        return not set(toolset).isdisjoint(listed)
    return not sent
