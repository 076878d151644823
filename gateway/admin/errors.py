"""How the admin port says no: one JSON shape for everything, without echo of what was sent."""

from __future__ import annotations

import json

from aiohttp import web

from gateway.core.contract.fault import Fault, Kind, Side

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


def error_type(status: int) -> str:
    """The type word of a status, as the data port's OpenAI shape has it."""
    return _TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def error_body(code: str, message: str, status: int, param: str | None = None) -> bytes:
    """The body of a refusal."""
    return json.dumps(
        {"error": {"message": message, "type": error_type(status), "param": param, "code": code}}
    ).encode()


def refusal(fault: Fault, request_id: str) -> web.Response:
    """A Fault as an answer."""
    headers = {"x-request-id": request_id, "cache-control": "no-store"}
    if fault.retry_after is not None:
        headers["retry-after"] = str(max(0, round(fault.retry_after)))
    if fault.allow:
        headers["allow"] = ", ".join(fault.allow)
    if fault.status == 401:
        headers["www-authenticate"] = 'Bearer realm="trivet admin"'
    return web.Response(
        status=fault.status,
        body=error_body(fault.code, fault.message, fault.status, fault.param),
        content_type="application/json",
        headers=headers,
    )


def fault_of(error: web.HTTPException) -> Fault:
    """What aiohttp's router refused, as a Fault."""
    if isinstance(error, web.HTTPMethodNotAllowed):
        return Fault(
            Kind.METHOD, "method", "This route does not take that method.", allow=tuple(sorted(error.allowed_methods))
        )
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Fault(Kind.TOO_LARGE, "body_size", "The body is larger than this port takes.")
    if error.status == 404:
        return Fault(Kind.NOT_FOUND, "not_found", "No such route. /api/v1/openapi.json lists them.", reason="route")
    side = Side.CLIENT if error.status < 500 else Side.GATEWAY
    return Fault(Kind.BAD_REQUEST, "bad_request", "This request cannot be served.", status=error.status, side=side)


def internal() -> Fault:
    """A fault of our own."""
    return Fault(
        Kind.INTERNAL,
        "internal_error",
        "The gateway failed on this request; its log has the kind of error under this request id.",
        side=Side.GATEWAY,
    )
