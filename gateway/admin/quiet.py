"""aiohttp's server with its mouth shut.

Out of the box a request that does not parse is quoted in a text answer and in the server's log, secret headers included
(measured with `Authorization: Bearer SECRET` and a control byte). Here the answer is our JSON without a quote, and the
log keeps the kind of error only.
"""

from __future__ import annotations

import json
import logging

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from gateway.telemetry.log import Log

log = Log("admin")


class WithoutQuotes(logging.Filter):
    """Keeps what happened, drops what was sent: arguments and tracebacks of aiohttp's server log may quote a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Blank the record."""
        error = record.exc_info[1] if record.exc_info else None
        record.msg = f"admin port: {type(error).__name__}" if error is not None else "admin port: request failed"
        record.args = ()
        record.exc_info = None
        record.exc_text = None
        return True


class QuietHandler(RequestHandler):
    """One connection; answers a request that does not parse with our own error."""

    __slots__ = ()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> web.StreamResponse:
        """Answer in JSON without echo, close the connection, log the kind of error."""
        log.info("request refused", status=status, error=type(exc).__name__ if exc else "")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun, nothing else can be said")
        code, text = ("bad_request", "This is not a well-formed HTTP request.") if status < 500 else _INTERNAL
        body = {"error": {"message": text, "type": "invalid_request_error", "param": None, "code": code}}
        answer = web.Response(status=status, body=json.dumps(body).encode(), content_type="application/json")
        answer.force_close()
        return answer


_INTERNAL = ("internal_error", "The gateway failed on this request; its log has the kind of error.")


class QuietServer(web.Server):
    """Makes a QuietHandler per connection."""

    def __call__(self) -> RequestHandler:
        """A new connection."""
        return QuietHandler(self, loop=self._loop, **self._kwargs)


class QuietRunner(web.AppRunner):
    """Runs an application on a QuietServer."""

    __slots__ = ()

    def __init__(self, app: web.Application) -> None:
        silenced = logging.getLogger("gateway.admin.http")
        if not any(isinstance(f, WithoutQuotes) for f in silenced.filters):
            silenced.addFilter(WithoutQuotes())
        super().__init__(app, access_log=None, handle_signals=False, logger=silenced, shutdown_timeout=2.0)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return QuietServer(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=True,
            loop=made._loop,
            **made._kwargs,
        )
