"""Pass-through: any path, method, query and body of a configured provider, byte for byte, under the caller's rights.

Wherever a JSON body has a readable top-level `model`, aliases and the `unmanaged` policy apply here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.routes import Operation, RouteKind
from gateway.live import experiment
from gateway.live.admit import require
from gateway.live.bind import bind
from gateway.live.forward import forward
from gateway.live.identify import check_kind, find_run, is_json, name_alias, read_body
from gateway.live.owned import check_named
from gateway.live.relay import created, relay
from gateway.live.rewrite import rewrite
from gateway.live.unmanaged import provider_of
from gateway.upstream.choice import Spread

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.wire.exchange import Incoming

BODY_METHODS = ("POST", "PUT", "PATCH")
IDENTITY = (b"accept-encoding", b"identity")
STATE_COLLECTIONS = frozenset(
    {
        "files",
        "uploads",
        "batches",
        "responses",
        "conversations",
        "threads",
        "assistants",
        "vector_stores",
        "containers",
        "evals",
        "fine_tuning",
        "videos",
        "cachedContents",
        "corpora",
        "fileSearchStores",
        "tunedModels",
        "skills",
    }
)
"""First path segments under which a provider keeps state that an id alone opens."""
NO_COLLECTION = frozenset(("v1", "v1alpha", "v1beta", "openai", "upload"))
"""Segments that stand before a collection and are none."""


async def pass_through(worker: Worker, life: Life) -> None:
    """Forward and relay a request whose route is no known operation. Raises Fault."""
    route, incoming = life.route, life.incoming
    assert route is not None
    if life.view.auth == "keys" and route.kind is not RouteKind.STATE:
        require(life, "pass-through", "use routes outside the gateway's own")
    state = state_of(life)
    keeper = await _keeper(worker, life, state[1]) if len(state) > 1 else ""
    creates = len(state) == 1 and incoming.method == "POST" and route.operation is None
    if creates:
        # The id in the answer has to be read.
        incoming.headers = [*(h for h in incoming.headers if h[0].lower() != b"accept-encoding"), IDENTITY]
        incoming.memo = None
    managed = bool(route.alias)
    if managed:
        # The path names the model, so it is pinned whatever the body is.
        check_kind(life)
        await read_body(life)
    elif incoming.method in BODY_METHODS and is_json(incoming.fields.get(b"content-type", b"")):
        life.body = await incoming.body(life.view.serve.body_bytes)
        managed = read_model(life)
    if managed:
        name_alias(worker, life)
        await find_run(worker, life)
        await bind(worker, life)
        if life.state is not None and life.state.split is not None:
            experiment.begin(life, life.state)
        rewrite(worker, life)
        await forward(worker, life, life.body)
    else:
        if life.envelope is not None and life.envelope.state_id:
            keeper = await _keeper(worker, life, life.envelope.state_id)
        if life.body:
            await check_named(worker, life, life.body)
        life.provider = keeper or provider_of(life)
        if life.body:
            await forward(worker, life, life.body)
        elif incoming.chunked or incoming.length:
            await forward(worker, life, Upload(incoming, life.view.serve.upload_bytes))
        else:
            await forward(worker, life, None)
    if creates:
        await created(worker, life)
    else:
        await relay(worker, life)


class Upload:
    """A body on its way through, at most `limit` bytes of it. Raises Fault 413: at once when its length says so."""

    __slots__ = ("_incoming", "_left", "length")

    def __init__(self, incoming: Incoming, limit: int) -> None:
        if (incoming.length or 0) > limit:
            raise _too_large()
        self._incoming = incoming
        self._left = limit
        self.length = incoming.length

    async def chunk(self) -> bytes:
        """The next piece, b"" at the end."""
        piece = await self._incoming.chunk()
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large()
        return piece


def _too_large() -> Fault:
    return Fault(
        Kind.TOO_LARGE,
        "body_too_large",
        "The upload is larger than `serve.upload_bytes`.",
        reason="body_size",
        close=True,
    )


def read_model(life: Life) -> bool:
    """Whether the body has a readable top-level model.

    Raises Fault for what is not JSON in spite of its content type, has duplicate keys or a routing field: a provider that
    reads more into such a body than the gateway does could serve another model than the one pinned.
    """
    route, dialect = life.route, life.dialect
    assert route is not None and dialect is not None
    if not life.body:
        return False
    life.envelope = dialect.read(route.operation, life.body)
    return bool(life.envelope.model)


def state_of(life: Life) -> list[str]:
    """The segments of a path under which a provider keeps state: the collection, then an id. Empty for any other path."""
    route = life.route
    assert route is not None
    if route.operation is Operation.COUNT_TOKENS:
        return []
    segments = [s for s in route.path.split("/") if s and s not in NO_COLLECTION]
    if segments[:1] == ["messages"]:
        # Anthropic keeps its batches below its messages.
        segments = segments[1:]
    if route.dialect == "gemini" and len(segments) > 1:
        # What is done to it stands behind its name.
        segments[1] = segments[1].partition(":")[0]
    return segments if segments and segments[0] in STATE_COLLECTIONS else []


async def _keeper(worker: Worker, life: Life, state_id: str) -> str:
    """The provider that keeps state by this id, with `keeper` set to its endpoint; empty when it is the path's or the only one
    anyway, or is not known.

    With keys it takes the right `provider-state`, or a record that this tenant owns it. Raises Fault 403 `missing_right`.
    """
    view, route = life.view, life.route
    assert route is not None
    free = view.auth != "keys" or "provider-state" in life.caller.rights
    if free and (route.provider or len(view.provider_names) == 1) and not view.spread:
        return ""
    owner = await worker.store.linked(life.caller.tenant, (state_id,))
    if owner is None and not free:
        raise Fault(
            Kind.FORBIDDEN,
            "missing_right",
            "This key may not open provider state by id: it lacks the right `provider-state`, and the id is not known to be its own.",
        )
    provider = owner.provider.partition("#")[0] if owner is not None else ""
    if owner is None or provider not in view.provider_names or route.provider not in ("", provider):
        return ""
    life.keeper = owner.provider
    life.spread = Spread(at=owner.provider)
    return provider
