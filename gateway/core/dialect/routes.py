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
    RESPONSES = "responses"
    COMPACT = "compact"
    STORED = "stored"
    """A stored response, by its id."""
    GENERATE = "generate"
    GENERATE_STREAM = "generate_stream"


class RouteKind(StrEnum):
    """Who answers a path."""

    DIALECT = "dialect"
    """A known operation of a dialect."""
    PASS = "pass"  # noqa: S105 - no password
    """Pass-through to the provider that the path names."""
    DEFAULT = "default"
    """Pass-through to the default provider of the dialect."""
    STATE = "state"
    """What a provider keeps for a dialect's own operation, or is asked about it: it goes to the provider that keeps it."""
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
    stands for it, and `models/{model}` for a tuned one with its collection."""
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


RESERVED = frozenset({"v1", "v1alpha", "v1beta", "openai", "trivet", "health", "livez", "readyz"})
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
_RESPONSES = {
    "/responses": (Operation.RESPONSES, True),
    "/responses/compact": (Operation.COMPACT, True),
    "/responses/input_tokens": (Operation.COUNT_TOKENS, False),
}
"""POST operations of the Responses API below the version; any other path below `/responses/` starts with a response's id."""
_METHODS = {
    "generateContent": (Operation.GENERATE, True),
    "streamGenerateContent": (Operation.GENERATE_STREAM, True),
    "countTokens": (Operation.COUNT_TOKENS, False),
    "embedContent": (Operation.EMBEDDINGS, False),
    "batchEmbedContents": (Operation.EMBEDDINGS, False),
}
"""Gemini's POST methods of a model: operation, and whether it generates."""
_UPLOADED = ("v1/", "v1alpha/", "v1beta/")
"""What follows `/upload/` where Google's clients send their files."""
_PREVIEWS = ("v1alpha", "v1beta")
"""Versions that are Gemini's alone; below `/v1` only its methods are, for OpenAI's fine-tuned models have colons too."""
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
    if first == "openai" and (rest == "responses" or rest.startswith("responses/")):
        # Where Azure's own client looks for it, unlike its deployments.
        path, first = "/v1/" + rest, "v1"
    if first in ("v1", *_PREVIEWS):
        bare = path.removeprefix("/v1")
        return _gemini(path) or _messages(path) or _responses(bare, path) or _openai(bare, path) or _default(path)
    if first in providers and (first not in RESERVED or first == "openai") and rest:
        return _pass(first, "/" + rest)
    if first == "upload" and rest.startswith(_UPLOADED):
        return Route(RouteKind.DEFAULT, "gemini", path)
    plain = "/v1" + path
    return _gemini("/v1beta" + path, known=True) or _responses(path, plain) or _openai(path, plain) or _unknown(path)


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


def _responses(bare: str, path: str, provider: str = "") -> Route | None:
    """`bare` is the path without its version. A token count may name no model, so it is asked where the state is."""
    if not bare.startswith("/responses/") and bare != "/responses":
        return None
    operation, generates = _RESPONSES.get(bare, (Operation.STORED, False))
    if operation is Operation.STORED and bare == "/responses/":
        return None
    methods = () if provider or operation is Operation.STORED else _POST
    kind = RouteKind.DIALECT if generates else RouteKind.STATE
    return Route(RouteKind.PASS if provider else kind, "responses", path, operation, methods, generates, "", provider)


def _messages(path: str) -> Route | None:
    known = _MESSAGES.get(path)
    return None if known is None else Route(RouteKind.DIALECT, "anthropic", path, known[0], _POST, generates=known[1])


def _gemini(path: str, provider: str = "", *, known: bool = False) -> Route | None:
    """A method of a model, whose name may hold slashes, or Gemini's own models; None for any other path. `known` leaves only
    the methods above."""
    version, collection, last = (*path[1:].split("/", 2), "", "")[:3]
    known = known or version not in _PREVIEWS or collection != "models"
    if collection not in ("models", "tunedModels") or (not last and known):
        return None
    model, _, method = last.rpartition(":")
    if not model or "/" in method or (known and method not in _METHODS):
        listed = not known and not provider and not last.endswith("/")
        return Route(RouteKind.DIALECT, "gemini", path, Operation.MODELS, _GET) if listed else None
    operation, generates = _METHODS.get(method, (None, False))
    kind = RouteKind.DIALECT if operation is not None else RouteKind.DEFAULT
    path = f"/{version}/models/{{model}}:{method}"
    name = unquote(model if collection == "models" else f"{collection}/{model}")
    return Route(RouteKind.PASS if provider else kind, "gemini", path, operation, _POST, generates, name, provider)


def _azure(path: str) -> Route:
    alias, _, rest = path.removeprefix("/openai/deployments/").partition("/")
    known = _OPERATIONS.get("/" + rest)
    if not alias or known is None:
        return _unknown(path)
    return Route(RouteKind.DIALECT, "openai", "/v1/" + rest, known[0], _POST, known[1], unquote(alias))


def _dialect_of(path: str) -> str:
    """Whose error shape suits a path that is no operation known here."""
    if path.startswith(("/v1beta/", "/v1alpha/")):
        return "gemini"
    return "anthropic" if path == "/v1/messages" or path.startswith("/v1/messages/") else "openai"


def _default(path: str) -> Route:
    return Route(RouteKind.DEFAULT, _dialect_of(path), path)


def _pass(provider: str, path: str) -> Route:
    known = _OPERATIONS.get(path.removeprefix("/v1"))
    if known is not None:
        return Route(RouteKind.PASS, "openai", path, known[0], generates=known[1], provider=provider)
    known = _MESSAGES.get(path)
    if known is not None:
        return Route(RouteKind.PASS, "anthropic", path, known[0], generates=known[1], provider=provider)
    named = _gemini(path, provider) or _responses(path.removeprefix("/v1"), path, provider)
    if named is not None:
        return named
    return Route(RouteKind.PASS, _dialect_of(path), path, provider=provider)


def _unknown(path: str) -> Route:
    return Route(RouteKind.UNKNOWN, "openai", path)
