"""Promote: make a release stable in every lane of an alias, in one write, as far as the alias's stakes allow.

Rule of the file: a promotion is never retried. Who loses a race is told what happened and decides again.
"""

from __future__ import annotations

import msgspec

from gateway.control import drift, warm
from gateway.control.desk import FOLLOW_SECONDS, Desk, checked_reason
from gateway.control.lifecycle import outlook
from gateway.control.moves import (
    Move,
    callable_or_fault,
    finished,
    forward,
    no_rollout,
    not_barred,
    now,
    unchanged,
    with_lanes,
)
from gateway.control.standing import Standing, replaced, standing
from gateway.core.contract.alias import AliasState
from gateway.core.contract.records import Moved
from gateway.core.contract.release import Release
from gateway.core.rollout.rigor import Refused, Warned, may_promote, may_release
from gateway.store import aliases


async def promote(
    desk: Desk,
    alias: str,
    release: str,
    reason: str,
    *,
    override: str = "",
    attested: str = "",
    timeout: float = FOLLOW_SECONDS,
) -> Moved:
    """Move every lane of the alias to the release and wait for the workers. A release that is stable already is left alone.

    A GO of the alias's suites and a shadow are looked for in the store; the evidence goes into the history. `override` names
    who answers for a missing GO; it and the reason stay in the history for ever. `attested` says that an
    id of class unpinnable or unknown is fixed. Raises Fault: 409 `gate_not_green` or `no_shadow` by stakes, 400
    `unpinned_model`, 409 `release_blocked`, `release_dead`, `rollout_active`, `candidate_barred` or `pointer_moved`, 404 for unknown names.
    """
    why = checked_reason(reason)
    state = await desk.alias(alias)
    target = await desk.release(release)
    callable_or_fault(desk, target)
    no_rollout(state)
    lanes = {name: forward(lane, release, desk.warm(alias)) for name, lane in state.lanes.items()}
    if lanes == state.lanes:
        return unchanged("promote", state, f"{release} is stable in every lane already")
    not_barred(state, release)
    wanted = with_lanes(state, lanes)
    stands = await standing(desk, alias, release, replaced(state, wanted, release))
    warnings, records = permitted(desk, state, target, Permission(why, override, attested), stands)
    warnings = (*warnings, *await outlook(desk, lanes), *await warm.outlook(desk, alias, lanes))
    warnings = (*warnings, *await drift.outlook(desk, alias, lanes))
    begun = now()
    entry = msgspec.structs.replace(
        desk.entry("promote", why, override="; ".join(records)), evidence=" ".join(stands.evidence)
    )
    after = await aliases.write(desk.store, state, wanted, entry)
    return await finished(desk, Move("promote", state, after, begun, warnings, entry.override), timeout)


class Permission:
    """What a person brings to a promotion: the reason, who answers for a missing GO, and what is attested."""

    __slots__ = ("attested", "override", "reason")

    def __init__(self, reason: str, override: str = "", attested: str = "") -> None:
        self.reason = reason
        self.override = override
        self.attested = attested


def permitted(
    desk: Desk, state: AliasState, release: Release, asked: Permission, stands: Standing
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Warnings, and what goes into the history for ever. Raises Fault where the stakes refuse the release or its promotion."""
    stakes = desk.stakes(state)
    declared = desk.settings.aliases.get(state.name)
    allow = declared.allow_floating if declared is not None else ""
    verdict = desk.verdict(release.snapshot)
    warnings: list[str] = []
    records: list[str] = []
    for ruling in (
        may_release(stakes, verdict.pin, allow_floating=allow, attested=asked.attested),
        may_promote(
            stakes,
            go=stands.go,
            shadowed=stands.shadowed,
            reason=asked.reason,
            override=asked.override,
            lacking=stands.why,
        ),
    ):
        if isinstance(ruling, Refused):
            raise ruling.fault()
        if isinstance(ruling, Warned):
            warnings.append(ruling.message)
            records += ruling.record
    return tuple(warnings), tuple(records)
