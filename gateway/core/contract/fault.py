"""One error type for everything that keeps a request from its answer: whose fault, what kind, and whether a retry may help.

Foreign exceptions become a Fault once, at the boundary where they appear; each dialect renders a Fault in its own shape.
A Fault's message never quotes what the client sent, an upstream address or a secret.
"""

from __future__ import annotations

from enum import StrEnum


class Side(StrEnum):
    """Whose fault it is."""

    CLIENT = "client"
    GATEWAY = "gateway"
    PROVIDER = "provider"


class Kind(StrEnum):
    """What kind of fault; the table STATUS gives its HTTP status, each dialect its own type word."""

    BAD_REQUEST = "bad_request"
    AUTH = "auth"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD = "method"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    MISDIRECTED = "misdirected"
    EXPECTATION = "expectation"
    UPGRADE = "upgrade"
    HEADER_SIZE = "header_size"
    CLIENT_TIMEOUT = "client_timeout"
    RATE = "rate"
    INTERNAL = "internal"
    NOT_IMPLEMENTED = "not_implemented"
    UPSTREAM = "upstream"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    VERSION = "version"


STATUS: dict[Kind, int] = {
    Kind.BAD_REQUEST: 400,
    Kind.AUTH: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD: 405,
    Kind.CLIENT_TIMEOUT: 408,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.EXPECTATION: 417,
    Kind.MISDIRECTED: 421,
    Kind.UPGRADE: 426,
    Kind.RATE: 429,
    Kind.HEADER_SIZE: 431,
    Kind.INTERNAL: 500,
    Kind.NOT_IMPLEMENTED: 501,
    Kind.UPSTREAM: 502,
    Kind.OVERLOADED: 503,
    Kind.TIMEOUT: 504,
    Kind.VERSION: 505,
}
"""HTTP status per kind (RFC 9110 section 15)."""


class Fault(Exception):
    """A request that gets an error instead of an answer.

    `code` is the stable machine word (`invalid_json`, `run_stamp_missing`, ...), `param` the member or header at fault,
    `retry` what `x-should-retry` says, `retry_after` seconds for `Retry-After`, `status` overrides STATUS,
    `reason` the label of the rejection counter, `allow` the methods of a 405, `close` asks to close the connection.
    """

    def __init__(  # noqa: PLR0913 - an error is raised in one line where it is found, by keyword
        self,
        kind: Kind,
        code: str,
        message: str,
        *,
        side: Side = Side.CLIENT,
        param: str | None = None,
        retry: bool = False,
        retry_after: float | None = None,
        status: int = 0,
        reason: str = "",
        allow: tuple[str, ...] = (),
        close: bool = False,
    ) -> None:
        super().__init__(code)
        self.kind = kind
        self.code = code
        self.message = message
        self.side = side
        self.param = param
        self.retry = retry
        self.retry_after = retry_after
        self.status = status or STATUS[kind]
        self.reason = reason or code
        self.allow = allow
        self.close = close
        self.lines = ""
        """More header lines of the answer, each ended by CRLF."""

    def __repr__(self) -> str:
        return f"Fault({self.kind.value}, {self.code!r}, {self.message!r})"
