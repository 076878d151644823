"""Routes: every path has one meaning, and no path names a host."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.dialect.routes import Operation, Route, RouteKind, find

PROVIDERS = frozenset({"openai", "local-vllm", "v1", "health", "azure"})

OPERATIONS = [
    ("/v1/chat/completions", Operation.CHAT, "/v1/chat/completions", True, ("POST",)),
    ("/v1/completions", Operation.COMPLETIONS, "/v1/completions", True, ("POST",)),
    ("/v1/embeddings", Operation.EMBEDDINGS, "/v1/embeddings", False, ("POST",)),
    ("/v1/models", Operation.MODELS, "/v1/models", False, ("GET", "HEAD")),
    ("/v1/models/gpt-4o", Operation.MODELS, "/v1/models/gpt-4o", False, ("GET", "HEAD")),
    ("/v1/models/openai/gpt-4o", Operation.MODELS, "/v1/models/openai/gpt-4o", False, ("GET", "HEAD")),
]


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1"])
@pytest.mark.parametrize(("path", "operation", "upstream", "generates", "methods"), OPERATIONS)
def test_operations(
    prefix: str, path: str, operation: Operation, upstream: str, generates: bool, methods: tuple[str, ...]
) -> None:
    """OpenAI's operations are found with /v1, without it, and below Azure's /openai/v1; the provider always gets /v1."""
    route = find(prefix + path.removeprefix("/v1"), PROVIDERS)
    assert route == Route(RouteKind.DIALECT, "openai", upstream, operation, methods, generates)


@pytest.mark.parametrize(
    ("path", "operation", "generates"),
    [("/v1/messages", Operation.MESSAGES, True), ("/v1/messages/count_tokens", Operation.COUNT_TOKENS, False)],
)
def test_messages(path: str, operation: Operation, generates: bool) -> None:
    """Anthropic's operations stand below their version only; a count generates nothing."""
    assert find(path, PROVIDERS) == Route(RouteKind.DIALECT, "anthropic", path, operation, ("POST",), generates)
    assert find(path.removeprefix("/v1"), PROVIDERS).kind is RouteKind.UNKNOWN


@pytest.mark.parametrize("rest", ["chat/completions", "completions", "embeddings"])
def test_azure_deployments(rest: str) -> None:
    """Azure's path carries the alias, decoded; the provider's path is the plain one."""
    route = find(f"/openai/deployments/my%20bot%2Bx/{rest}", PROVIDERS)
    assert (route.kind, route.path, route.alias) == (RouteKind.DIALECT, f"/v1/{rest}", "my bot+x")
    assert route.operation is not None


@pytest.mark.parametrize(
    ("path", "dialect", "methods"),
    [
        ("/v1/responses/", "openai", ()),
        ("/v1/responsesX", "openai", ()),
        ("/v1/files", "openai", ()),
        ("/v1/chat/completions/chatcmpl-1", "openai", ()),
        ("/v1/messages/batches", "anthropic", ()),
        ("/v1/messagesX", "openai", ()),
        ("/v1beta/files", "gemini", ()),
        ("/v1alpha/cachedContents/c", "gemini", ()),
        ("/v1beta/tunedModels/t", "gemini", ()),
        ("/upload/v1beta/files", "gemini", ()),
        ("/v1", "openai", ()),
        ("/v1/", "openai", ()),
        ("/v1/models/", "openai", ()),
    ],
)
def test_other_versioned_paths_go_to_the_default_provider(path: str, dialect: str, methods: tuple[str, ...]) -> None:
    """A client that swaps its base URL loses no endpoint."""
    assert find(path, PROVIDERS) == Route(RouteKind.DEFAULT, dialect, path, methods=methods)


@pytest.mark.parametrize("prefix", ["/v1", "", "/openai/v1", "/openai"])
@pytest.mark.parametrize(
    ("rest", "kind", "operation", "generates", "methods"),
    [
        ("", RouteKind.DIALECT, Operation.RESPONSES, True, ("POST",)),
        ("/compact", RouteKind.DIALECT, Operation.COMPACT, True, ("POST",)),
        ("/input_tokens", RouteKind.STATE, Operation.COUNT_TOKENS, False, ("POST",)),
        ("/resp_1", RouteKind.STATE, Operation.STORED, False, ()),
        ("/resp_1/cancel", RouteKind.STATE, Operation.STORED, False, ()),
        ("/resp_1/some/later_path", RouteKind.STATE, Operation.STORED, False, ()),
    ],
)
def test_responses(
    prefix: str, rest: str, kind: RouteKind, operation: Operation, generates: bool, methods: tuple[str, ...]
) -> None:
    """Responses and all below them, with /v1, without it, and where Azure's clients look; the provider always gets /v1."""
    wanted = Route(kind, "responses", "/v1/responses" + rest, operation, methods, generates)
    assert find(f"{prefix}/responses{rest}", PROVIDERS) == wanted
    assert find("/openai/v1/files", PROVIDERS).path == "/v1/files"


@pytest.mark.parametrize(
    ("path", "provider", "upstream", "dialect", "operation"),
    [
        ("/openai/v1x/y", "openai", "/v1x/y", "openai", None),
        ("/openai/audio/speech", "openai", "/audio/speech", "openai", None),
        ("/local-vllm/v1/chat/completions", "local-vllm", "/v1/chat/completions", "openai", Operation.CHAT),
        ("/local-vllm/chat/completions", "local-vllm", "/chat/completions", "openai", Operation.CHAT),
        ("/local-vllm/v1/responses", "local-vllm", "/v1/responses", "responses", Operation.RESPONSES),
        ("/local-vllm/responses/resp_1", "local-vllm", "/responses/resp_1", "responses", Operation.STORED),
        ("/local-vllm/v1/embeddings", "local-vllm", "/v1/embeddings", "openai", Operation.EMBEDDINGS),
        ("/local-vllm/v1/messages", "local-vllm", "/v1/messages", "anthropic", Operation.MESSAGES),
        (
            "/local-vllm/v1/messages/count_tokens",
            "local-vllm",
            "/v1/messages/count_tokens",
            "anthropic",
            Operation.COUNT_TOKENS,
        ),
        ("/local-vllm/v1/messages/batches", "local-vllm", "/v1/messages/batches", "anthropic", None),
        ("/local-vllm/v1beta/x", "local-vllm", "/v1beta/x", "gemini", None),
    ],
)
def test_pass_through(path: str, provider: str, upstream: str, dialect: str, operation: Operation | None) -> None:
    """The first segment is a configured name, the rest is the provider's own path; known operations are told."""
    route = find(path, PROVIDERS)
    assert (route.kind, route.provider, route.path, route.dialect, route.operation) == (
        RouteKind.PASS,
        provider,
        upstream,
        dialect,
        operation,
    )
    assert route.methods == ()


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/health/liveliness", "/health/readiness"])
def test_health(path: str) -> None:
    """Health paths are never a provider's, even of a provider called `health`."""
    assert find(path, PROVIDERS).kind is RouteKind.HEALTH


def test_runs() -> None:
    """The runs API and all below it."""
    for path in ("/trivet/runs", "/trivet/runs/r-1", "/trivet/runs/r-1/outcome"):
        assert find(path, PROVIDERS) == Route(RouteKind.RUNS, "openai", path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "*",
        "/nobody/v1/chat/completions",
        "/health/x",
        "/trivet",
        "/trivet/runsx",
        "/local-vllm",
        "/local-vllm/",
        "/V1/chat/completions",
        "/openai/deployments/a/images/generations",
        "/openai/deployments//completions",
        "/openai/deployments/a",
        "/models/",
        "/chat",
    ],
)
def test_unknown(path: str) -> None:
    """Whatever is left is unknown, in OpenAI's error shape."""
    assert find(path, PROVIDERS) == Route(RouteKind.UNKNOWN, "openai", path)


def test_reserved_names_are_no_providers() -> None:
    """A provider that is called like a reserved segment does not take its paths."""
    assert find("/v1/files", PROVIDERS).kind is RouteKind.DEFAULT
    assert find("/health/files", PROVIDERS).kind is RouteKind.UNKNOWN


def test_encoded_letters_do_not_hide_an_operation() -> None:
    """An encoded letter means the letter, so no spelling of a known path passes unread; other escapes stay as sent."""
    assert find("/v1/%63hat/completion%73", PROVIDERS) == find("/v1/chat/completions", PROVIDERS)
    assert find("/v1/files/a%20b%2fc", PROVIDERS).path == "/v1/files/a%20b%2fc"


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["v1", "openai", "models", "%", "%6", "", "azure", "x"])).map("/".join)
)
def test_any_path_has_a_meaning(path: str) -> None:
    """Never raises, and the provider's path always starts at its root."""
    route = find("/" + path, PROVIDERS)
    assert route.path.startswith("/")
    assert route.operation is not None or not route.generates
    assert (route.provider in PROVIDERS) == (route.kind is RouteKind.PASS)


GEMINI = [
    ("generateContent", Operation.GENERATE, True),
    ("streamGenerateContent", Operation.GENERATE_STREAM, True),
    ("countTokens", Operation.COUNT_TOKENS, False),
    ("embedContent", Operation.EMBEDDINGS, False),
    ("batchEmbedContents", Operation.EMBEDDINGS, False),
]


@pytest.mark.parametrize("version", ["v1beta", "v1alpha", "v1"])
@pytest.mark.parametrize(("method", "operation", "generates"), GEMINI)
def test_gemini_methods(version: str, method: str, operation: Operation, generates: bool) -> None:
    """The path names model and method; `{model}` stands where the provider's name for it goes."""
    wanted = Route(
        RouteKind.DIALECT, "gemini", f"/{version}/models/{{model}}:{method}", operation, ("POST",), generates, "m-1"
    )
    assert find(f"/{version}/models/m-1:{method}", PROVIDERS) == wanted
    passed = find(f"/local-vllm/{version}/models/m-1:{method}", PROVIDERS)
    assert passed == replace(wanted, kind=RouteKind.PASS, provider="local-vllm")
    assert find(f"/{version}/tunedModels/m-1:{method}", PROVIDERS) == replace(wanted, alias="tunedModels/m-1")
    if version == "v1beta":
        assert find(f"/models/m-1:{method}", PROVIDERS) == wanted


@pytest.mark.parametrize(
    ("segment", "alias"),
    [("a%20b", "a b"), ("team/support", "team/support"), ("a:b", "a:b"), ("%7Bmodel%7D", "{model}")],
)
def test_the_model_of_a_gemini_path_may_be_any_name(segment: str, alias: str) -> None:
    """Everything up to the last colon, decoded: names of aliases hold slashes and colons."""
    assert find(f"/v1beta/models/{segment}:countTokens", PROVIDERS).alias == alias


def test_a_method_that_is_not_known_still_names_a_model() -> None:
    """So pins hold for it; below /v1 a colon may belong to the id of an OpenAI model."""
    route = find("/v1beta/models/veo:predictLongRunning", PROVIDERS)
    assert (route.kind, route.alias, route.path) == (
        RouteKind.DEFAULT,
        "veo",
        "/v1beta/models/{model}:predictLongRunning",
    )
    assert find("/v1/models/ft:gpt-4o:org::x", PROVIDERS).dialect == "openai"


@pytest.mark.parametrize(
    "path", ["/v1beta/models", "/v1alpha/models/gemini-2.5-pro", "/v1beta/models/:generateContent"]
)
def test_gemini_models(path: str) -> None:
    """The list and one model; /v1/models is OpenAI's."""
    assert find(path, PROVIDERS) == Route(RouteKind.DIALECT, "gemini", path, Operation.MODELS, ("GET", "HEAD"))
