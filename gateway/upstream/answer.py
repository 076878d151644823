"""What came back from a provider, and how much of it the client may see.

Three small changes are made to an answer, and only these: fields of `RESPONSE_DROPPED` go, a `retry-after` that clients
misread is written plainly or dropped, and an error body that is not the API's own shape is replaced by one that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from gateway.core.contract.fault import STATUS, Fault, Kind, Side
from gateway.wire.errors import DeadlineExceeded, UpstreamBroken, UpstreamLost

if TYPE_CHECKING:
    from gateway.upstream.providers import Endpoint, Provider
    from gateway.wire.client import Outgoing

RESPONSE_DROPPED = frozenset(
    (
        b"set-cookie",
        b"set-cookie2",
        b"openai-organization",
        b"openai-project",
        b"anthropic-organization-id",
        b"x-goog-project-id",
        b"x-goog-user-project",
        b"x-ms-subscription-id",
        b"www-authenticate",
    )
)
"""Fields of a provider's answer that no client gets: cookies, and whose account it is."""
SHORT = 64 << 10
"""Bytes of an error body that are read to judge it."""
EXCERPT = 2048
"""Bytes of a foreign error body that the journal keeps (faults.md D5)."""
LONGEST_WAIT = 86400
"""Seconds; a longer `retry-after` is written as this."""

_QUOTA = (
    b"insufficient_quota",
    b"billing_hard_limit",
    b"billing_not_active",
    b"billing_error",
    b"PerDay",
    b"per_day",
)
"""What a body of status 429 holds when waiting does not help (faults.md D3)."""
_UNPAID = (b"credit balance is too low", b"specified API usage limits")
"""What Anthropic's body of status 400 holds when the account is out of money; of status 402 every body does."""
_KIND_OF_STATUS = {status: kind for kind, status in STATUS.items() if status < 500} | {
    402: Kind.FORBIDDEN,
    410: Kind.NOT_FOUND,
    500: Kind.UPSTREAM,
    503: Kind.OVERLOADED,
    504: Kind.TIMEOUT,
    529: Kind.OVERLOADED,
}


class ErrorShape(Protocol):
    """What a dialect knows of its own error bodies."""

    def looks_like_error(self, body: bytes) -> bool:
        """Whether a body is an error in the API's own shape."""
        ...


class Answer(msgspec.Struct):
    """A provider's answer whose head has come. `body` is set when the call had to read it all to decide about a retry."""

    out: Outgoing
    endpoint: str
    attempts: int
    attempt_log: tuple[str, ...]
    provider: Provider
    at: Endpoint
    body: bytes | None = None
    repeated: bool = False
    """The gateway called the same endpoint twice, and sat out its wait."""
    elsewhere: bool = False
    """Another endpoint may serve what this one refused, when the client repeats the request."""
    wall: Callable[[], float] | None = None


@dataclass(slots=True)
class Settled:
    """An error answer, judged. With `fault` set the client gets that; else `body` under the answer's own status, with
    `headers` added and the fields named in `replaced` left out. `code` is the provider's error code, for the journal."""

    body: bytes
    code: str
    excerpt: str = ""
    fault: Fault | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    replaced: frozenset[bytes] = frozenset()


async def settle(answer: Answer, shape: ErrorShape) -> Settled:
    """Judge an answer with an error status, reading its body up to SHORT. Counts the failure by kind. Never raises a
    provider's fault: a body that breaks off is a body of the wrong shape."""
    out = answer.out
    body, whole = (answer.body, True) if answer.body is not None else await _read(out)
    wait = retry_after(out.fields, answer.wall)
    quota = _out_of_money(out.status, body)
    if not whole or not body or b"content-encoding" in out.fields or not shape.looks_like_error(body):
        answer.provider.error("shape")
        return _wrapped(answer, body, wait)
    if quota:
        answer.provider.error("quota")
    elif out.status == 429 or out.status >= 500:
        answer.provider.error(str(out.status))
    headers: list[tuple[bytes, bytes]] = []
    replaced: set[bytes] = set()
    written = out.fields.get(b"retry-after")
    if written is not None:
        seconds = _seconds(out.fields, answer.wall)
        if seconds is None:
            replaced.add(b"retry-after")
        elif written != _plain(seconds):
            replaced.add(b"retry-after")
            headers.append((b"retry-after", _plain(seconds)))
    if b"retry-after-ms" in out.fields and _milliseconds(out.fields) is None:
        replaced.add(b"retry-after-ms")
    if (quota and not answer.elsewhere) or answer.repeated:
        # Waiting does not help, or the gateway has done the waiting. Going on to another endpoint is no waiting.
        replaced.add(b"x-should-retry")
        headers.append((b"x-should-retry", b"false"))
    return Settled(body, error_code(body), headers=tuple(headers), replaced=frozenset(replaced))


def retry_after(fields: dict[bytes, bytes], wall: Callable[[], float] | None = None) -> float | None:
    """Seconds to wait by `retry-after-ms` or `retry-after` (a number or a date); None when there is none that makes sense.

    A date counts from the answer's own `date`, else from `wall`, the wall clock in seconds.
    """
    exact = _milliseconds(fields)
    return exact if exact is not None else _seconds(fields, wall)


def _seconds(fields: dict[bytes, bytes], wall: Callable[[], float] | None) -> float | None:
    value = fields.get(b"retry-after")
    if value is None:
        return None
    text = value.decode("latin-1").strip()
    try:
        seconds = float(text) if text.isascii() else math.nan
    except ValueError:
        seconds = _until(text, fields, wall)
    if not math.isfinite(seconds) or seconds < 0 or "_" in text:
        return None
    return min(seconds, float(LONGEST_WAIT))


def _milliseconds(fields: dict[bytes, bytes]) -> float | None:
    value = fields.get(b"retry-after-ms")
    if value is None or not value.isdigit() or len(value) > 9:
        return None
    return min(int(value) / 1000, float(LONGEST_WAIT))


def _until(text: str, fields: dict[bytes, bytes], wall: Callable[[], float] | None) -> float:
    try:
        then = parsedate_to_datetime(text).timestamp()
        sent = fields.get(b"date")
        if sent is not None:
            now = parsedate_to_datetime(sent.decode("latin-1")).timestamp()
        elif wall is not None:
            now = wall()
        else:
            return math.nan
    except (ValueError, TypeError, OverflowError):
        return math.nan
    return max(0.0, then - now)


def _plain(wait: float) -> bytes:
    """`retry-after` as every client reads it: whole seconds, rounded up."""
    return b"%d" % math.ceil(wait)


def quota_spent(body: bytes) -> bool:
    """Whether a 429 says that no waiting of seconds will help."""
    return any(word in body for word in _QUOTA)


def _out_of_money(status: int, body: bytes) -> bool:
    """The same of any status: Anthropic has other ones for it."""
    if status == 429:
        return quota_spent(body)
    return status == 402 or (status == 400 and any(words in body for words in _UNPAID))


def error_code(body: bytes) -> str:
    """The code or type of a provider's error body, as a short word; empty when there is none."""
    try:
        error: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return ""
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, dict):
        error = error.get("error", error)
    if not isinstance(error, dict):
        return ""
    for member in ("code", "type", "status"):
        word = error.get(member)
        if isinstance(word, str) and word:
            return word[:64]
    return ""


async def _read(out: Outgoing) -> tuple[bytes, bool]:
    """The body up to SHORT, and whether that is all of it. A longer or broken one is aborted."""
    pieces: list[bytes] = []
    size = 0
    try:
        while size <= SHORT:
            data = await out.chunk()
            if not data:
                return b"".join(pieces), True
            pieces.append(data)
            size += len(data)
    except (UpstreamLost, UpstreamBroken, DeadlineExceeded):
        pass  # Its status is known; what came of the body is judged as it is.
    out.abort()
    return b"".join(pieces)[:SHORT], False


def _wrapped(answer: Answer, body: bytes, wait: float | None) -> Settled:
    """An error of the same class, in the gateway's words."""
    status = answer.out.status
    kind = _KIND_OF_STATUS.get(status, Kind.UPSTREAM if status >= 500 else Kind.BAD_REQUEST)
    final = status == 429 and quota_spent(body) and not answer.elsewhere
    retry = not answer.repeated and (status == 429 or status >= 500) and not final
    if status in {429, 503, 529} and wait is None:
        wait = 1.0
    fault = Fault(
        kind,
        "upstream_error",
        f"The provider answered with status {status} and a body that is not its API's format.",
        side=Side.PROVIDER,
        retry=retry,
        retry_after=None if wait is None else float(math.ceil(wait)),
        status=status,
    )
    return Settled(b"", "upstream_error", excerpt(body, answer.at.secrets), fault)


def excerpt(body: bytes, secrets: tuple[bytes, ...] = ()) -> str:
    """The first EXCERPT bytes of a foreign body as text, without the keys that were sent."""
    for secret in secrets:
        body = body.replace(secret, b"(redacted)")
    return body[:EXCERPT].decode("utf-8", "replace")
