"""Making releases, and what is told about them. A release is immutable; making the same one twice gives the same id.

Rule of the file: what cannot be released is refused with the part of the triple that is at fault, before anything is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.control.desk import Desk
from gateway.control.legs import Brought, leg, text_of, told
from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import (
    ReleaseAsk,
    ReleaseDetail,
    ReleaseMade,
    ReleaseRow,
    RunRow,
)
from gateway.core.contract.release import Params, Release, Triple, release_id
from gateway.core.contract.run import Stamp, run_digest
from gateway.core.pinning.triple import DIGEST, check
from gateway.core.rollout.rigor import Refused, Warned, may_release
from gateway.settings.hosts import served
from gateway.settings.model import AliasSettings
from gateway.store import aliases, labels, releases, runs


@dataclass(slots=True)
class _Parts:
    """A triple in the making, with the artifacts and labels it brings along."""

    triple: Triple
    brought: Brought


async def create(desk: Desk, ask: ReleaseAsk, declared: AliasSettings | None = None) -> ReleaseMade:
    """Store a release made from scratch or as changes to a base. Idempotent: the same triple has the same id.

    `declared` stands for an alias that is about to be made. Without any alias the stakes are `standard`.
    Raises Fault 400 `bad_release` or `unpinned_model` whose message names the part at fault, 409 `label_taken`; nothing is
    stored then.
    """
    state = await desk.alias(ask.alias) if ask.alias else None
    parts = await _assembled(desk, ask, state)
    stored = set(parts.brought.artifacts)
    for held in (parts.triple.prompt, parts.triple.tools):
        if DIGEST.fullmatch(held.digest) and await releases.artifact(desk.store, held.digest) is not None:
            stored.add(held.digest)
    check(parts.triple, {name: served(each) for name, each in desk.settings.providers.items()}, stored)
    release, warnings = _judged(desk, parts.triple, ask, declared or desk.settings.aliases.get(ask.alias), state)
    made = await releases.put(desk.store, release, parts.brought.artifacts)
    for label, address in parts.brought.labels.items():
        await labels.give(desk.store, label, address)
    kept = release if made else await desk.release(release.id)
    return ReleaseMade(id=release.id, release=kept, new=made, warnings=warnings)


def _judged(
    desk: Desk, triple: Triple, ask: ReleaseAsk, declared: AliasSettings | None, state: AliasState | None
) -> tuple[Release, tuple[str, ...]]:
    """The release of a checked triple with the class of its model. Raises Fault `unpinned_model` where it is too weak."""
    verdict = desk.verdict(triple.snapshot)
    known = declared or state
    stakes = known.stakes if known is not None else Stakes.STANDARD
    allow = ask.allow_floating or (declared.allow_floating if declared is not None else "")
    ruling = may_release(stakes, verdict.pin, allow_floating=allow, attested=ask.attested)
    if isinstance(ruling, Refused):
        raise Fault(
            Kind.BAD_REQUEST,
            ruling.code,
            f"{ruling.message} ({verdict.why}; {verdict.source}, {verdict.date})",
            param="model",
        )
    warnings, record = ((ruling.message,), ruling.record) if isinstance(ruling, Warned) else ((), ())
    release = Release(
        id=release_id(triple),
        triple=triple,
        pin=verdict.pin,
        created_ms=desk.now_ms,
        actor=desk.actor,
        note="; ".join(filter(None, (ask.note, *record))),
    )
    return release, warnings


async def listed(desk: Desk, limit: int = 1000) -> list[ReleaseRow]:
    """Releases, newest first, with where each one is stable now."""
    states = await aliases.every(desk.store)
    known = await labels.every(desk.store)
    return [
        ReleaseRow(
            id=release.id,
            model=release.triple.model,
            pin=release.pin,
            prompt=told(release.triple.prompt, known),
            tools=told(release.triple.tools, known),
            created_ms=release.created_ms,
            actor=release.actor,
            note=release.note,
            blocked=release.blocked,
            serves=serves(states, release.id),
        )
        for release in await releases.newest(desk.store, limit)
    ]


async def show(desk: Desk, release: str) -> ReleaseDetail:
    """One release with the text of its artifacts, where it is stable, and how many runs were bound to it."""
    found = await desk.release(release)
    states = await aliases.every(desk.store)
    known = await labels.every(desk.store)
    return ReleaseDetail(
        release=found,
        prompt=await text_of(desk, found.triple.prompt, known),
        tools=await text_of(desk, found.triple.tools, known),
        serves=serves(states, release),
        warm=warm_in(states, release),
        runs=await runs.counted(desk.store, release),
    )


def row_of(stamp: Stamp) -> RunRow:
    """A stamp as a line of a list."""
    return RunRow(
        run=stamp.run,
        tenant=stamp.tenant,
        alias=stamp.alias,
        release=stamp.release,
        model=stamp.model,
        lane=stamp.lane,
        arm=stamp.arm.value,
        at_ms=stamp.at_ms,
        key=run_digest(stamp.tenant, stamp.run),
    )


def serves(states: dict[str, AliasState], release: str) -> tuple[str, ...]:
    """`ALIAS LANE` wherever a release is stable."""
    return tuple(
        f"{name} {lane}"
        for name, state in states.items()
        for lane, pointer in state.lanes.items()
        if pointer.release == release
    )


def warm_in(states: dict[str, AliasState], release: str) -> tuple[str, ...]:
    """`ALIAS LANE` wherever rollback may return to a release."""
    return tuple(
        f"{name} {lane}"
        for name, state in states.items()
        for lane, pointer in state.lanes.items()
        if release in pointer.previous
    )


async def _assembled(desk: Desk, ask: ReleaseAsk, state: AliasState | None) -> _Parts:
    """The triple that is asked for; parts that are not named come from the base, or are as-sent without one."""
    base = await _base(desk, ask, state)
    if not ask.model and base is None:
        raise Fault(
            Kind.BAD_REQUEST,
            "bad_release",
            "model: none is named; give --model provider/model-id, or --from a release",
            param="model",
        )
    start = base or Triple(model=ask.model)
    brought = Brought()
    prompt = await leg(desk, "prompt", ask.prompt, start.prompt, brought)
    tools = await leg(desk, "tools", ask.tools, start.tools, brought)
    params = ask.params if ask.params is not None else start.params
    return _Parts(Triple(ask.model or start.model, prompt, tools, _plain(params)), brought)


async def _base(desk: Desk, ask: ReleaseAsk, state: AliasState | None) -> Triple | None:
    if not ask.base:
        return None
    if ask.base != "stable":
        return (await desk.release(ask.base)).triple
    if state is None:
        message = "--from stable needs --alias: whose stable release is meant?"
        raise Fault(Kind.BAD_REQUEST, "bad_release", message, param="base")
    lane = state.lanes.get(ask.lane)
    if lane is None:
        message = f"alias {state.name} has no lane {ask.lane}; it has {', '.join(state.lanes)}"
        raise Fault(Kind.NOT_FOUND, "lane_unknown", message, param="lane")
    return (await desk.release(lane.release)).triple


def _plain(params: Params) -> Params:
    """Params whose order of mention does not matter to the digest."""
    return msgspec.structs.replace(params, drop=tuple(sorted(set(params.drop))))
