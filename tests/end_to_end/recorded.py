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
GOLDEN = ROOT / "tests" / "golden" / "openai"
DIALECTS = {"openai-chat": "/v1/chat/completions", "openai-embeddings": "/v1/embeddings"}
ALIAS = "recorded-alias"
HOP = {"transfer-encoding", "content-length", "connection", "content-encoding", "keep-alive"}


@dataclass(frozen=True)
class Exchange:
    """A request body that names ALIAS, and the provider's answer."""

    name: str
    path: str
    request: bytes
    status: int
    headers: dict[str, str] = field(hash=False)
    body: bytes

    @property
    def stream(self) -> bool:
        """Whether the answer is a stream of events."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def upstream(self, model: str) -> bytes:
        """The request as the provider must get it: the same bytes but for the model's."""
        return self.request.replace(f'"{ALIAS}"'.encode(), f'"{model}"'.encode())


def _request(given: dict[str, Any] | None, path: str, *, stream: bool) -> bytes:
    body = dict((given or {}).get("json") or {})
    if not body:
        body = {"input": "x"} if path.endswith("embeddings") else {"messages": [{"role": "user", "content": "Hi"}]}
    if stream:
        body["stream"] = True
    body["model"] = ALIAS
    return json.dumps(body, ensure_ascii=False, indent=1).encode()


def _exchange(name: str, recorded: dict[str, Any]) -> Exchange:
    path, response = DIALECTS[recorded["dialect"]], recorded["response"]
    if "text" in response:
        body = response["text"].encode()
    else:
        body = json.dumps(response["json"], ensure_ascii=False, indent=1).encode()
    kind = "text/event-stream" if recorded["streaming"] else "application/json"
    headers = {"content-type": kind, **{n.lower(): v for n, v in response["headers"].items() if n.lower() not in HOP}}
    return Exchange(
        name, path, _request(recorded["request"], path, stream=recorded["streaming"]), response["status"], headers, body
    )


@cache
def golden() -> tuple[Exchange, ...]:
    """The own set: every stream, and every body that is JSON."""
    found = []
    for file in sorted([*GOLDEN.glob("*.sse"), *GOLDEN.glob("body-*.reply")]):
        stream = file.suffix == ".sse"
        path = (
            "/v1/embeddings"
            if "embedding" in file.name
            else "/v1/completions"
            if "completion" in file.name
            else "/v1/chat/completions"
        )
        status = 400 if "body-error" in file.name else 200
        headers = {
            "content-type": "text/event-stream" if stream else "application/json",
            "x-request-id": "req_provider",
            "x-ratelimit-remaining-requests": "7",
        }
        found.append(Exchange(file.stem, path, _request(None, path, stream=stream), status, headers, file.read_bytes()))
    return tuple(found)


@cache
def recordings() -> tuple[Exchange, ...]:
    """Every recording of this dialect; none in a plain clone."""
    found = []
    for dialect in DIALECTS:
        for file in sorted((FOLDER / dialect).glob("*.json")) if FOLDER.is_dir() else ():
            for number, recorded in enumerate(json.loads(file.read_bytes())["exchanges"]):
                if recorded["dialect"] in DIALECTS:
                    found.append(_exchange(f"{file.stem}-{number}", recorded))
    return tuple(found)
