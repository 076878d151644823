"""The head that a provider gets."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.contract.fault import Fault
from gateway.settings.model import EndpointSettings
from gateway.upstream.request import REQUEST_DROPPED, Heads
from gateway.wire.heads import Memo
from tests.upstream.harness import BODY, Rig, go, settings

LINE = ("POST", "/v1/chat/completions", "", "gpt-4o-2024-08-06")


def head(
    url: str = "https://api.openai.com",
    *,
    line: tuple[str, str, str, str] = LINE,
    headers: list[tuple[bytes, bytes]] | None = None,
    body: Any = BODY,
    credential: bytes | None = None,
    generation: bool = True,
    **members: Any,
) -> list[bytes]:
    """The lines of a head."""

    async def scenario(rig: Rig) -> bytes:
        heads = Heads(rig.upstreams.provider("openai").endpoints[0])
        first = heads.head(line, headers or [], body, credential, generation=generation)
        memo = Memo()
        for each in (heads, heads, Heads(rig.upstreams.provider("openai").endpoints[0])):
            assert each.head(line, headers or [], body, credential, generation=generation, memo=memo) == first
        return first

    made = go(settings(url, **members), scenario)
    assert made.endswith(b"\r\n\r\n")
    return made.split(b"\r\n")[:-2]


def names(lines: list[bytes]) -> list[bytes]:
    """Lower-case header names, in order."""
    return [line.partition(b":")[0].lower() for line in lines[1:]]


def test_a_whole_head() -> None:
    """Request line, host, key, the client's fields as sent and in order, identity, length."""
    sent = [(b"X-First", b"1"), (b"Content-Type", b"application/json"), (b"x-FIRST", b"2")]
    assert head(headers=sent) == [
        b"POST /v1/chat/completions HTTP/1.1",
        b"host: api.openai.com",
        b"authorization: Bearer provider-key",
        b"X-First: 1",
        b"Content-Type: application/json",
        b"x-FIRST: 2",
        b"accept-encoding: identity",
        b"content-length: %d" % len(BODY),
    ]


@pytest.mark.parametrize("name", sorted(REQUEST_DROPPED | {b"x-trivet-run", b"X-Trivet-Anything"}))
def test_r4_what_is_not_passed_on(name: bytes) -> None:
    """Credentials, cookies, hop-by-hop and framing fields, and our own, never reach a provider as the client sent them."""
    for case in (name, name.upper(), name.title()):
        lines = head(headers=[(case, b"client-value"), (b"Accept", b"*/*")])
        assert b"client-value" not in b"\n".join(lines)
        assert b"Accept: */*" in lines


def test_accept_encoding() -> None:
    """Generation is asked for without coding, so that answers can be read; pass-through keeps the client's wish."""
    sent = [(b"Accept-Encoding", b"gzip")]
    assert b"accept-encoding: identity" in head(headers=sent)
    assert b"Accept-Encoding: gzip" not in head(headers=sent)
    passed = head(headers=sent, generation=False)
    assert b"Accept-Encoding: gzip" in passed
    assert b"accept-encoding: identity" not in passed


class Stream:
    """A body that comes in pieces."""

    def __init__(self, length: int | None) -> None:
        self.length = length


@pytest.mark.parametrize(
    ("method", "body", "line"),
    [
        ("POST", b"12345", b"content-length: 5"),
        ("POST", b"", b"content-length: 0"),
        ("POST", None, b"content-length: 0"),
        ("POST", Stream(7), b"content-length: 7"),
        ("POST", Stream(None), b"transfer-encoding: chunked"),
        ("GET", None, None),
        ("DELETE", None, None),
    ],
)
def test_framing(method: str, body: Any, line: bytes | None) -> None:
    """Each kind of body is framed once, in one way."""
    lines = head(line=(method, "/v1/files", "", ""), body=body, generation=False)
    framing = [each for each in lines if each.startswith((b"content-length", b"transfer-encoding"))]
    assert framing == ([line] if line else [])


def test_client_credential() -> None:
    """With api_key: client the caller's own key goes on, to where the vendor reads it; with a key of ours it does not."""
    assert b"authorization: Bearer own" in head(credential=b"own", api_key="client")
    assert b"x-api-key: own" in head("https://api.anthropic.com", credential=b"own", api_key="client")
    assert b"x-goog-api-key: own" in head(
        "https://generativelanguage.googleapis.com", credential=b"own", api_key="client"
    )
    assert b"api-key: own" in head("https://n.openai.azure.com", credential=b"own", api_key="client")
    assert b"own" not in b"\n".join(head(credential=b"own"))
    assert b"authorization" not in names(head(api_key="client"))


def test_client_bearer_stays_bearer() -> None:
    """A caller who sent its own key as Bearer to a vendor that reads both keeps that form (OAuth tokens work so only)."""
    sent = [(b"Authorization", b"Bearer own")]
    lines = head("https://api.anthropic.com", headers=sent, credential=b"own", api_key="client")
    assert b"authorization: Bearer own" in lines
    assert b"x-api-key" not in names(lines)
    lines = head("https://api.anthropic.com", headers=[(b"X-Api-Key", b"own")], credential=b"own", api_key="client")
    assert b"x-api-key: own" in lines


def test_configured_headers_win() -> None:
    """A header of the configuration takes the place of the client's."""
    made = go(
        settings("https://api.openai.com", headers={"OpenAI-Organization": "ours"}),
        lambda rig: _head_of(rig, [(b"openai-organization", b"theirs")]),
    )
    assert b"OpenAI-Organization: ours" in made
    assert b"theirs" not in made


async def _head_of(rig: Rig, sent: list[tuple[bytes, bytes]]) -> bytes:
    return Heads(rig.upstreams.provider("openai").endpoints[0]).head(LINE, sent, BODY, None, generation=True)


@pytest.mark.parametrize(
    ("url", "path", "query", "members", "target"),
    [
        ("https://n.openai.azure.com", "/v1/chat/completions", "", {}, "/openai/v1/chat/completions"),
        ("https://n.openai.azure.com", "/v1/chat/completions", "api-version=preview", {}, "/openai/v1/chat/completions?api-version=preview"),
        (
            "https://n.openai.azure.com", "/v1/chat/completions", "api-version=2024-10-21", {},
            "/openai/deployments/prod%2B1/chat/completions?api-version=2024-10-21",
        ),
        (
            "https://n.openai.azure.com/openai/v1/", "/v1/embeddings", "", {"api_version": "2024-10-21"},
            "/openai/deployments/prod%2B1/embeddings?api-version=2024-10-21",
        ),
        ("https://n.openai.azure.com", "/v1/responses", "", {"api_version": "2025-04-01-preview"}, "/openai/v1/responses?api-version=2025-04-01-preview"),
        ("https://n.openai.azure.com", "/openai/files", "api-version=2024-10-21", {}, "/openai/files?api-version=2024-10-21"),
        ("https://apim.example/team", "/v1/chat/completions", "", {"vendor": "azure"}, "/team/openai/v1/chat/completions"),
        ("https://api.openai.com", "/v1/chat/completions", "api-version=2024-10-21&x=1", {}, "/v1/chat/completions?x=1"),
        ("https://generativelanguage.googleapis.com", "/v1beta/models/g:generateContent", "key=client&alt=sse", {}, "/v1beta/models/g:generateContent?alt=sse"),
    ],
)  # fmt: skip
def test_paths_and_queries(url: str, path: str, query: str, members: dict[str, Any], target: str) -> None:
    """Azure gets its own paths, other vendors no Azure version, and no caller's key rides in a query."""
    endpoints = (EndpointSettings(url=url, models={"gpt-4o-2024-08-06": "prod+1"}),)
    lines = head(url, line=("POST", path, query, "gpt-4o-2024-08-06"), endpoints=endpoints, **members)
    assert lines[0].decode() == f"POST {target} HTTP/1.1"


def test_what_another_vendor_keeps_is_asked_for_without_azures_version() -> None:
    """A stored response by its id reaches who keeps it, whichever vendor's client asks; other routes keep their query."""
    for path, query in (("/v1/responses/resp_1", "x=1"), ("/v1/files/f", "api-version=2024-10-21&x=1")):
        line = ("GET", path, "api-version=2024-10-21&x=1", "")
        lines = head("https://api.openai.com", line=line, generation=False)
        assert lines[0].decode() == f"GET {path}?{query} HTTP/1.1"


@pytest.mark.parametrize(
    ("path", "query", "method"),
    [("/v1/../x", "", "POST"), ("/v1//x", "", "GET"), ("/v1/%2e%2e/x", "", "GET"), ("/v1/x", "a b", "GET"), ("/v1/x", "a\r\nb", "GET"),
     ("/v1/x", "", "GET /"), ("/v1/ x", "", "GET")],
)  # fmt: skip
def test_r3_what_cannot_be_sent(path: str, query: str, method: str) -> None:
    """Even if such a target got this far, it never goes on the wire."""
    with pytest.raises(Fault) as caught:
        head(line=(method, path, query, ""), generation=False)
    assert caught.value.code == "bad_path"


@pytest.mark.parametrize("model", ["../x", "a/b", "..", "a\r\nb"])
def test_r3_a_model_name_cannot_leave_its_place(model: str) -> None:
    """A model name that becomes part of Azure's path cannot change where the path leads."""
    try:
        lines = head(
            "https://n.openai.azure.com", line=("POST", "/v1/chat/completions", "", model), api_version="2024-10-21"
        )
    except Fault as fault:
        assert fault.code == "bad_path"
    else:
        assert lines[0] == b"POST /openai/deployments/a%0D%0Ab/chat/completions?api-version=2024-10-21 HTTP/1.1"
