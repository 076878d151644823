"""`/v1/models`: the provider's own list with this gateway's aliases put in, so that a client finds every name it may ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.core.contract.exchange import Outcome
from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.splice import scan, splice
from gateway.live import stamps
from gateway.live.answers import response_lines
from gateway.live.forward import forward
from gateway.live.relay import relay
from gateway.live.unmanaged import provider_of

if TYPE_CHECKING:
    from gateway.live.life import Life
    from gateway.live.worker import Worker

LIST_CAP = 8 << 20
"""Largest provider list, in bytes, that aliases are put into; a larger one is relayed as it is."""


def entry(name: str, model: str) -> dict[str, object]:
    """An alias in the shape of OpenAI's model object; `created` is 0 because an alias has no birth date there."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "trivet", "trivet": {"model": model}}


def entries(worker: Worker, life: Life) -> list[dict[str, object]]:
    """The aliases that the caller may ask for, by the names it would use."""
    pointers = worker.store.pointers
    found: list[dict[str, object]] = []
    names = {**{n: n for n in pointers.aliases}, **life.caller.aliases}
    for name, alias in sorted(names.items()):
        state = pointers.alias(alias)
        if state is None or not life.caller.may(alias):
            continue
        lane = (
            state.lanes.get(f"tenant:{life.caller.tenant}")
            or state.lanes.get(f"segment:{life.caller.segment}")
            or state.lanes.get("*")
        )
        release = pointers.release(lane.release) if lane is not None else None
        found.append(entry(name, release.triple.model if release is not None else ""))
    return found


async def models(worker: Worker, life: Life) -> None:
    """Answer the list or one model. An alias is answered here; everything else is the provider's to answer."""
    route, incoming = life.route, life.incoming
    assert route is not None
    name = route.path.removeprefix("/v1/models").removeprefix("/")
    if incoming.method not in route.methods:
        raise Fault(
            Kind.METHOD, "method_not_allowed", "This route takes GET or HEAD.", allow=route.methods, reason="method"
        )
    ours = entries(worker, life) if incoming.method == "GET" else []
    if name:
        for one in ours:
            if one["id"] == name:
                return _send(life, msgspec.json.encode(one))
        if not life.caller.may(name):
            raise Fault(Kind.NOT_FOUND, "model_not_found", "No such model.", param="model", reason="model")
        life.provider = provider_of(life)
        await forward(worker, life, None)
        return await relay(worker, life)
    if life.caller.allow:
        return _send(life, msgspec.json.encode({"object": "list", "data": ours}))
    if not ours:
        life.provider = provider_of(life)
        await forward(worker, life, None)
        return await relay(worker, life)
    return await _list(worker, life, ours)


async def _list(worker: Worker, life: Life, ours: list[dict[str, object]]) -> None:
    """The provider's list with ours in front; only ours while the provider gives none."""
    alone = msgspec.json.encode({"object": "list", "data": ours})
    try:
        life.provider = provider_of(life)
        await forward(worker, life, None)
    except Fault:
        # The aliases work without the provider's list, and a client that lists models at start must not fail for it.
        return _send(life, alone)
    assert life.answer is not None
    out = life.answer.out
    body = bytearray()
    while data := await out.chunk():
        body += data
        if len(body) > LIST_CAP:
            out.abort()
            return _send(life, alone)
    whole = bytes(body)
    if out.status != 200:
        return _send(life, alone)
    try:
        members = scan(whole)
        theirs = members.get("data")
    except Fault:
        theirs = None
    if theirs is None or theirs[:1] != b"[":
        return _send(life, alone)
    inner = theirs[1:].lstrip()
    joined = msgspec.json.encode(ours)[:-1] + (b"]" if inner[:1] == b"]" else b"," + inner)
    life.status = 200
    merged = splice(members, {"data": joined})
    life.sending = True
    life.incoming.start(200, response_lines(life, out), len(merged))
    life.incoming.send(merged)
    life.incoming.finish()
    life.outcome = Outcome.OK
    return None


def _send(life: Life, body: bytes) -> None:
    life.status, life.outcome, life.sending = 200, Outcome.OK, True
    life.incoming.start(200, b"content-type: application/json\r\n" + stamps.lines(life), len(body))
    life.incoming.send(body)
    life.incoming.finish()
