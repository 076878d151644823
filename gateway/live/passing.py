"""Pass-through: any path, method, query and body of a configured provider, byte for byte, under the caller's rights.

Wherever a JSON body has a readable top-level `model`, aliases and the `unmanaged` policy apply here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.core.contract.fault import Fault, Kind
from gateway.live.admit import require
from gateway.live.bind import bind
from gateway.live.forward import forward
from gateway.live.identify import find_run, is_json, name_alias
from gateway.live.relay import relay
from gateway.live.rewrite import rewrite
from gateway.live.unmanaged import provider_of

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker
    from gateway.wire.exchange import Incoming

BODY_METHODS = ("POST", "PUT", "PATCH")
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
        "skills",
    }
)
"""First path segments under which a provider keeps state that an id alone opens."""


async def pass_through(worker: Worker, life: Life) -> None:
    """Forward and relay a request whose route is no known operation. Raises Fault."""
    route, incoming = life.route, life.incoming
    assert route is not None
    if life.view.auth == "keys":
        require(life, "pass-through", "use routes outside the gateway's own")
        await _check_state(worker, life)
    managed = False
    if incoming.method in BODY_METHODS and is_json(incoming.fields.get(b"content-type", b"")):
        life.body = await incoming.body(life.view.serve.body_bytes)
        managed = read_model(life)
    if managed:
        name_alias(worker, life)
        await find_run(worker, life)
        await bind(worker, life)
        rewrite(worker, life)
        await forward(worker, life, life.body)
    else:
        life.provider = provider_of(life)
        if life.body:
            await forward(worker, life, life.body)
        elif incoming.chunked or incoming.length:
            await forward(worker, life, Upload(incoming, life.view.serve.upload_bytes))
        else:
            await forward(worker, life, None)
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
    envelope = dialect.read(route.operation, life.body)
    if not envelope.model:
        return False
    life.envelope = envelope
    return True


async def _check_state(worker: Worker, life: Life) -> None:
    """Provider state by id needs the right `provider-state`, or a record that this tenant owns it."""
    assert life.route is not None
    if "provider-state" in life.caller.rights:
        return
    segments = [s for s in life.route.path.split("/") if s and s not in ("v1", "v1beta", "openai")]
    if segments[:1] == ["messages"]:
        # Anthropic keeps its batches below its messages.
        segments = segments[1:]
    if len(segments) < 2 or segments[0] not in STATE_COLLECTIONS:
        return
    if await worker.store.linked(life.caller.tenant, (segments[1],)) is None:
        raise Fault(
            Kind.FORBIDDEN,
            "missing_right",
            "This key may not open provider state by id: it lacks the right `provider-state`, and the id is not known to be its own.",
        )
