"""Exchanges to replay: an own small set in `tests/golden`, and the recordings beside the repository where there are any."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
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
APIS = {
    "openai-chat": Api("openai", "/v1/chat/completions", HELLO),
    "openai-embeddings": Api("openai", "/v1/embeddings", {"input": "x"}),
    "openai-responses": Api("responses", "/v1/responses", {"input": "x"}),
    "openai-responses-compact": Api("responses", "/v1/responses/compact", {"input": "x"}),
    "openai-responses-count": Api("responses", "/v1/responses/input_tokens", {"input": "x"}),
    "anthropic-messages": Api("anthropic", "/v1/messages", {"max_tokens": 1, **HELLO}),
    "anthropic-count-tokens": Api("anthropic", "/v1/messages/count_tokens", HELLO),
}
"""By the name that recordings have for it."""
MODELS = {
    "openai": "openai/gpt-4o-2024-08-06",
    "responses": "openai/gpt-5-2025-08-07",
    "anthropic": "anthropic/claude-sonnet-4-5-20250929",
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
        return self.request.replace(f'"{self.alias}"'.encode(), f'"{model}"'.encode())


def alias_of(dialect: str) -> str:
    """The alias that requests of a dialect name."""
    return f"recorded-{dialect}"


def _request(given: dict[str, Any] | None, api: Api, *, stream: bool) -> bytes:
    body = dict((given or {}).get("json") or api.request)
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
    name += {"compact": "-compact", "input_tokens": "-count"}.get(end, "")
    return APIS.get(name) if request.get("method", "POST") == "POST" else None


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
    return tuple(found)
