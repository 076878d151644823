"""The admin port: metrics, health, and the operation table over HTTP.

Every decision about who may do what is made inside the matched handler, from the matched operation: never from a URL or
a Host that was parsed a second time. Every action that writes, and every refusal of a right, leaves an audit line.
"""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import hdrs, web

from gateway.admin import openapi
from gateway.admin.audit import Audit
from gateway.admin.errors import fault_of, internal, refusal
from gateway.admin.rights import Actor, identify
from gateway.admin.table import PREFIX, Operation
from gateway.admin.visit import Visit
from gateway.core.contract.fault import Fault, Kind
from gateway.settings.model import AdminSettings
from gateway.telemetry.log import Log

log = Log("admin")

BODY_BYTES = 8 << 20
"""Largest body: a release with a long prompt and a big toolset fits many times."""


class Readiness(msgspec.Struct, frozen=True):
    """Answer of /readyz on the admin port."""

    ready: bool
    store: str
    """`ok`, or the code of the fault."""
    warnings: tuple[str, ...]
    workers: int
    config_version: str


@dataclass(frozen=True, slots=True)
class Backstage:
    """What the port needs from its process."""

    admin: Callable[[], AdminSettings]
    visit: Callable[[Actor], Awaitable[Visit]]
    metrics: Callable[[], Awaitable[tuple[str, bytes]]]
    """Content type and text of /metrics, merged over all processes of this host."""
    ready: Callable[[], Awaitable[Readiness]]
    audit: Audit
    version: str


def build(backstage: Backstage, operations: Sequence[Operation]) -> web.Application:
    """The application; run it with `quiet.QuietRunner`."""
    ids = itertools.count(1)

    @web.middleware
    async def answer_json(request: web.Request, handler: Any) -> web.StreamResponse:
        """Give the request an id and turn every failure into our error shape."""
        request_id = f"adm-{next(ids)}"
        try:
            response: web.StreamResponse = await handler(request)
        except Fault as fault:
            response = refusal(fault, request_id)
        except web.HTTPException as error:
            response = refusal(fault_of(error), request_id)
        except Exception as error:  # noqa: BLE001 - outermost loop of the port: counted, logged by kind, answered without detail
            backstage.audit.failed += 1
            log.error("admin request failed", error=type(error).__name__, request=request_id, where=_place(error))  # noqa: TRY400 - a traceback may quote a request
            response = refusal(internal(), request_id)
        response.headers["x-request-id"] = request_id
        response.headers["x-content-type-options"] = "nosniff"
        return response

    app = web.Application(middlewares=[answer_json], client_max_size=BODY_BYTES)
    for operation in operations:
        app.router.add_route(operation.method, PREFIX + operation.path, _handler(backstage, operation))
    document = msgspec.json.encode(openapi.document(operations, backstage.version))
    _health(app, backstage)

    async def describe(request: web.Request) -> web.Response:
        _actor(backstage, request, "openapi").need("read")
        return _json(document)

    async def metrics(request: web.Request) -> web.Response:
        if backstage.admin().metrics == "token":
            _actor(backstage, request, "metrics").need("read")
        content_type, text = await backstage.metrics()
        return web.Response(body=text, headers={hdrs.CONTENT_TYPE: content_type})

    app.router.add_route("GET", f"{PREFIX}/openapi.json", describe)
    app.router.add_route("GET", "/metrics", metrics)
    return app


def _place(error: BaseException) -> str:
    """File and line of our code; never the text of the error, which may quote a request."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename.rpartition('gateway/')[2]}:{frames[-1].lineno}" if frames else ""


def _health(app: web.Application, backstage: Backstage) -> None:
    async def live(_: web.Request) -> web.Response:
        return _json(b'{"status":"ok"}')

    async def ready(_: web.Request) -> web.Response:
        state = await backstage.ready()
        return _json(msgspec.json.encode(state), 200 if state.ready else 503)

    for path in ("/livez", "/health/liveliness"):
        app.router.add_route("GET", path, live)
    for path in ("/readyz", "/health/readiness"):
        app.router.add_route("GET", path, ready)


def _handler(backstage: Backstage, operation: Operation) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        actor = _actor(backstage, request, operation.name)
        about: Mapping[str, object] = {name: request.match_info[name] for name in operation.in_path()}
        try:
            actor.need(operation.right)
            ask = await _read(operation, request)
            about = msgspec.to_builtins(ask)
            record = await operation.run(await backstage.visit(actor), ask)
        except Fault as fault:
            if operation.changes or fault.status in (401, 403):
                backstage.audit.write(actor.name, operation.name, about, fault.code)
            raise
        if operation.changes:
            backstage.audit.write(actor.name, operation.name, about, getattr(record, "audited", "done"))
        return _json(msgspec.json.encode(record))

    return handle


def _actor(backstage: Backstage, request: web.Request, action: str) -> Actor:
    try:
        return identify(backstage.admin(), request.headers)
    except Fault as fault:
        backstage.audit.write("", action, {}, fault.code)
        raise


async def _read(operation: Operation, request: web.Request) -> msgspec.Struct:
    """The request of an operation, from path, query and body. Raises Fault 400 or 415."""
    members: dict[str, Any] = {}
    if operation.method == "GET":
        for name, value in request.query.items():
            if name in members:
                raise Fault(Kind.BAD_REQUEST, "duplicate_parameter", "A query parameter is given twice.")
            members[name] = value
    elif request.can_read_body:
        if request.content_type != "application/json":
            raise Fault(Kind.UNSUPPORTED, "content_type", "This port reads application/json.")
        members = _object(await request.read())
    for name in operation.in_path():
        if name in members:
            raise Fault(Kind.BAD_REQUEST, "duplicate_parameter", f"{name} stands in the path already.", param=name)
        members[name] = request.match_info[name]
    try:
        return msgspec.convert(members, operation.ask, strict=operation.method != "GET")
    except msgspec.ValidationError as error:
        raise Fault(Kind.BAD_REQUEST, "invalid_request", f"The request does not fit: {error}.") from error


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body or b"{}")
    except msgspec.DecodeError:
        found = None
    if not isinstance(found, dict):
        raise Fault(Kind.BAD_REQUEST, "invalid_json", "The body must be a JSON object.") from None
    return found


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=body, content_type="application/json", headers={"cache-control": "no-store"}
    )
