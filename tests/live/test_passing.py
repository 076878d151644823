"""Pass-through: every method, path, query and body, byte for byte, and what a key may not do there."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, answer, completion, head, raw, tool_call

PINNED = release("openai/gpt-4o-2024-08-06")
PLAIN, TRUSTED = "sk-trivet-plain", "sk-trivet-trusted"
ODD = bytes(range(256)) * 700
FORM = (
    b'--xx\r\ncontent-disposition: form-data; name="file"; filename="a\xc3\xa9.bin"\r\n\r\n' + ODD + b"\r\n--xx--\r\n"
)


@pytest.fixture
def keyed(redis_server, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """A gateway with three keys of one tenant: without rights, with `pass-through`, with `provider-state` too."""
    rights: dict[str, list[str]] = {"sk-none": [], PLAIN: ["pass-through"], TRUSTED: ["pass-through", "provider-state"]}
    keys = [
        {"sha256": sha256(key.encode()).hexdigest(), "tenant": "t", "rights": named} for key, named in rights.items()
    ]
    providers = {"openai": {"base_url": provider.url, "api_key": "sk-provider", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, auth="keys", keys=keys) as running:
        running.alias("gpt-4o", PINNED)
        yield running


def by(key: str) -> dict[str, str]:
    """Headers of a caller."""
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/v1/files/f%201?limit=2&after=a%2Fb", "/openai/v1/files/f%201?limit=2&after=a%2Fb"])
def test_every_method_path_and_query_arrive_as_sent(
    gateway: LiveGateway, provider: Provider, method: str, path: str
) -> None:
    """With and without the provider's name in front; the answer's status, headers and bytes come back."""
    body = b"" if method == "HEAD" else ODD
    fields = {"content-type": "application/x-own", "content-length": str(len(ODD)), "x-own": "1", "etag": '"e"'}
    provider.then(raw(head(207, fields) + body))
    got = gateway.request(method, path, headers={"x-client": "2"})
    assert (got.status, got.body) == (207, body)
    assert (got.headers["x-own"], got.headers["etag"], got.headers["content-length"]) == ("1", '"e"', str(len(ODD)))
    sent = provider.requests[0]
    assert (sent.method, sent.target) == (method, "/v1/files/f%201?limit=2&after=a%2Fb")
    assert (sent.fields["x-client"], sent.fields["authorization"]) == ("2", "Bearer sk-provider")
    assert "x-trivet-run" not in got.headers


@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_arrives_byte_for_byte(gateway: LiveGateway, provider: Provider, chunked: bool) -> None:
    """A multipart form of odd bytes, with its length or in chunks, streams through."""
    provider.then(answer({"id": "file-1"}))
    pieces = [FORM[i : i + 40_000] for i in range(0, len(FORM), 40_000)]
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    kind = {"content-type": "multipart/form-data; boundary=xx"}
    link.request("POST", "/v1/files", iter(pieces) if chunked else FORM, kind, encode_chunked=chunked)
    got = link.getresponse()
    assert (got.status, json.loads(got.read())) == (200, {"id": "file-1"})
    link.close()
    sent = provider.requests[0]
    assert sent.body == FORM
    assert sent.fields["content-type"] == kind["content-type"]
    assert ("transfer-encoding" in sent.fields) is chunked


def test_an_answer_in_pieces_and_odd_codings_passes_whole(gateway: LiveGateway, provider: Provider) -> None:
    """What nobody here reads is neither decoded nor held to a shape."""
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(ODD[i : i + 999]), ODD[i : i + 999]) for i in range(0, 4995, 999))
    provider.then(raw(head(200, {"content-encoding": "br", "transfer-encoding": "chunked"}) + pieces + b"0\r\n\r\n"))
    got = gateway.request("GET", "/v1/files/f/content")
    assert (got.body, got.headers["content-encoding"]) == (ODD[:4995], "br")


def test_an_alias_inside_a_pass_through_body_is_bound_and_spliced(gateway: LiveGateway, provider: Provider) -> None:
    """A route that is no operation of ours, with a readable model: pinned as anywhere, every other byte as sent."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(answer({"id": "resp_1", "model": "gpt-4o-2024-08-06"}))
    body = b'{ "input" : "x\\u00e9", "model":"gpt-4o" }'
    got = gateway.request("POST", "/v1/responses", body, {"x-trivet-run": "r1"})
    assert (got.status, got.headers["x-trivet-release"], got.headers["x-trivet-run"]) == (200, PINNED.id, "r1")
    assert provider.requests[0].body == body.replace(b'"gpt-4o"', b'"gpt-4o-2024-08-06"')
    assert gateway.flow(gateway.store.run_record("default", "r1")).stamps["gpt-4o"].release == PINNED.id


@pytest.mark.parametrize(
    "body", [b'{"model":"gpt-4o","model":"other"}', b'{"model":"gpt-4o","base_url":"http://x"}', b"{"]
)
def test_a_json_body_that_could_be_read_in_two_ways_is_refused(
    gateway: LiveGateway, provider: Provider, body: bytes
) -> None:
    """What is said to be JSON must be JSON with each member once and no host in it; nobody is called."""
    assert gateway.request("POST", "/v1/responses", body).status == 400
    assert not provider.requests


def test_json_without_a_model_passes_byte_for_byte(gateway: LiveGateway, provider: Provider) -> None:
    """There is nothing to pin, so there is nothing to touch."""
    provider.then(answer({"id": "batch_1"}))
    body = b'{ "input_file_id":"f",\n"model":null }'
    got = gateway.request("POST", "/v1/batches", body)
    assert got.status == 200
    assert provider.requests[0].body == body


def test_known_operations_under_the_providers_name_are_the_same_operation(
    gateway: LiveGateway, provider: Provider
) -> None:
    """`/{provider}/v1/chat/completions` binds, observes and links as the plain path does."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(completion("", tool_calls=[tool_call("call_passing01")]))
    body = {"model": "gpt-4o", "messages": []}
    first = gateway.request("POST", "/openai/chat/completions", body)
    later = gateway.chat("gpt-4o", messages=[{"role": "tool", "tool_call_id": "call_passing01", "content": "1"}])
    if first.status == 200:
        assert later.headers["x-trivet-run"] == first.headers["x-trivet-run"]


def test_without_the_right_nothing_passes(keyed: LiveGateway, provider: Provider) -> None:
    """403 `missing_right` names the right; the gateway's own routes stay open to such a key."""
    for path in ("/v1/files", "/openai/v1/audio/speech", "/v1/conversations"):
        got = keyed.request("GET", path, headers=by("sk-none"))
        assert (got.status, got.json["error"]["code"]) == (403, "missing_right")
        assert "pass-through" in got.json["error"]["message"]
    assert not provider.requests
    assert keyed.chat("gpt-4o", by("sk-none")).status == 200


@pytest.mark.parametrize(
    "path", ["/v1/files/file-1", "/openai/v1/batches/b/cancel", "/v1/responses/resp_1", "/v1/threads/t"]
)
def test_state_by_id_takes_its_right_or_ones_own_id(keyed: LiveGateway, provider: Provider, path: str) -> None:
    """An id alone opens nothing: not with `pass-through` only, while collections and other paths do."""
    provider.default = answer({})
    got = keyed.request("GET", path, headers=by(PLAIN))
    assert (got.status, got.json["error"]["code"]) == (403, "missing_right")
    assert not provider.requests
    assert keyed.request("GET", path, headers=by(TRUSTED)).status == 200
    assert keyed.request("GET", "/v1/files", headers=by(PLAIN)).status == 200


def test_state_that_an_answer_to_this_tenant_made_is_its_own(keyed: LiveGateway, provider: Provider) -> None:
    """An id that is linked to a run of the tenant opens without the right."""
    provider.then(completion("", tool_calls=[tool_call("file-own00001")]))
    assert keyed.chat("gpt-4o", by(PLAIN)).status == 200
    provider.then(answer({"id": "file-own00001"}))
    assert keyed.request("GET", "/v1/files/file-own00001", headers=by(PLAIN)).status == 200


def test_an_upload_over_the_limit_is_413(redis_server, provider: Provider, tmp_path: Path) -> None:
    """By its declared length before anybody is called."""
    providers = {"openai": {"base_url": provider.url, "api_key": "k", "allow_private": True}}
    with LiveGateway(redis_server.url, tmp_path, providers, serve={"upload_bytes": 1000}) as gateway:
        got = gateway.request("POST", "/v1/files", ODD, {"content-type": "application/octet-stream"})
        assert (got.status, got.json["error"]["code"]) == (413, "body_too_large")
        assert not provider.requests
