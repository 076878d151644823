"""The head of a provider request, as bytes: enumerated path, our Host, one credential, the client's own fields otherwise.

What a client must never pass on is one table, `REQUEST_DROPPED`. The rest goes as it was sent: same case, same order, same
bytes. A provider's constant part is encoded once; per request only names are looked up and pieces joined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from gateway.core.contract.fault import Fault, Kind
from gateway.upstream.targets import joined, safe

if TYPE_CHECKING:
    from gateway.upstream.providers import Endpoint
    from gateway.wire.heads import Memo

Headers = list[tuple[bytes, bytes]]

CREDENTIALS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-trivet-key"))
"""Where clients put credentials; none of these is passed on as it came."""
REQUEST_DROPPED = CREDENTIALS | frozenset(
    (
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authorization",
        b"proxy-authenticate",
        b"te",
        b"trailer",
        b"upgrade",
        b"http2-settings",
        b"expect",
        b"cookie",
        b"cookie2",
    )
)
"""Fields of the client that no provider gets, beside everything that starts with `x-trivet-`."""
OWN_PREFIX = b"x-trivet-"
REMEMBERED = 512
"""Header names and request lines remembered per endpoint."""

_AZURE_CLASSIC = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
)
"""Routes that Azure also serves under a deployment's path."""
_STORED = "/v1/responses/"
"""Where what a provider keeps is asked for by the clients of every vendor."""


class Streamed(Protocol):
    """A body that is sent as it comes."""

    length: int | None


class Heads:
    """Builds heads for one endpoint."""

    __slots__ = ("_endpoint", "_kept", "_kept_generation", "_openings")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._openings: dict[tuple[str, str, str, str], bytes] = {}
        self._kept: dict[bytes, bool] = {}
        self._kept_generation: dict[bytes, bool] = {}

    def head(
        self,
        line: tuple[str, str, str, str],
        headers: Headers,
        body: bytes | Streamed | None,
        credential: bytes | None,
        *,
        generation: bool,
        memo: Memo | None = None,
    ) -> bytes:
        """The whole head with its empty line. `line` is (method, path, query, model); `memo` that of a head with just these
        `headers`. Raises Fault `bad_path`."""
        opening = self._openings.get(line)
        if opening is None:
            opening = self._opening(line, generation=generation)
        parts = [opening]
        if credential is not None and self._endpoint.forwards:
            parts.append(self._credential(credential, headers))
        made = memo.lines if memo is not None else None
        if made is not None and made[0] is self and made[1] == generation:
            parts.append(made[2])
        else:
            lines = self._lines(headers, generation=generation)
            if memo is not None:
                memo.lines = self, generation, lines
            parts.append(lines)
        if body is None:
            parts.append(b"content-length: 0\r\n\r\n" if line[0] not in _BODILESS else b"\r\n")
        elif isinstance(body, bytes):
            parts.append(b"content-length: %d\r\n\r\n" % len(body))
        elif body.length is None:
            parts.append(b"transfer-encoding: chunked\r\n\r\n")
        else:
            parts.append(b"content-length: %d\r\n\r\n" % body.length)
        return b"".join(parts)

    def _opening(self, line: tuple[str, str, str, str], *, generation: bool) -> bytes:
        """Request line and constant fields; remembered for generation, whose paths are few."""
        method, path, query, model = line
        path, query = route(self._endpoint, path, query, model, generation=generation)
        if not safe(path) or not query.isascii() or not query.isprintable() or " " in query or not method.isalpha():
            raise Fault(Kind.BAD_REQUEST, "bad_path", "The path cannot be sent to a provider.", reason="path")
        whole = f"{path}?{query}" if query else path
        opening = f"{method} {whole} HTTP/1.1\r\n".encode("ascii") + self._endpoint.constant
        if generation:
            if len(self._openings) >= REMEMBERED:
                self._openings.clear()
            self._openings[line] = opening
        return opening

    def _lines(self, headers: Headers, *, generation: bool) -> bytes:
        """The client's own fields that go along, as they were sent."""
        parts: list[bytes] = []
        kept = self._kept_generation if generation else self._kept
        for name, value in headers:
            keep = kept.get(name)
            if keep is None:
                keep = self._keeps(name, kept, generation=generation)
            if keep:
                parts += (name, b": ", value, b"\r\n")
        if generation:
            parts.append(b"accept-encoding: identity\r\n")
        return b"".join(parts)

    def _keeps(self, name: bytes, kept: dict[bytes, bool], *, generation: bool) -> bool:
        lower = name.lower()
        keep = not (
            lower in REQUEST_DROPPED
            or lower.startswith(OWN_PREFIX)
            or lower in self._endpoint.own_headers
            or (generation and lower == b"accept-encoding")
        )
        if len(kept) < REMEMBERED:
            kept[name] = keep
        return keep

    def _credential(self, credential: bytes, headers: Headers) -> bytes:
        """The caller's own credential, in the vendor's header, or as Bearer where it came so and the vendor reads that."""
        endpoint = self._endpoint
        header = endpoint.key_header
        if header != b"authorization" and endpoint.bearer_too():
            for name, value in headers:
                if name.lower() == b"authorization" and value[7:].strip() == credential:
                    header = b"authorization"
        if header == b"authorization":
            return b"authorization: Bearer %b\r\n" % credential
        return b"%b: %b\r\n" % (header, credential)


_BODILESS = frozenset(("GET", "HEAD", "OPTIONS", "DELETE"))


def route(endpoint: Endpoint, path: str, query: str, model: str, *, generation: bool) -> tuple[str, str]:
    """Path and query at this endpoint: Azure's own paths, the base's prefix, and no key of ours in a query."""
    if endpoint.vendor == "azure":
        if path.startswith("/v1/"):
            path, query = _azure(endpoint, path, query, model)
    elif query and (generation or path.startswith(_STORED)):
        # Came with Azure's path of an alias that lives elsewhere, or of what another vendor keeps.
        query = _without(query, "api-version")
    if endpoint.vendor == "google" and query and not endpoint.forwards:
        query = _without(query, "key")
    return joined(endpoint.target.path, path), query


def _azure(endpoint: Endpoint, path: str, query: str, model: str) -> tuple[str, str]:
    """Deployments path when a dated api-version is known, else `/openai/v1`, which takes the deployment as model."""
    version = next((part[12:] for part in query.split("&") if part.startswith("api-version=")), "")
    if not version and endpoint.api_version:
        version = endpoint.api_version
        query = f"{query}&api-version={version}" if query else f"api-version={version}"
    if version[:1].isdigit() and model and path in _AZURE_CLASSIC:
        deployment = quote(endpoint.model(model), safe="")
        path = f"/openai/deployments/{deployment}{path[3:]}"
    else:
        path = "/openai" + path
    return path, query


def _without(query: str, name: str) -> str:
    """A query without one parameter; everything else stays as written."""
    if name not in query:
        return query
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != name)
