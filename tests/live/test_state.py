"""Provider state: whoever continues a response or a conversation stays on its run, and nobody opens another tenant's."""

from __future__ import annotations

import gzip
import http.client
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.core.contract.alias import Lane
from tests.live.gateway import Got, LiveGateway, release
from tests.provider import Provider, answer, stream
from tests.responding import call_item, event, events, message_item, responding

PINNED, NEXT = release("openai/gpt-5-2025-08-07"), release("openai/gpt-5-mini-2025-08-07")
OWN, TRUSTED, FOREIGN = "sk-trivet-own", "sk-trivet-trusted", "sk-trivet-foreign"
UNKNOWN = (409, "run_stamp_missing")
FORBIDDEN = (403, "missing_right")


def by(key: str) -> dict[str, str]:
    """Headers of a caller."""
    return {"authorization": f"Bearer {key}"}


def ask(gateway: LiveGateway, headers: dict[str, str] | None = None, **members: Any) -> Got:
    """A response."""
    return gateway.request("POST", "/v1/responses", {"model": "gpt-5", "input": "Hi", **members}, headers)


def said(got: Got) -> tuple[int, str]:
    """Status and code of an error."""
    return got.status, got.json["error"]["code"]


def moved(gateway: LiveGateway) -> None:
    """Point the alias at the next release."""
    state = gateway.store.pointers.alias("gpt-5")
    assert state is not None
    gateway.move(msgspec.structs.replace(state, version=2, lanes={"*": Lane(NEXT.id, (PINNED.id,))}), NEXT)


@pytest.fixture
def keyed(redis_server, provider: Provider, tmp_path: Path) -> Iterator[LiveGateway]:
    """Two tenants, of which one has a second key with the right `provider-state`; the store's provider comes second."""
    rights = {OWN: ("t", ["pass-through"]), TRUSTED: ("t", ["provider-state"]), FOREIGN: ("f", ["pass-through"])}
    keys = [
        {"sha256": sha256(key.encode()).hexdigest(), "tenant": tenant, "rights": named}
        for key, (tenant, named) in rights.items()
    ]
    here = {"allow_private": True, "vendor": "openai"}
    providers = {
        "first": {**here, "base_url": f"{provider.url}/first", "api_key": "sk-first"},
        "openai": {**here, "base_url": f"{provider.url}/second", "api_key": "sk-second"},
    }
    with LiveGateway(redis_server.url, tmp_path, providers, auth="keys", keys=keys) as running:
        running.alias("gpt-5", PINNED)
        yield running


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_response_goes_on_in_its_run(gateway: LiveGateway, provider: Provider, streamed: bool) -> None:
    """Without any run header and after the pointer moved; a response that nobody continues has the new release."""
    gateway.alias("gpt-5", PINNED)
    provider.then(responding("resp_state0001"), responding("resp_state0002"), *[responding("resp_state0003")] * 2)
    first = ask(gateway, stream=streamed)
    moved(gateway)
    second = ask(gateway, stream=streamed, previous_response_id="resp_state0001")
    third = ask(gateway, previous_response_id="resp_state0002")
    for later in (second, third):
        assert later.headers["x-trivet-run"] == first.headers["x-trivet-run"]
        assert (later.headers["x-trivet-bound"], later.headers["x-trivet-release"]) == ("resumed", PINNED.id)
    assert ask(gateway).headers["x-trivet-release"] == NEXT.id
    assert [received.json["model"] for received in provider.requests] == ["gpt-5-2025-08-07"] * 3 + [
        NEXT.snapshot.model
    ]


def test_state_that_no_run_owns_is_refused(gateway: LiveGateway, provider: Provider) -> None:
    """Faults row B9: an id from before the gateway, or of an answer that was not kept, could be any model's."""
    gateway.alias("gpt-5", PINNED)
    provider.then(responding("resp_unkept001", store=False))
    assert ask(gateway, store=False).status == 200
    for members in ({"previous_response_id": "resp_old00001"}, {"conversation": {"id": "conv_old00001"}}):
        assert said(ask(gateway, **members)) == UNKNOWN
    assert said(ask(gateway, previous_response_id="resp_unkept001")) == UNKNOWN
    assert said(ask(gateway, {"x-trivet-run": "new"}, previous_response_id="resp_old00001")) == UNKNOWN
    assert len(provider.requests) == 1


def test_a_named_run_may_take_up_state(gateway: LiveGateway, provider: Provider) -> None:
    """A run with a stamp goes on with state nobody knows, and a new one may begin with state of another run."""
    gateway.alias("gpt-5", PINNED)
    provider.default = responding("resp_named0001")
    named = {"x-trivet-run": "mine"}
    assert ask(gateway, named).headers["x-trivet-bound"] == "new"
    for state in ("resp_named0001", "resp_old00001"):
        assert ask(gateway, named, previous_response_id=state).headers["x-trivet-bound"] == "resumed"
    forked = ask(gateway, {"x-trivet-run": "forked"}, previous_response_id="resp_named0001")
    assert forked.headers["x-trivet-bound"] == "new"
    assert ask(gateway, previous_response_id="resp_named0001").headers["x-trivet-run"] == "mine"


def test_another_alias_of_the_run_has_a_stamp_of_its_own(gateway: LiveGateway, provider: Provider) -> None:
    """An agent that hands its state from one alias to the next is one run with two stamps."""
    gateway.alias("gpt-5", PINNED)
    gateway.alias("second", NEXT)
    provider.default = responding("resp_two00001")
    first = ask(gateway)
    second = ask(gateway, model="second", previous_response_id="resp_two00001")
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert (second.headers["x-trivet-bound"], second.headers["x-trivet-release"]) == ("new", NEXT.id)


def test_a_conversation_is_a_run_from_its_creation(gateway: LiveGateway, provider: Provider) -> None:
    """Its first answer binds, and whatever follows in it is resumed."""
    gateway.alias("gpt-5", PINNED)
    provider.then(answer({"id": "conv_new00001", "object": "conversation"}))
    assert gateway.request("POST", "/v1/conversations", {}).json["id"] == "conv_new00001"
    provider.default = responding("resp_conv0001", conversation={"id": "conv_new00001"})
    first = ask(gateway, conversation="conv_new00001")
    assert (first.headers["x-trivet-run"], first.headers["x-trivet-bound"]) == ("conv_new00001", "new")
    moved(gateway)
    for members in ({"conversation": {"id": "conv_new00001"}}, {"previous_response_id": "resp_conv0001"}):
        later = ask(gateway, **members)
        assert (later.headers["x-trivet-run"], later.headers["x-trivet-bound"]) == ("conv_new00001", "resumed")
        assert later.headers["x-trivet-release"] == PINNED.id


def test_tool_results_link_in_this_format_too(gateway: LiveGateway, provider: Provider) -> None:
    """An agent that keeps nothing at the provider is linked by the ids of its calls."""
    gateway.alias("gpt-5", PINNED)
    provider.then(responding("resp_tool0001", call_item("call_state00001"), store=False), responding("resp_tool0002"))
    first = ask(gateway, store=False)
    result = {"type": "function_call_output", "call_id": "call_state00001", "output": "42"}
    second = ask(gateway, input=[{"role": "user", "content": "Hi"}, call_item("call_state00001"), result])
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]


def test_state_goes_to_who_keeps_it(keyed: LiveGateway, provider: Provider) -> None:
    """Each call by id reaches the provider of the answer with that provider's key, though another one is the default."""
    provider.then(responding("resp_kept0001"))
    assert ask(keyed, by(OWN)).status == 200
    provider.default = answer({"id": "resp_kept0001"})
    calls = [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items?limit=2"), ("POST", "/later")]
    for method, rest in calls:
        got = keyed.request(method, f"/v1/responses/resp_kept0001{rest}", headers=by(OWN))
        assert got.status == 200
        sent = provider.requests[-1]
        assert (sent.method, sent.target) == (method, f"/second/v1/responses/resp_kept0001{rest}")
        assert sent.fields["authorization"] == "Bearer sk-second"
    assert keyed.request("GET", "/v1/responses/resp_other001", headers=by(TRUSTED)).status == 200
    assert provider.requests[-1].target == "/first/v1/responses/resp_other001", "the default for what nobody knows"


def test_state_of_another_tenant_stays_closed(keyed: LiveGateway, provider: Provider) -> None:
    """Neither by its id, nor in a request that continues it, whatever run that names."""
    provider.then(responding("resp_closed001"))
    ticket = ask(keyed, {**by(FOREIGN), "x-trivet-run": "theirs"}).headers["x-trivet-ticket"]
    provider.then(responding("resp_closed002"))
    assert ask(keyed, by(OWN)).status == 200
    seen = len(provider.requests)
    assert said(keyed.request("GET", "/v1/responses/resp_closed002", headers=by(FOREIGN))) == FORBIDDEN
    for named in ({}, {"x-trivet-run": "theirs"}, {"x-trivet-ticket": ticket}):
        got = ask(keyed, {**by(FOREIGN), **named}, previous_response_id="resp_closed002")
        assert said(got) == UNKNOWN
    count = {"input": "x", "previous_response_id": "resp_closed002"}
    assert said(keyed.request("POST", "/v1/responses/input_tokens", count, by(FOREIGN))) == FORBIDDEN
    assert len(provider.requests) == seen


def test_a_created_conversation_is_its_tenants(keyed: LiveGateway, provider: Provider) -> None:
    """The answer is asked for uncoded, for its id has to be read; from then on the tenant needs no right for it."""
    provider.then(answer({"id": "conv_mine00001"}, 201))
    headers = {**by(OWN), "accept-encoding": "gzip"}
    assert keyed.request("POST", "/v1/conversations", {}, headers).status == 201
    assert provider.requests[-1].fields["accept-encoding"] == "identity"
    provider.default = answer({})
    path = "/v1/conversations/conv_mine00001/items"
    assert keyed.request("GET", path, headers=by(OWN)).status == 200
    assert provider.requests[-1].target == f"/first{path}"
    assert said(keyed.request("GET", path, headers=by(FOREIGN))) == FORBIDDEN


@pytest.mark.parametrize(
    ("body", "status", "headers"),
    [
        (b"[1]", 200, {}),
        (b'{"id": 5}', 200, {}),
        (b"x" * 100_000, 200, {}),
        (b'{"error": {"message": "no"}}', 400, {}),
        (gzip.compress(b'{"id": "conv_coded00001"}', mtime=0), 200, {"content-encoding": "gzip"}),
        (b"", 200, {}),
    ],
)
def test_whatever_a_creation_answers_passes(
    gateway: LiveGateway, provider: Provider, body: bytes, status: int, headers: dict[str, str]
) -> None:
    """An answer that names nothing is passed on byte for byte."""
    provider.then(answer(body, status, headers))
    got = gateway.request("POST", "/v1/conversations", {})
    assert (got.status, got.body) == (status, body)


def test_a_token_count_needs_no_model(keyed: LiveGateway, provider: Provider) -> None:
    """Without one it goes to who keeps the state it counts; with one it is a request of an alias like any other."""
    provider.then(responding("resp_count0001"))
    first = ask(keyed, by(OWN))
    provider.default = answer({"object": "response.input_tokens", "input_tokens": 5})
    count = {"input": "x", "previous_response_id": "resp_count0001"}
    assert keyed.request("POST", "/v1/responses/input_tokens", count, by(OWN)).status == 200
    assert provider.requests[-1].target == "/second/v1/responses/input_tokens"
    named = keyed.request("POST", "/v1/responses/input_tokens", {**count, "model": "gpt-5"}, by(OWN))
    assert named.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert provider.requests[-1].json["model"] == "gpt-5-2025-08-07"


def test_a_stored_stream_never_ends_cleanly_when_it_is_cut(gateway: LiveGateway, provider: Provider) -> None:
    """Faults rows E1 and E3 for an answer that is read again: the events, then the error with the next number."""
    made = events("resp_again0001", "m", message_item("Hello."))
    path = "/v1/responses/resp_again0001?stream=true&starting_after=0"
    provider.then(stream(made))
    assert gateway.request("GET", path).body == b"".join(made)
    provider.then(stream(made[:4]))
    with pytest.raises(http.client.IncompleteRead) as cut:
        gateway.request("GET", path)
    assert cut.value.partial.startswith(b"".join(made[:4]))
    last = msgspec.json.decode(cut.value.partial.rpartition(b"data: ")[2])
    assert (last["code"], last["sequence_number"]) == ("upstream_cut", 4)
    assert provider.requests[-1].target == path


def test_a_failed_response_ends_as_the_provider_ended_it(gateway: LiveGateway, provider: Provider) -> None:
    """A last event that says so is an end like any other; it counts as a failure."""
    gateway.alias("gpt-5", PINNED)
    failed = {"id": "resp_failed001", "object": "response", "status": "failed", "error": {"code": "server_error"}}
    made = [
        event(0, "response.created", response={"id": "resp_failed001"}),
        event(1, "response.failed", response=failed),
    ]
    provider.then(stream(made))
    assert ask(gateway, stream=True).body == b"".join(made)
    gateway.wait(lambda: any(name.endswith(",provider_error}") for name in gateway.counted))


def test_a_failed_whole_response_counts_as_a_failure(gateway: LiveGateway, provider: Provider) -> None:
    """Status 200 and the API's own shape, so it passes as it is; what became of it is in its `status`."""
    gateway.alias("gpt-5", PINNED)
    body = {"id": "resp_failed002", "object": "response", "status": "failed", "error": {"code": "server_error"}}
    provider.then(answer(body))
    got = ask(gateway)
    assert (got.status, got.json) == (200, body)
    gateway.wait(lambda: any(name.endswith(",provider_error}") for name in gateway.counted))
