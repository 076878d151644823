"""`/v1/models`: the provider's own list with this gateway's aliases put in, so that a client finds every name it may ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Shape:
    """How a dialect lists models."""

    listed: str
    """Member of the answer that holds them."""
    entry: Callable[[str, str], dict[str, object]]
    """One model: an alias, and the snapshot behind it."""
    alone: Callable[[list[dict[str, object]]], dict[str, object]]
    """The whole answer with only these."""
    later: tuple[str, ...] = ()
    """Query parameters of a page that is not the first: aliases stand on the first only."""


def openai_entry(name: str, model: str) -> dict[str, object]:
    """An alias in the shape of OpenAI's model object; `created` is 0 because an alias has no birth date there."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "trivet", "trivet": {"model": model}}


def anthropic_entry(name: str, model: str) -> dict[str, object]:
    """An alias in the shape of Anthropic's model object; the API itself writes an epoch where it knows no date."""
    known = {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
    return {**known, "lifecycle": "active", "trivet": {"model": model}}


def anthropic_page(data: list[dict[str, object]]) -> dict[str, object]:
    """A page that is the only one."""
    ends = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": ends[0], "last_id": ends[1]}


def gemini_entry(name: str, model: str) -> dict[str, object]:
    """An alias in the shape of Gemini's model object, whose name is that of a resource."""
    methods = ["generateContent", "countTokens", "embedContent"]
    known = {"name": f"models/{name}", "version": "", "displayName": name, "supportedGenerationMethods": methods}
    return {**known, "trivet": {"model": model}}


SHAPES = {
    "openai": Shape("data", openai_entry, lambda data: {"object": "list", "data": data}),
    "anthropic": Shape("data", anthropic_entry, anthropic_page, ("after_id=", "before_id=")),
    "gemini": Shape("models", gemini_entry, lambda data: {"models": data}, ("pageToken=", "page_token=")),
}
"""By the dialect of the route."""


def entries(worker: Worker, life: Life) -> dict[str, str]:
    """The aliases that the caller may ask for, by the names it would use, and the snapshot behind each."""
    pointers = worker.store.pointers
    found: dict[str, str] = {}
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
        found[name] = release.triple.model if release is not None else ""
    return found


async def models(worker: Worker, life: Life) -> None:
    """Answer the list or one model. An alias is answered here; everything else is the provider's to answer."""
    route, incoming = life.route, life.incoming
    assert route is not None
    name = route.path.partition("/models")[2].removeprefix("/")
    if incoming.method not in route.methods:
        raise Fault(
            Kind.METHOD, "method_not_allowed", "This route takes GET or HEAD.", allow=route.methods, reason="method"
        )
    shape = SHAPES.get(route.dialect, SHAPES["openai"])
    ours = entries(worker, life) if incoming.method == "GET" else {}
    if name:
        if name in ours:
            return _send(life, msgspec.json.encode(shape.entry(name, ours[name])))
        if not life.caller.may(name):
            raise Fault(Kind.NOT_FOUND, "model_not_found", "No such model.", param="model", reason="model")
        life.provider = provider_of(life)
        await forward(worker, life, None)
        return await relay(worker, life)
    listed = [shape.entry(alias, model) for alias, model in ours.items()]
    if life.caller.allow:
        return _send(life, msgspec.json.encode(shape.alone(listed)))
    if not ours or any(word in incoming.query for word in shape.later):
        life.provider = provider_of(life)
        await forward(worker, life, None)
        return await relay(worker, life)
    return await _list(worker, life, shape, listed)


async def _list(worker: Worker, life: Life, shape: Shape, ours: list[dict[str, object]]) -> None:
    """The provider's list with ours in front; only ours while the provider gives none."""
    alone = msgspec.json.encode(shape.alone(ours))
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
        theirs = members.get(shape.listed)
    except Fault:
        theirs = None
    if theirs is None or theirs[:1] != b"[":
        return _send(life, alone)
    inner = theirs[1:].lstrip()
    joined = msgspec.json.encode(ours)[:-1] + (b"]" if inner[:1] == b"]" else b"," + inner)
    life.status = 200
    merged = splice(members, {shape.listed: joined})
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
