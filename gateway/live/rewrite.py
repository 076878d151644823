"""Phase 4, rewrite: the release's model, prompt, tools and params into the client's own bytes; every other byte stays as it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Snapshot
from gateway.core.dialect import carry
from gateway.core.dialect.carry import AS_SENT, NO_PARAMS, placed
from gateway.core.dialect.splice import splice
from gateway.live.carry import leg_edits
from gateway.live.spread import spread
from gateway.live.view import Target

if TYPE_CHECKING:
    from gateway.core.dialect.base import Dialect
    from gateway.live.life import Life
    from gateway.live.worker import Worker

TARGETS_KEPT = 1000
ROUTE_OF_DIALECT = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}


def rewrite(worker: Worker, life: Life) -> None:
    """Set `provider` and `body` to what goes upstream. Raises Fault 400 `wrong_dialect` or `wrong_provider`, or as `leg_edits`."""
    stamp, envelope, dialect, route = life.stamp, life.envelope, life.dialect, life.route
    assert stamp is not None and envelope is not None and dialect is not None and route is not None
    which = (stamp.model, route.dialect, route.path, route.provider)
    target = life.view.targets.get(which)
    if target is None:
        target = _target(worker, life, stamp.model, dialect)
        if len(life.view.targets) >= TARGETS_KEPT:
            life.view.targets.clear()
        life.view.targets[which] = target
    life.provider, life.path = target.provider, target.path
    release, legs = life.release, life.legs
    edits = carry.edits(
        envelope,
        target.edit,
        target.model,
        release.triple.params if release is not None else NO_PARAMS,
        leg_edits(worker, life, legs) if legs is not None else AS_SENT,
    )
    if edits:
        life.body = splice(envelope.members, edits)
    if target.several:
        spread(life, target, edits)


def _target(worker: Worker, life: Life, model: str, dialect: Dialect) -> Target:
    """Where a model goes. Raises Fault as `check_speaks`."""
    snapshot = Snapshot.parse(model)
    check_speaks(life, snapshot.provider)
    assert life.route is not None
    wire = worker.upstreams.wire_model(snapshot.provider, snapshot.model, life.route.dialect)
    several = worker.upstreams.spreads(snapshot.provider)
    path = placed(life.route.path, wire)
    return Target(snapshot.provider, wire, dict(dialect.model_edit(wire)), path, several)


def check_speaks(life: Life, provider: str) -> None:
    """Refuse an alias whose provider does not speak this route's dialect, or is not the one the path names."""
    route = life.route
    assert route is not None
    if route.provider and route.provider != provider:
        raise Fault(
            Kind.BAD_REQUEST,
            "wrong_provider",
            "The alias lives at another provider than the one this path names. Call it without the provider prefix.",
            param="model",
            reason="model",
        )
    spoken = life.view.spoken.get(provider)
    if spoken is None:
        raise Fault(
            Kind.NOT_FOUND,
            "model_not_found",
            "The release's provider is not configured on this gateway. Add it under `providers`.",
            param="model",
            reason="model",
        )
    if spoken and route.dialect and route.dialect not in spoken:
        raise Fault(
            Kind.BAD_REQUEST,
            "wrong_dialect",
            f"The release of this alias does not speak the dialect of this route. Call {ROUTE_OF_DIALECT.get(spoken[0], spoken[0])}.",
            param="model",
            reason="model",
        )
