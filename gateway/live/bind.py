"""Phase 3, bind: one (tenant, run, alias) to one release, durably, before the first byte goes upstream.

What would be bound is decided here from values in memory; whether it is what the run gets, the store says in one round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.binding.decide import choose, lane_of, split_unit, sticky_unit
from gateway.core.contract.alias import Arm, Stakes
from gateway.core.contract.fault import Fault, Kind, Side
from gateway.core.contract.release import PinClass
from gateway.core.contract.run import Pin, Source, Stamp
from gateway.core.dialect.legs import UNREAD
from gateway.core.dialect.variables import HEADER as VARIABLES_HEADER
from gateway.core.dialect.variables import OWN_MEMBER
from gateway.core.rollout.rigor import Refused, may_serve_floating
from gateway.live.admit import require
from gateway.live.carry import check_variables
from gateway.live.eligible import HEADER as TOOLS_HEADER
from gateway.live.eligible import barred, refuse_unlisted, strict
from gateway.live.identify import RELEASE_PREFIX
from gateway.live.legs import legs_of
from gateway.live.limits import hold, priced
from gateway.live.unmanaged import bare_model, decide
from gateway.live.view import LIVE
from gateway.settings.endpoints import unattended
from gateway.store.bind import BindRequest

if TYPE_CHECKING:
    from gateway.core.contract.alias import AliasState, Split
    from gateway.core.contract.release import Release
    from gateway.live.life import Life
    from gateway.live.view import View
    from gateway.live.worker import Worker
    from gateway.store.bind import Bound


LEASE = "lease"
"""Why a run is not put on a candidate: nobody has confirmed the weight lately."""

# To look a member up in its enum costs ten times as much as a name of this file.
_HIGH = Stakes.HIGH
_PINNED, _FLOATING = PinClass.PINNED, PinClass.FLOATING
_PIN, _LEARNED = Pin.PINNED, Pin.LEARNED


async def bind(worker: Worker, life: Life) -> None:
    """Set `stamp`, `bound`, `release`, `legs` and `pin`.

    Raises Fault: 409 `run_stamp_missing`, `release_blocked`, `run_bound_elsewhere`, `tools_not_listed`, `model_drifted`; 400 for a floating
    model that the alias's stakes forbid, and for variables that mean nothing; 503 `stamp_unavailable`, `artifact_missing`.
    """
    if life.held >= 0:
        hold(life)
    want = await _wanted(worker, life)
    keep = life.state.stakes is _HIGH if life.state is not None else False
    request = BindRequest(want=want, resume=life.resume, ticket=life.ticket, label=life.label, strict=keep)
    bound = await (_in_flight(worker, life, request) if life.drifted else worker.store.bind(request))
    stamp = life.stamp = bound.stamp
    life.bound = bound
    if life.held >= 0:
        priced(life)
    if life.barred and bound.new:
        worker.meters.add("ineligible_total", stamp.alias, life.barred)
    if stamp.release:
        release = worker.store.pointers.release(stamp.release) or await release_of(worker, stamp.release)
        life.release = release
        if release.blocked:
            raise Fault(
                Kind.CONFLICT,
                "release_blocked",
                "The release this run is bound to has been blocked by an operator, and a run never changes its release. "
                "Start a new run, or POST /trivet/runs/{run}/restart.",
            )
        legs = life.view.legs.get(release.id, UNREAD)
        life.legs = await legs_of(worker, life.view, release) if legs is UNREAD else legs
    elif life.state is None and life.asked.startswith(RELEASE_PREFIX):
        raise Fault(Kind.NOT_FOUND, "model_not_found", "No such release.", param="model", reason="model")
    _check_floating(life)
    fields, envelope = life.incoming.fields, life.envelope
    if VARIABLES_HEADER in fields or (envelope is not None and OWN_MEMBER in envelope.members.spans):
        await check_variables(worker, life)
    if TOOLS_HEADER in fields:
        refuse_unlisted(worker, life, life.legs)


async def _in_flight(worker: Worker, life: Life, request: BindRequest) -> Bound:
    """The binding of a run that goes on, where no new one is taken. Raises Fault 409 `model_drifted` for a new run."""
    if life.resume or life.source is not Source.NONE:
        try:
            return await worker.store.bind(msgspec.structs.replace(request, resume=True))
        except Fault as fault:
            if life.resume or fault.code != "run_stamp_missing":
                raise
    raise Fault(
        Kind.CONFLICT,
        "model_drifted",
        f"Another model answers for the release of this alias than the pinned one (drift epoch {life.drifted}), and the alias is "
        "strict: it takes no new runs until an operator acknowledges that or rolls back. `trivet drift status` tells more.",
        param="model",
    )


async def release_of(worker: Worker, release: str) -> Release:
    """A release by id, from memory or the store. Raises Fault 503 `release_unknown` when neither can tell."""
    known = worker.store.pointers.release(release)
    if known is None:
        known = await worker.store.fetch_release(release)
    if known is None:
        raise Fault(
            Kind.OVERLOADED,
            "release_unknown",
            "The release this run is bound to cannot be read at the moment, and no other may stand in for it. Retry shortly.",
            side=Side.GATEWAY,
            retry=True,
            retry_after=1,
        )
    return known


async def _wanted(worker: Worker, life: Life) -> Stamp:
    """The stamp the run gets if it has none: pure choice over the alias state, the caller and the run."""
    caller = life.caller
    if life.asked.startswith(RELEASE_PREFIX):
        return await _named_release(worker, life)
    state = life.state
    if state is None:
        pin = decide(life)
        return Stamp(
            tenant=caller.tenant,
            run=life.run,
            alias=life.alias,
            release="",
            model=f"{life.provider}/{bare_model(life)}",
            pin=pin,
            source=life.source,
            at_ms=life.at_ms,
        )
    split = state.split
    eligible, unit = True, ""
    if split is not None and split.weight > 0:
        eligible = await _eligible(worker, life, state, split)
        unit = _unit(life) if eligible else ""
    choice = choose(state, caller.tenant, caller.segment, unit or life.run, eligible)
    release = worker.store.pointers.release(choice.release) or await release_of(worker, choice.release)
    if release.drifted and strict(life):
        life.drifted = release.drifted
    return Stamp(
        tenant=caller.tenant,
        run=life.run,
        alias=life.alias,
        release=choice.release,
        model=release.triple.model,
        lane=choice.lane,
        arm=choice.arm,
        pin=pin_of(state, release),
        source=life.source,
        version=state.version,
        at_ms=life.at_ms,
        allocation=choice.allocation,
        unit=unit if choice.allocation else "",
    )


async def _eligible(worker: Worker, life: Life, state: AliasState, split: Split) -> bool:
    """Whether the run may be put on the candidate of a rollout: while the weight is in force here, and it can take it."""
    pointers = worker.store.pointers
    if worker.clock() >= pointers.lease_until:
        life.barred = LEASE
        return False
    _, lane = lane_of(state, life.caller.tenant, life.caller.segment)
    life.barred = await barred(worker, life, pointers.release(split.candidate), pointers.release(lane.release))
    return not life.barred


def _unit(life: Life) -> str:
    """What the split hashes where that is not the run: the tenant or its user, where the rollout says so, and for a nameless run
    what the agent opens with; each as a keyed hash. A request that names no user is its run."""
    state, envelope, view, tenant = life.state, life.envelope, life.view, life.caller.tenant
    assert state is not None and state.split is not None
    by = state.split.by
    if by == "tenant":
        return sticky_unit(view.split_secret, by, tenant, life.alias)
    user = envelope.user() if by == "user" and envelope is not None else ""
    if user:
        return sticky_unit(view.split_secret, by, tenant, life.alias, user)
    if life.source is not Source.NONE or envelope is None:
        return ""
    return split_unit(view.split_secret, tenant, life.alias, envelope.opening())


def pin_of(state: AliasState, release: Release) -> Pin:
    """What `x-trivet-pin` says of a release."""
    if release.pin is _PINNED:
        return _LEARNED if state.learned else _PIN
    return Pin.FLOATING if release.pin is _FLOATING else Pin.UNKNOWN


async def _named_release(worker: Worker, life: Life) -> Stamp:
    """`model: rel_…` names a release: right `pin-release`, and 409 when the run is bound elsewhere."""
    require(life, "pin-release", "name a release as the model")
    release = worker.store.pointers.release(life.asked) or await worker.store.fetch_release(life.asked)
    if release is None:
        raise Fault(Kind.NOT_FOUND, "model_not_found", "No such release.", param="model", reason="model")
    if life.caller.role is not LIVE:
        life.credential = stand_in(life.view, release.snapshot.provider)
    if life.source is not Source.NONE:
        record = await worker.store.run_record(life.caller.tenant, life.run)
        if any(s.release != release.id for s in record.stamps.values()):
            raise Fault(
                Kind.CONFLICT,
                "run_bound_elsewhere",
                "The run is bound to another release, and a run keeps its triple for life. Use a new run id.",
                param="model",
            )
    return Stamp(
        tenant=life.caller.tenant,
        run=life.run,
        alias=life.alias,
        release=release.id,
        model=release.triple.model,
        arm=Arm.STABLE,
        pin=Pin.PINNED if release.pin is PinClass.PINNED else Pin.UNKNOWN,
        source=life.source,
        at_ms=life.at_ms,
    )


def stand_in(view: View, provider: str) -> bytes | None:
    """The credential of the gateway's own calls where callers' credentials are forwarded to this provider; None where its
    endpoints have keys. Raises Fault 400 `background_key_missing`."""
    settings = view.providers.get(provider)
    if settings is None:
        return None
    if not unattended(provider, settings):
        raise Fault(
            Kind.BAD_REQUEST,
            "background_key_missing",
            f"The provider {provider} is called with its callers' own keys, and nobody is behind this call: write "
            f"`providers: {{{provider}: {{background_api_key: ...}}}}` in the configuration.",
            side=Side.GATEWAY,
            param="model",
        )
    return settings.background_api_key.strip().encode("latin-1", "replace") or None


def _check_floating(life: Life) -> None:
    """An agent with side effects never rides a floating alias, whatever the pointer says."""
    state, release, envelope = life.state, life.release, life.envelope
    if state is None or release is None or release.pin is not _FLOATING:
        return
    # A run that is only being started will send tools for all anyone knows.
    has_tools = envelope.has_tools if envelope is not None else True
    verdict = may_serve_floating(state.stakes, state.side_effects, has_tools)
    if isinstance(verdict, Refused):
        raise verdict.fault()
