"""Phase 4, rewrite: the release's model and params into the client's own bytes; every other byte stays as it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Params, Snapshot
from gateway.core.dialect.splice import splice
from gateway.live.view import Target

if TYPE_CHECKING:
    from gateway.core.dialect.base import Dialect
    from gateway.core.dialect.splice import Members
    from gateway.live.life import Life
    from gateway.live.worker import Worker

NO_PARAMS = Params()
MODEL_SAFE = "-._~@"
"""Characters of a model id that stand in a path as they are (RFC 3986 `pchar`, less what ends a Gemini method name)."""
OWN_MEMBER = "trivet"
"""The body member that is ours and never goes upstream."""
TARGETS_KEPT = 1000
DIALECTS_OF_VENDOR = {"anthropic": ("anthropic",), "google": ("gemini",)}
"""Wire formats a vendor's own endpoint speaks, where that is not OpenAI's; `dialects` of the provider overrides."""
ROUTE_OF_DIALECT = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}


def rewrite(worker: Worker, life: Life) -> None:
    """Set `provider` and `body` to what goes upstream. Raises Fault 400 `wrong_dialect` or `wrong_provider`."""
    stamp, envelope, dialect, route = life.stamp, life.envelope, life.dialect, life.route
    assert stamp is not None and envelope is not None and dialect is not None and route is not None
    which = (stamp.model, route)
    target = life.view.targets.get(which)
    if target is None:
        target = _target(worker, life, stamp.model, dialect)
        if len(life.view.targets) >= TARGETS_KEPT:
            life.view.targets.clear()
        life.view.targets[which] = target
    life.provider, life.path = target.provider, target.path
    members, release = envelope.members, life.release
    edits = target.edit if envelope.model != target.model else {}
    if (release is not None and release.triple.params != NO_PARAMS) or OWN_MEMBER in members:
        edits = dict(edits)
        if release is not None:
            edits = {**params_edits(release.triple.params, members), **edits}
        if OWN_MEMBER in members:
            edits[OWN_MEMBER] = None
    if edits:
        life.body = splice(members, edits)


def _target(worker: Worker, life: Life, model: str, dialect: Dialect) -> Target:
    """Where a model goes. Raises Fault as `check_speaks`."""
    snapshot = Snapshot.parse(model)
    check_speaks(life, snapshot.provider)
    wire = worker.upstreams.wire_model(snapshot.provider, snapshot.model)
    assert life.route is not None
    path = life.route.path.replace("{model}", quote(wire, safe=MODEL_SAFE))
    return Target(snapshot.provider, wire, dict(dialect.model_edit(wire)), path)


def params_edits(params: Params, members: Members) -> dict[str, bytes | None]:
    """The member edits of a release's params: drop, then rename, then set."""
    edits: dict[str, bytes | None] = {}
    for name in params.drop:
        if members.get(name) is not None:
            edits[name] = None
    for old, new in params.rename.items():
        value = members.get(old)
        if value is not None and old not in edits:
            edits[old] = None
            edits[new] = value
    for name, value in params.set.items():
        edits[name] = msgspec.json.encode(value)
    return edits


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
    settings = life.view.providers.get(provider)
    if settings is None:
        raise Fault(
            Kind.NOT_FOUND,
            "model_not_found",
            "The release's provider is not configured on this gateway. Add it under `providers`.",
            param="model",
            reason="model",
        )
    spoken = settings.dialects or DIALECTS_OF_VENDOR.get(life.view.vendors[provider], ())
    if spoken and route.dialect and route.dialect not in spoken:
        raise Fault(
            Kind.BAD_REQUEST,
            "wrong_dialect",
            f"The release of this alias does not speak the dialect of this route. Call {ROUTE_OF_DIALECT.get(spoken[0], spoken[0])}.",
            param="model",
            reason="model",
        )
