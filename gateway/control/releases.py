"""Making releases, and what is told about them. A release is immutable; making the same one twice gives the same id.

Rule of the file: what cannot be released is refused with the part of the triple that is at fault, before anything is stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from gateway.control.desk import Desk
from gateway.core.contract.alias import AliasState, Stakes
from gateway.core.contract.artifact import canonical_prompt, canonical_tools, digest
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.records import (
    LegAsk,
    LegText,
    ReleaseAsk,
    ReleaseDetail,
    ReleaseMade,
    ReleaseRow,
    RunRow,
)
from gateway.core.contract.release import Leg, Mode, Params, Release, Triple, release_id
from gateway.core.contract.run import Stamp, run_digest
from gateway.core.pinning.triple import DIGEST, check
from gateway.core.rollout.rigor import Refused, Warned, may_release
from gateway.settings.model import AliasSettings
from gateway.store import aliases, releases, runs


@dataclass(slots=True)
class _Parts:
    """A triple in the making, with the artifacts it brings along by digest."""

    triple: Triple
    artifacts: dict[str, bytes]


async def create(desk: Desk, ask: ReleaseAsk, declared: AliasSettings | None = None) -> ReleaseMade:
    """Store a release made from scratch or as changes to a base. Idempotent: the same triple has the same id.

    `declared` stands for an alias that is about to be made. Without any alias the stakes are `standard`.
    Raises Fault 400 `bad_release` or `unpinned_model` whose message names the part at fault; nothing is stored then.
    """
    state = await desk.alias(ask.alias) if ask.alias else None
    parts = await _assembled(desk, ask, state)
    stored = set(parts.artifacts)
    for leg in (parts.triple.prompt, parts.triple.tools):
        if DIGEST.fullmatch(leg.digest) and await releases.artifact(desk.store, leg.digest) is not None:
            stored.add(leg.digest)
    check(parts.triple, desk.settings.providers, stored)
    release, warnings = _judged(desk, parts.triple, ask, declared or desk.settings.aliases.get(ask.alias), state)
    made = await releases.put(desk.store, release, parts.artifacts)
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
    return [
        ReleaseRow(
            id=release.id,
            model=release.triple.model,
            pin=release.pin,
            prompt=_told(release.triple.prompt),
            tools=_told(release.triple.tools),
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
    return ReleaseDetail(
        release=found,
        prompt=await _text_of(desk, found.triple.prompt),
        tools=await _text_of(desk, found.triple.tools),
        serves=serves(states, release),
        warm=tuple(
            f"{name} {lane}"
            for name, state in states.items()
            for lane, pointer in state.lanes.items()
            if release in pointer.previous
        ),
        runs=await runs.counted(desk.store, release),
    )


async def bound_runs(desk: Desk, release: str, *, since_ms: int = 0, limit: int = 1000) -> list[RunRow]:
    """Runs bound to a release, newest first. Raises Fault 404 for an unknown release."""
    await desk.release(release)
    return [row_of(stamp) for stamp in await runs.of_release(desk.store, release, since_ms=since_ms, limit=limit)]


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
    artifacts: dict[str, bytes] = {}
    prompt = _leg("prompt", ask.prompt, start.prompt, artifacts)
    tools = _leg("tools", ask.tools, start.tools, artifacts)
    params = ask.params if ask.params is not None else start.params
    return _Parts(Triple(ask.model or start.model, prompt, tools, _plain(params)), artifacts)


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


def _leg(part: str, ask: LegAsk | None, start: Leg, artifacts: dict[str, bytes]) -> Leg:
    """A leg as asked; its text becomes an artifact that is stored with the release."""
    if ask is None:
        return start
    if not ask.content:
        return Leg(ask.mode, ask.digest)
    try:
        data = canonical_prompt(ask.content) if part == "prompt" else canonical_tools(ask.content)
    except ValueError as error:
        raise Fault(Kind.BAD_REQUEST, "bad_release", f"{part}: {error}", param=part) from error
    address = digest(data)
    if ask.digest and ask.digest != address:
        message = f"{part}: the content has sha256 {address[:12]}…, not the digest that is given with it"
        raise Fault(Kind.BAD_REQUEST, "bad_release", message, param=part)
    if ask.mode is Mode.AS_SENT:
        message = f"{part}: mode `as-sent` takes no content; leave it out"
        raise Fault(Kind.BAD_REQUEST, "bad_release", message, param=part)
    artifacts[address] = data
    return Leg(ask.mode, address)


def _plain(params: Params) -> Params:
    """Params whose order of mention does not matter to the digest."""
    return msgspec.structs.replace(params, drop=tuple(sorted(set(params.drop))))


async def _text_of(desk: Desk, leg: Leg) -> LegText:
    data = await releases.artifact(desk.store, leg.digest) if leg.digest else None
    return LegText(mode=leg.mode, digest=leg.digest, text=data.decode() if data is not None else None)


def _told(leg: Leg) -> str:
    return f"{leg.mode.value} {leg.digest[:12]}" if leg.digest else leg.mode.value
