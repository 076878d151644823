"""Exchanges to replay: an own small set in `tests/golden`, and the recordings beside the repository where there are any."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.gateway_process import ROOT

FOLDER = Path(os.environ.get("TRIVET_EXCHANGES", ROOT.parent / "shared" / "exchanges"))
GOLDEN = ROOT / "tests" / "golden"


@dataclass(frozen=True)
class Api:
    """What is recorded under one name: the dialect it is of, where it is asked for, and a request for answers without one."""

    dialect: str
    path: str
    request: dict[str, Any] = field(default_factory=dict, hash=False)


HELLO = {"messages": [{"role": "user", "content": "Hi"}]}
GEMINI, SAY = "/v1beta/models/recorded-gemini", {"contents": [{"parts": [{"text": "Hi"}]}]}
APIS = {
    "openai-chat": Api("openai", "/v1/chat/completions", HELLO),
    "openai-embeddings": Api("openai", "/v1/embeddings", {"input": "x"}),
    "openai-responses": Api("responses", "/v1/responses", {"input": "x"}),
    "openai-responses-compact": Api("responses", "/v1/responses/compact", {"input": "x"}),
    "openai-responses-count": Api("responses", "/v1/responses/input_tokens", {"input": "x"}),
    "anthropic-messages": Api("anthropic", "/v1/messages", {"max_tokens": 1, **HELLO}),
    "anthropic-count-tokens": Api("anthropic", "/v1/messages/count_tokens", HELLO),
    "gemini": Api("gemini", f"{GEMINI}:generateContent", SAY),
    "gemini-stream": Api("gemini", f"{GEMINI}:streamGenerateContent?alt=sse", SAY),
    "gemini-array": Api("gemini", f"{GEMINI}:streamGenerateContent", SAY),
    "gemini-other": Api("gemini", f"{GEMINI}:countTokens", SAY),
    "gemini-embed": Api("gemini", f"{GEMINI}:embedContent", {"content": {"parts": [{"text": "Hi"}]}}),
    "gemini-batch": Api("gemini", f"{GEMINI}:batchEmbedContents", {"requests": []}),
}
"""By the name that recordings have for it."""
MODELS = {
    "openai": "openai/gpt-4o-2024-08-06",
    "responses": "openai/gpt-5-2025-08-07",
    "anthropic": "anthropic/claude-sonnet-4-5-20250929",
    "gemini": "gemini/gemini-2.5-flash-001",
}
"""What the alias of each dialect is pinned to."""
HOP = {"transfer-encoding", "content-length", "connection", "content-encoding", "keep-alive"}


@dataclass(frozen=True)
class Exchange:
    """A request body that names the alias of its dialect, and the provider's answer."""

    name: str
    dialect: str
    path: str
    request: bytes
    status: int
    headers: dict[str, str] = field(hash=False)
    body: bytes

    @property
    def stream(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    @property
    def alias(self) -> str:
        """The alias that the request names."""
        return alias_of(self.dialect)

    @property
    def upstream(self) -> bytes:
        """The request as the provider must get it: the same bytes but for the model's."""
        model = MODELS[self.dialect].partition("/")[2]
        sent = self.request.replace(f'"{self.alias}"'.encode(), f'"{model}"'.encode())
        return sent.replace(f'"models/{self.alias}"'.encode(), f'"models/{model}"'.encode())

    @property
    def target(self) -> str:
        """Where the provider must get it: the path, and the model where that has it."""
        return self.path.replace(self.alias, MODELS[self.dialect].partition("/")[2])


def alias_of(dialect: str) -> str:
    """The alias that requests of a dialect name."""
    return f"recorded-{dialect}"


def _request(given: dict[str, Any] | None, api: Api, *, stream: bool) -> bytes:
    body = dict((given or {}).get("json") or api.request)
    if api.dialect == "gemini":
        for each in body.get("requests", ()):
            each["model"] = f"models/{alias_of(api.dialect)}"
        return json.dumps(body, ensure_ascii=False, indent=1).encode()
    for state in ("previous_response_id", "conversation"):
        # Of a run that this gateway has not seen.
        body.pop(state, None)
    if stream:
        body["stream"] = True
    body["model"] = alias_of(api.dialect)
    return json.dumps(body, ensure_ascii=False, indent=1).encode()


def _recorded_api(recorded: dict[str, Any]) -> Api | None:
    """What a recording is of; None for what is not replayed, such as a look at a stored answer."""
    request, name = recorded["request"] or {}, recorded["dialect"]
    end = request.get("url", "").rpartition("/")[2]
    if name.startswith("gemini"):
        method = end.rpartition(":")[2]
        kinds = {"countTokens": "gemini-other", "embedContent": "gemini-embed", "batchEmbedContents": "gemini-batch"}
        default = "" if name == "gemini-other" else "gemini-stream" if recorded["streaming"] else "gemini"
        return APIS.get(kinds.get(method, default))
    name += {"compact": "-compact", "input_tokens": "-count"}.get(end, "")
    return APIS.get(name) if request.get("method", "POST") == "POST" else None


def as_array(exchange: Exchange) -> Exchange:
    """A stream of Gemini's events as it is answered without `alt=sse`: the same chunks in one array."""
    lines = [line[6:] for line in exchange.body.splitlines() if line.startswith(b"data: ")]
    chunks = b"\n,\r\n".join(json.dumps(json.loads(line), indent=2).encode() for line in lines)
    headers = {**exchange.headers, "content-type": "application/json; charset=UTF-8"}
    return replace(
        exchange,
        name=f"{exchange.name}-array",
        path=exchange.path.removesuffix("?alt=sse"),
        headers=headers,
        body=b"[" + chunks + b"\n]\n",
    )


def _exchange(name: str, api: Api, recorded: dict[str, Any]) -> Exchange:
    response = recorded["response"]
    if "text" in response:
        body = response["text"].encode()
    else:
        body = json.dumps(response["json"], ensure_ascii=False, indent=1).encode()
    kind = "text/event-stream" if recorded["streaming"] else "application/json"
    headers = {"content-type": kind, **{n.lower(): v for n, v in response["headers"].items() if n.lower() not in HOP}}
    request = _request(recorded["request"], api, stream=recorded["streaming"])
    return Exchange(name, api.dialect, api.path, request, response["status"], headers, body)


def _api(dialect: str, name: str) -> Api:
    """What a file of the own set is an answer of."""
    if dialect == "responses":
        kind = "-compact" if "compact" in name else "-count" if "count" in name else ""
        return APIS["openai-responses" + kind]
    if dialect == "gemini":
        kind = (
            "-stream" if name.endswith(".sse") else "-other" if "count" in name else "-embed" if "embed" in name else ""
        )
        return APIS["gemini" + kind]
    if dialect == "anthropic":
        return APIS["anthropic-count-tokens" if "count" in name else "anthropic-messages"]
    if "embedding" in name:
        return APIS["openai-embeddings"]
    return Api("openai", "/v1/completions", {"prompt": "Hi"}) if "completion" in name else APIS["openai-chat"]


@cache
def golden() -> tuple[Exchange, ...]:
    """The own set: every stream, and every body that is JSON."""
    found = []
    for dialect in MODELS:
        for file in sorted([*(GOLDEN / dialect).glob("*.sse"), *(GOLDEN / dialect).glob("body-*.reply")]):
            stream = file.suffix == ".sse"
            api = _api(dialect, file.name)
            status = 400 if "body-error" in file.name else 200
            headers = {
                "content-type": "text/event-stream" if stream else "application/json",
                "x-request-id": "req_provider",
                "x-ratelimit-remaining-requests": "7",
            }
            request, name = _request(None, api, stream=stream), f"{dialect}-{file.stem}"
            found.append(Exchange(name, dialect, api.path, request, status, headers, file.read_bytes()))
    return tuple(found)


@cache
def recordings() -> tuple[Exchange, ...]:
    """Every recording of these APIs; none in a plain clone."""
    found = []
    for folder in APIS:
        for file in sorted((FOLDER / folder).glob("*.json")) if FOLDER.is_dir() else ():
            for number, recorded in enumerate(json.loads(file.read_bytes())["exchanges"]):
                api = _recorded_api(recorded)
                if api is not None:
                    found.append(_exchange(f"{file.stem}-{number}", api, recorded))
                    if api is APIS["gemini-stream"] and b"finishReason" in found[-1].body:
                        found.append(as_array(found[-1]))
    return tuple(found)
