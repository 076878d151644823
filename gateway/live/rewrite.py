"""Phase 4, rewrite: the release's model and params into the client's own bytes; every other byte stays as it was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.release import Snapshot
from gateway.core.dialect.splice import splice

if TYPE_CHECKING:
    from gateway.core.contract.release import Params
    from gateway.core.dialect.splice import Members
    from gateway.live.life import Life
    from gateway.live.worker import Worker

OWN_MEMBER = "trivet"
"""The body member that is ours and never goes upstream."""
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
    snapshot = Snapshot.parse(stamp.model)
    life.provider = snapshot.provider
    check_speaks(life, snapshot.provider)
    edits: dict[str, bytes | None] = {}
    if life.release is not None:
        edits.update(params_edits(life.release.triple.params, envelope.members))
    model = worker.upstreams.wire_model(snapshot.provider, snapshot.model)
    if envelope.model != model and (envelope.model is not None or not route.deployment):
        edits.update(dialect.model_edit(model))
    if envelope.members.get(OWN_MEMBER) is not None:
        edits[OWN_MEMBER] = None
    if edits:
        life.body = splice(envelope.members, edits)


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
