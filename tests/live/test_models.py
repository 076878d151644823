"""The list of models: the provider's own, and the names of this gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.alias import Lane
from tests.live.gateway import LiveGateway, release
from tests.provider import Behaviour, Provider, answer, drop, raw

OLD = release("openai/gpt-4o-2024-08-06")
THEIRS = b'{ "object":"list",\n "data": [ {"id":"gpt-4o-2024-08-06","owned_by":"openai","x":1.0} ], "has_more":false }'


def test_aliases_stand_before_the_providers_own_list(gateway: LiveGateway, provider: Provider) -> None:
    """Both are there; the provider's entries and other members keep their bytes, its headers pass."""
    gateway.alias("support", OLD)
    provider.then(answer(THEIRS, headers={"x-request-id": "req_1"}))
    got = gateway.request("GET", "/v1/models?x=1")
    assert got.status == 200
    assert [m["id"] for m in got.json["data"]] == ["support", "gpt-4o-2024-08-06"]
    assert got.json["data"][0] == {
        "id": "support",
        "object": "model",
        "created": 0,
        "owned_by": "trivet",
        "trivet": {"model": "openai/gpt-4o-2024-08-06"},
    }
    assert b'{"id":"gpt-4o-2024-08-06","owned_by":"openai","x":1.0}' in got.body
    assert b'"has_more":false' in got.body
    assert got.headers["x-request-id"] == "req_1"
    assert provider.requests[0].target == "/v1/models?x=1"


def test_an_empty_list_takes_the_aliases(gateway: LiveGateway, provider: Provider) -> None:
    """No comma too many."""
    gateway.alias("support", OLD)
    provider.then(answer(b'{"object":"list","data":[ ]}'))
    assert [m["id"] for m in gateway.request("GET", "/models").json["data"]] == ["support"]


@pytest.mark.parametrize(
    "broken",
    [
        drop,
        answer({"error": {"message": "no"}}, 401),
        answer(b"<html>", headers={"content-type": "text/html"}),
        answer({"data": "none"}),
        raw(b"nonsense\r\n\r\n", close=True),
    ],
    ids=["dead", "refusing", "html", "odd", "no http"],
)
def test_a_provider_that_gives_no_list_takes_no_aliases_away(
    gateway: LiveGateway, provider: Provider, broken: Behaviour
) -> None:
    """A client that lists models at its start finds the aliases whatever the provider does."""
    gateway.alias("support", OLD)
    provider.default = broken
    got = gateway.request("GET", "/v1/models")
    assert (got.status, [m["id"] for m in got.json["data"]]) == (200, ["support"])


def test_without_aliases_the_list_is_the_providers_byte_for_byte(gateway: LiveGateway, provider: Provider) -> None:
    """Nothing to add, nothing to touch; its errors are its own then."""
    provider.then(answer(THEIRS), answer({"error": {"message": "no", "code": "x"}}, 401))
    assert gateway.request("GET", "/v1/models").body == THEIRS
    assert gateway.request("GET", "/v1/models").status == 401


def test_one_model_is_ours_or_the_providers(gateway: LiveGateway, provider: Provider) -> None:
    """An alias is answered here; any other id is asked for at the provider, with its own bytes and status."""
    gateway.alias("support", OLD)
    assert gateway.request("GET", "/v1/models/support").json["id"] == "support"
    assert not provider.requests
    provider.then(answer({"error": {"message": "no", "code": "model_not_found"}}, 404))
    assert gateway.request("GET", "/v1/models/other").status == 404
    assert provider.requests[0].target == "/v1/models/other"


def test_other_methods_are_405(gateway: LiveGateway) -> None:
    """Allow names GET and HEAD."""
    got = gateway.request("POST", "/v1/models", {})
    assert (got.status, got.headers["allow"]) == (405, "GET, HEAD")


def test_a_list_holds_the_names_of_the_key_and_the_lane_of_the_tenant(
    redis_server, provider: Provider, tmp_path: Path
) -> None:
    """A mapped name is listed under what the key calls it, with the model that its own tenant gets."""
    new = release("openai/gpt-4o-2024-11-20")
    key = {"sha256": sha256(b"sk-a").hexdigest(), "tenant": "a", "aliases": {"fast": "support", "ghost": "nobody"}}
    providers = {"openai": {"base_url": provider.url, "api_key": "k", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, auth="keys", keys=[key]) as gateway:
        gateway.alias("first", new)
        gateway.alias("support", OLD, lanes={"*": Lane(OLD.id), "tenant:a": Lane(new.id)})
        gateway.wait(lambda: gateway.store.pointers.release(new.id) is not None)
        provider.then(drop)
        got = gateway.request("GET", "/v1/models", headers={"authorization": "Bearer sk-a"})
        listed = {m["id"]: m["trivet"]["model"] for m in got.json["data"]}
        assert listed == dict.fromkeys(("fast", "first", "support"), "openai/gpt-4o-2024-11-20")
        assert json.loads(got.body)["object"] == "list"


ANTHROPIC = {"anthropic-version": "2023-06-01"}


@pytest.fixture
def both(redis_server: Any, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway whose OpenAI provider is not there, and whose Anthropic provider is."""
    providers: dict[str, Any] = {
        "openai": {"base_url": "http://127.0.0.1:9", "api_key": "sk-1", "allow_private": True},
        "anthropic": {"base_url": provider.url, "api_key": "sk-2", "allow_private": True},
    }
    with LiveGateway(redis_server.url, tmp_path, providers) as gateway:
        yield gateway.ready()


def test_who_speaks_anthropic_gets_anthropics_list(both: LiveGateway, provider: Provider) -> None:
    """The header that its clients send says whose list is meant: its provider's, with the aliases in its shape, page by page."""
    both.alias("support", release("anthropic/claude-sonnet-4-5-20250929"))
    theirs = b'{ "data": [{"type":"model","id":"claude-x"}], "has_more": true, "last_id": "claude-x" }'
    provider.then(answer(theirs), answer(theirs), drop)
    first = both.request("GET", "/v1/models?limit=1", headers=ANTHROPIC)
    assert [m["id"] for m in first.json["data"]] == ["support", "claude-x"]
    alias = first.json["data"][0]
    assert (alias["type"], alias["display_name"], alias["created_at"][:4]) == ("model", "support", "1970")
    assert both.request("GET", "/v1/models?after_id=claude-x", headers=ANTHROPIC).body == theirs
    alone = both.request("GET", "/v1/models", headers=ANTHROPIC).json
    assert (alone["has_more"], alone["first_id"], alone["last_id"]) == (False, "support", "support")
    assert both.request("GET", "/v1/models/support", headers=ANTHROPIC).json == alias
    assert provider.requests[0].fields["x-api-key"] == "sk-2"


def test_other_shared_paths_go_by_the_same_header(both: LiveGateway, provider: Provider) -> None:
    """Files and skills of both APIs have one path; errors come in the shape of whoever asks."""
    provider.then(answer({"id": "file_1"}))
    assert both.request("GET", "/v1/files/file_1", headers=ANTHROPIC).status == 200
    assert provider.requests[-1].target == "/v1/files/file_1"
    refused = both.request("DELETE", "/v1/models", headers=ANTHROPIC)
    assert (refused.status, refused.json["type"]) == (405, "error")
    assert both.request("GET", "/v1/files/file_1").json["error"]["code"] == "upstream_connect"
