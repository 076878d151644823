"""Files that the provider keeps stay their tenant's, under every spelling and in every dialect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.live.gateway import LiveGateway
from tests.provider import Provider, answer

KEYS = {
    "sk-trivet-own": ("t", ["pass-through"]),
    "sk-trivet-more": ("f", ["provider-state"]),
    "sk-trivet-foreign": ("f", []),
}
GPT, CLAUDE, FLASH = "gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929", "gemini-2.0-flash-001"


@pytest.fixture
def gateway(redis_server, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """Two tenants, of which one has a second key with the right `provider-state`; one provider for all dialects."""
    keys = [
        {"sha256": sha256(key.encode()).hexdigest(), "tenant": tenant, "rights": rights}
        for key, (tenant, rights) in KEYS.items()
    ]
    one = {"base_url": provider.url, "api_key": "k", "allow_private": True}
    providers = {vendor: {**one, "vendor": vendor} for vendor in ("openai", "anthropic", "google")}
    default = {"openai": "openai", "responses": "openai", "anthropic": "anthropic", "gemini": "google"}
    with LiveGateway(
        redis_server.url, tmp_path, providers, auth="keys", keys=keys, unmanaged="pass", default_provider=default
    ) as running:
        running.ready()
        yield running


def by(key: str, **more: str) -> dict[str, str]:
    """Headers of a caller."""
    return {"authorization": f"Bearer sk-trivet-{key}", **more}


def bodies(name: str) -> list[tuple[str, dict[str, Any]]]:
    """A request that names the file, in each dialect."""
    source = {"type": "document", "source": {"type": "file", "file_id": name}}
    uri = f"https://generativelanguage.googleapis.com/v1beta/files/{name}"
    return [
        (
            "/v1/chat/completions",
            {"model": GPT, "messages": [{"role": "user", "content": [{"file": {"file_id": name}}]}]},
        ),
        (
            "/v1/responses",
            {"model": GPT, "input": [{"role": "user", "content": [{"type": "input_file", "file_id": name}]}]},
        ),
        ("/v1/messages", {"model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": [source]}]}),
        (f"/v1beta/models/{FLASH}:generateContent", {"contents": [{"parts": [{"fileData": {"fileUri": uri}}]}]}),
    ]


def test_a_file_is_named_by_its_tenant_only(gateway: LiveGateway, provider: Provider) -> None:
    """An upload through the gateway is its tenant's: another's request for it gets 403 and reaches nobody, in no dialect."""
    provider.then(answer({"id": "file-up0001", "object": "file"}))
    up = by("own", **{"content-type": "multipart/form-data; boundary=x"})
    assert gateway.request("POST", "/v1/files", b"--x--", up).status == 200
    for path, body in bodies("file-up0001"):
        seen = len(provider.requests)
        got = gateway.request("POST", path, body, by("foreign"))
        assert got.status == 403 and "missing_right" in got.body.decode()
        assert len(provider.requests) == seen
        for key in ("own", "more"):
            gateway.request("POST", path, body, by(key))
        assert len(provider.requests) == seen + 2


def test_an_upload_of_googles_is_its_tenants_too(gateway: LiveGateway, provider: Provider) -> None:
    """Its answer holds the file within; the name stands behind `files/`."""
    provider.then(answer({"file": {"name": "files/up-0002", "uri": "https://x/v1beta/files/up-0002"}}))
    assert (
        gateway.request("POST", "/upload/v1beta/files", b"x", by("own", **{"content-type": "text/plain"})).status == 200
    )
    path, body = bodies("up-0002")[3]
    seen = len(provider.requests)
    assert gateway.request("POST", path, body, by("foreign")).status == 403
    assert len(provider.requests) == seen
    gateway.request("POST", path, body, by("own"))
    assert len(provider.requests) == seen + 1


def test_a_job_over_anothers_file_is_refused(gateway: LiveGateway, provider: Provider) -> None:
    """What passes through is looked at as well, and what is too much to look at takes the right."""
    for body in ({"input_file_id": "file-x", "endpoint": "/v1/responses"}, {"file_ids": [str(n) for n in range(100)]}):
        got = gateway.request("POST", "/v1/batches", body, by("own"))
        assert (got.status, got.json["error"]["code"]) == (403, "missing_right"), json.dumps(body)
    assert not provider.requests
