"""What a path of the data port means. A path is matched against enumerated shapes; nothing of it ever names a host.

Order of meaning: the gateway's own paths, the operations of a dialect, pass-through to a named provider, any other
versioned path to the default provider of its dialect. Whatever is left is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote


class Operation(StrEnum):
    """What a request asks of a model, in the words of its dialect."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    MESSAGES = "messages"
    COUNT_TOKENS = "count_tokens"


class RouteKind(StrEnum):
    """Who answers a path."""

    DIALECT = "dialect"
    """A known operation of a dialect."""
    PASS = "pass"  # noqa: S105 - no password
    """Pass-through to the provider that the path names."""
    DEFAULT = "default"
    """Pass-through to the default provider of the dialect."""
    RUNS = "runs"
    """The runs API."""
    HEALTH = "health"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Route:
    """What a path means. Two equal paths give equal routes, so a caller may keep them by path."""

    kind: RouteKind
    dialect: str
    """Whose error shape the answer has, and whose default provider a DEFAULT route goes to."""
    path: str
    """Path at the provider, from its root, percent-encoded as sent. Where the dialect has the model in its path, `{model}`
    stands for it."""
    operation: Operation | None = None
    """Also set on a pass-through whose rest is a known operation, so that its answer can be observed."""
    methods: tuple[str, ...] = ()
    """Methods that are answered; empty when any is."""
    generates: bool = False
    """Whether the answer is a generation: asked for uncoded, and observed. True only with an `operation`."""
    alias: str = ""
    """The alias or model that the path itself names (an Azure deployment, a Gemini model), decoded; empty elsewhere."""
    provider: str = ""
    """The provider that a PASS route names; empty elsewhere."""


RESERVED = frozenset({"v1", "v1beta", "openai", "trivet", "health", "livez", "readyz"})
"""First segments that are never a provider's; `openai` is reserved only before `/deployments` and `/v1`."""
HEALTH = frozenset({"/livez", "/readyz", "/health/liveliness", "/health/readiness"})

_POST = ("POST",)
_GET = ("GET", "HEAD")
_OPERATIONS = {
    "/chat/completions": (Operation.CHAT, True),
    "/completions": (Operation.COMPLETIONS, True),
    "/embeddings": (Operation.EMBEDDINGS, False),
}
"""OpenAI's POST operations below the version: operation, and whether it generates."""
_MESSAGES = {
    "/v1/messages": (Operation.MESSAGES, True),
    "/v1/messages/count_tokens": (Operation.COUNT_TOKENS, False),
}
"""Anthropic's POST operations, with their version: its clients take a base URL without one."""
_LATER = frozenset({"/v1/responses"})
"""POST paths of dialects whose operations still pass through, read only for their `model`."""
_encoded = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def find(path: str, providers: Collection[str]) -> Route:
    """The meaning of a path, given the names of the configured providers. Pure; never raises.

    `path` is as sent, already checked by `wire` (no dot segments, no encoded slashes, no control bytes). Encoded letters,
    digits and -._~ mean the same as plain ones (RFC 3986 section 6.2.2.2) and are matched so.
    """
    if "%" in path:
        path = _encoded.sub(_plain, path)
    if path in HEALTH:
        return Route(RouteKind.HEALTH, "openai", path, methods=_GET)
    if path == "/trivet/runs" or path.startswith("/trivet/runs/"):
        return Route(RouteKind.RUNS, "openai", path)
    if path.startswith("/openai/deployments/"):
        return _azure(path)
    first, _, rest = path[1:].partition("/")
    if first == "openai" and (rest == "v1" or rest.startswith("v1/")):
        path, first = path[len("/openai") :], "v1"
    if first in ("v1", "v1beta"):
        return _messages(path) or _openai(path.removeprefix("/v1"), path) or _default(path)
    if first in providers and (first not in RESERVED or first == "openai") and rest:
        return _pass(first, "/" + rest)
    bare = _openai(path, "/v1" + path)
    if bare is not None:
        return bare
    if path == "/responses" or path.startswith("/responses/"):
        return _default("/v1" + path)
    return _unknown(path)


def _plain(match: re.Match[str]) -> str:
    char = chr(int(match[1], 16))
    return char if char in _UNRESERVED else match[0]


def _openai(bare: str, path: str) -> Route | None:
    """`bare` is the path without its version."""
    known = _OPERATIONS.get(bare)
    if known is not None:
        return Route(RouteKind.DIALECT, "openai", path, known[0], _POST, generates=known[1])
    if bare == "/models" or (bare.startswith("/models/") and len(bare) > len("/models/")):
        return Route(RouteKind.DIALECT, "openai", path, Operation.MODELS, _GET)
    return None


def _messages(path: str) -> Route | None:
    known = _MESSAGES.get(path)
    return None if known is None else Route(RouteKind.DIALECT, "anthropic", path, known[0], _POST, generates=known[1])


def _azure(path: str) -> Route:
    alias, _, rest = path.removeprefix("/openai/deployments/").partition("/")
    known = _OPERATIONS.get("/" + rest)
    if not alias or known is None:
        return _unknown(path)
    return Route(RouteKind.DIALECT, "openai", "/v1/" + rest, known[0], _POST, known[1], unquote(alias))


def _dialect_of(path: str) -> str:
    """Whose error shape suits a path that is no operation known here."""
    if path.startswith("/v1beta/"):
        return "gemini"
    return "anthropic" if path == "/v1/messages" or path.startswith("/v1/messages/") else "openai"


def _default(path: str) -> Route:
    return Route(RouteKind.DEFAULT, _dialect_of(path), path, methods=_POST if path in _LATER else ())


def _pass(provider: str, path: str) -> Route:
    known = _OPERATIONS.get(path.removeprefix("/v1"))
    if known is not None:
        return Route(RouteKind.PASS, "openai", path, known[0], generates=known[1], provider=provider)
    known = _MESSAGES.get(path)
    if known is not None:
        return Route(RouteKind.PASS, "anthropic", path, known[0], generates=known[1], provider=provider)
    return Route(RouteKind.PASS, _dialect_of(path), path, provider=provider)


def _unknown(path: str) -> Route:
    return Route(RouteKind.UNKNOWN, "openai", path)
