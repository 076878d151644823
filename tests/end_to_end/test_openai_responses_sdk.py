"""The official openai SDK's Responses API against a gateway process: everything it does works as against the provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.gateway_process import Gateway, running
from tests.provider import Provider, answer, hang, raw, stream
from tests.responding import body, call_item, event, events, message_item, responding

KEY = "tk-responses-key-0123456789abcdef"
OLD, NEW, ALIAS = "gpt-5-2025-08-07", "gpt-5-mini-2025-08-07", "assistant"
TOOLS: list[Any] = [{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """The provider behind it."""
    with Provider(responding("resp_sdk000000")) as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(provider: Provider) -> Iterator[Gateway]:
    """One gateway for the module, with an alias and a key that may use it and pass on what is no model's work."""
    keys = [{"sha256": sha256(KEY.encode()).hexdigest(), "tenant": "sdk", "rights": ["pass-through"]}]
    aliases = {ALIAS: {"first_release": {"model": f"openai/{OLD}"}}}
    retry = {"budget": 0, "minimum": 0, "breaker_failures": 1000}
    with running({"openai": provider.url}, auth="keys", keys=keys, aliases=aliases, retry=retry) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The SDK as a user makes it: a base URL and a key."""
    with OpenAI(base_url=f"{gateway.base}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_response(client: OpenAI, provider: Provider) -> None:
    """A response names the alias and is answered by its pinned model; its input goes out as it is."""
    got = client.responses.with_raw_response.create(model=ALIAS, input="Hello?", instructions="Be brief.")
    response = got.parse()
    assert response.output_text == "Hello."
    assert response.usage is not None
    assert response.usage.output_tokens_details.reasoning_tokens == 2
    assert got.headers["x-trivet-model"] == f"openai/{OLD}"
    sent = provider.requests[-1]
    assert (sent.target, sent.json["model"], sent.json["instructions"]) == ("/v1/responses", OLD, "Be brief.")
    assert sent.fields["authorization"] == "Bearer sk-provider-test-key"


def test_streaming(client: OpenAI, provider: Provider) -> None:
    """Events arrive in order, by the plain iterator and by the helper that puts the answer together."""
    numbers, text = [], ""
    for each in client.responses.create(model=ALIAS, input="x", stream=True):
        numbers.append(each.sequence_number)
        text += each.delta if each.type == "response.output_text.delta" else ""
    assert text == "Hello."
    assert numbers == list(range(len(numbers)))
    with client.responses.stream(model=ALIAS, input="x") as told:
        assert told.get_final_response().output_text == "Hello."
    assert provider.requests[-1].json["stream"] is True


def test_async(gateway: Gateway, provider: Provider) -> None:
    """The async client: many at once, whole and streaming."""

    async def work() -> None:
        async with AsyncOpenAI(base_url=f"{gateway.base}/v1", api_key=KEY, max_retries=0) as client:
            answers = await asyncio.gather(*(client.responses.create(model=ALIAS, input="x") for _ in range(20)))
            assert {each.output_text for each in answers} == {"Hello."}
            told = await client.responses.create(model=ALIAS, input="x", stream=True)
            texts = [each.delta async for each in told if each.type == "response.output_text.delta"]
            assert "".join(texts) == "Hello."
            with pytest.raises(openai.APIError) as caught:
                provider.then(stream(events("resp_cut", OLD, message_item("Hello."))[:5], end="cut"))
                async for _ in await client.responses.create(model=ALIAS, input="x", stream=True):
                    pass
            assert caught.value.code == "upstream_cut"

    asyncio.run(work())


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tools_keep_the_run(client: OpenAI, provider: Provider, streamed: bool) -> None:
    """A tool turn of an agent that keeps its own history: the result belongs to the run that asked for it."""
    call_id = f"call_sdk0000{streamed:04}"
    provider.then(responding("resp_sdktools1", call_item(call_id, arguments='{"a": 1}'), store=False))
    asked: dict[str, Any] = {"model": ALIAS, "input": "x", "tools": TOOLS, "store": False}
    first = client.responses.with_raw_response.create(**asked, stream=streamed)
    if streamed:
        told: Any = first.parse()
        (call,) = [each.item for each in told if each.type == "response.output_item.done"]
    else:
        call = first.parse().output[0]
    assert (call.type, call.call_id, call.arguments) == ("function_call", call_id, '{"a": 1}')
    turn = [
        {"role": "user", "content": "x"},
        call.model_dump(exclude_none=True),
        {"type": "function_call_output", "call_id": call_id, "output": "seen"},
    ]
    second = client.responses.with_raw_response.create(**{**asked, "input": turn})
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert (first.headers["x-trivet-bound"], second.headers["x-trivet-bound"]) == ("new", "resumed")


class Weather(BaseModel):
    """What the model is asked to answer."""

    city: str
    degrees: float


def test_structured_output(client: OpenAI, provider: Provider) -> None:
    """`parse` with a model class: the schema goes to the provider as it is, the answer comes back typed."""
    provider.then(responding("resp_sdkparse1", message_item('{"city": "Oslo", "degrees": -3.5}')))
    got = client.responses.parse(model=ALIAS, input="x", text_format=Weather)
    assert got.output_parsed == Weather(city="Oslo", degrees=-3.5)
    assert provider.requests[-1].json["text"]["format"]["name"] == "Weather"


def test_stored_responses(client: OpenAI, provider: Provider) -> None:
    """Everything the SDK does with a stored response, for the key's own without a right, for another's not at all."""
    provider.then(responding("resp_sdkstored"))
    response = client.responses.create(model=ALIAS, input="x", background=True)
    stored = body(response.id, OLD, message_item("Later."))
    provider.then(
        answer(stored),
        stream(events(response.id, OLD, message_item("Later."))),
        answer({"object": "list", "data": [], "has_more": False, "first_id": "", "last_id": ""}),
        answer({**stored, "status": "cancelled"}),
        answer({"id": response.id, "object": "response", "deleted": True}),
    )
    before = len(provider.requests)
    assert client.responses.retrieve(response.id).output_text == "Later."
    again = list(client.responses.retrieve(response.id, stream=True, starting_after=0))
    assert again[-1].type == "response.completed"
    assert client.responses.input_items.list(response.id).data == []
    assert client.responses.cancel(response.id).status == "cancelled"
    client.responses.delete(response.id)
    sent = [(each.method, each.target.partition("?")[0]) for each in provider.requests[before:]]
    path = f"/v1/responses/{response.id}"
    reads, rest = [("GET", path)] * 2, [("GET", f"{path}/input_items"), ("POST", f"{path}/cancel"), ("DELETE", path)]
    assert sent == reads + rest
    with pytest.raises(openai.PermissionDeniedError):
        client.responses.retrieve("resp_of_somebody")
    assert len(provider.requests) == before + len(sent)


def test_compaction_and_token_counts(client: OpenAI, provider: Provider) -> None:
    """Both are the alias's model's work."""
    usage = body("x", OLD)["usage"]
    compacted = {"id": "resp_c", "object": "response.compaction", "created_at": 1, "output": [], "usage": usage}
    provider.then(answer(compacted), answer({"object": "response.input_tokens", "input_tokens": 7}))
    assert client.responses.compact(model=ALIAS, input="x").id == "resp_c"
    assert client.responses.input_tokens.count(model=ALIAS, input="x").input_tokens == 7
    assert [each.json["model"] for each in provider.requests[-2:]] == [OLD, OLD]
    assert [each.target for each in provider.requests[-2:]] == ["/v1/responses/compact", "/v1/responses/input_tokens"]


def test_azure_client(gateway: Gateway, provider: Provider) -> None:
    """The SDK's Azure client asks below /openai, with the alias in the body."""
    with openai.AzureOpenAI(
        azure_endpoint=gateway.base, api_key=KEY, api_version="2025-04-01-preview", max_retries=0
    ) as client:
        assert client.responses.create(model=ALIAS, input="x").model == OLD
    assert provider.requests[-1].target == "/v1/responses"


HELLO = events("resp_sdkcut001", OLD, message_item("Hello."))
PROVIDERS_ERROR = event(5, "error", code="server_error", message="Oops.", param=None)
CUTS: dict[str, tuple[Any, str]] = {
    "between events": (stream(HELLO[:5], gap=0.01, end="cut"), "upstream_cut"),
    "reset": (stream(HELLO[:5], end="reset"), "upstream_cut"),
    "inside an event": (stream([*HELLO[:5], HELLO[5][:40]], end="cut"), "upstream_cut"),
    "no last event": (stream(HELLO[:5]), "upstream_cut"),
    "no event at all": (stream([]), "upstream_cut"),
    "provider's own": (stream([*HELLO[:5], event(5, "error", error={"message": "Oops.", "code": "own"})]), "own"),
}


@pytest.mark.parametrize("how", CUTS)
def test_a_cut_stream_raises(client: OpenAI, provider: Provider, how: str) -> None:
    """Faults rows E1 to E4: everything that came is handed out, then it raises; it never passes for a short answer."""
    behaviour, code = CUTS[how]
    provider.then(behaviour)
    seen = []
    with pytest.raises(openai.APIError) as caught:
        for each in client.responses.create(model=ALIAS, input="x", stream=True):
            seen.append(each.type)  # noqa: PERF401 - what came before it raised is looked at
    assert caught.value.code == code
    assert seen == [json.loads(each.partition(b"data: ")[2])["type"] for each in HELLO[:5] if "at all" not in how]
    provider.then(behaviour)
    with pytest.raises(openai.APIError), client.responses.stream(model=ALIAS, input="x") as told:
        told.get_final_response()


def test_a_flat_error_of_the_providers_raises_too(client: OpenAI, provider: Provider) -> None:
    """Row E4: the event passes byte for byte; as the SDK hands such a one out, the unclean end raises."""
    provider.then(stream([*HELLO[:5], PROVIDERS_ERROR]))
    seen = []
    with pytest.raises(openai.APIConnectionError):
        for each in client.responses.create(model=ALIAS, input="x", stream=True):
            seen.append(each)  # noqa: PERF402 - what came before it raised is looked at
    assert (seen[-1].type, seen[-1].sequence_number) == ("error", 5)


def test_cut_bodies_and_errors_raise(client: OpenAI, provider: Provider) -> None:
    """Half a body is an error, and a provider's own errors are its own."""
    provider.then(
        raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":', close=True)
    )
    with pytest.raises(openai.InternalServerError) as cut:
        client.responses.create(model=ALIAS, input="x")
    assert cut.value.code == "upstream_cut"
    own = {"message": "No, thanks.", "type": "x", "param": "input", "code": "own_code"}
    provider.then(answer({"error": own}, 422))
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.responses.create(model=ALIAS, input="x")
    assert refused.value.body == own


@pytest.mark.parametrize("status", [409, 500, 503, 504, 529])
def test_d4_the_sdk_repeats_and_the_gateway_adds_nothing(gateway: Gateway, provider: Provider, status: int) -> None:
    """Three attempts of the SDK are three calls upstream; the error that it raises in the end is the provider's own."""
    said = b'{"error": {"message": "Later.", "type": "server_error", "param": null, "code": "busy"}}'
    provider.then(*(answer(said, status, {"retry-after-ms": "1"}) for _ in range(3)))
    seen = len(provider.requests)
    with (
        OpenAI(base_url=f"{gateway.base}/v1", api_key=KEY) as client,
        pytest.raises(openai.APIStatusError, match="Later") as caught,
    ):
        client.responses.create(model=ALIAS, input="x")
    assert (caught.value.status_code, caught.value.code) == (status, "busy")
    counts = [each.fields["x-stainless-retry-count"] for each in provider.requests[seen:]]
    assert counts == ["0", "1", "2"]


def test_leaving_ends_the_call(client: OpenAI, provider: Provider) -> None:
    """A client that stops waiting ends the provider's call at once."""
    provider.then(hang)
    before = len(provider.requests)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).responses.create(model=ALIAS, input="x")
    assert provider.wait_for(before + 1)[before].gone.wait(2)


def point(gateway: Gateway, model: str) -> None:
    """Move the alias's pointer to the release of this model."""
    release = gateway.cli("release", "create", "--model", f"openai/{model}").stdout.strip()
    gateway.cli("rollout", "promote", ALIAS, "--release", release, "--reason", "test", "--override", "me: a test")


def test_a_chain_and_a_conversation_outlast_a_pointer_flip(
    gateway: Gateway, client: OpenAI, provider: Provider
) -> None:
    """What goes on at the provider stays on its model, without any header; what begins has the new one. B9: an unknown id is 409.

    The last test here: the pointer stays moved.
    """
    provider.then(answer({"id": "conv_sdk00001", "object": "conversation", "created_at": 1, "metadata": {}}))
    conversation = client.conversations.create()
    kept = {"conversation": {"id": conversation.id}}
    provider.then(responding("resp_sdkchain1"), responding("resp_sdkconv01", **kept))
    first = client.responses.create(model=ALIAS, input="x")
    client.responses.create(model=ALIAS, input="x", conversation=conversation.id)
    point(gateway, NEW)
    provider.then(responding("resp_sdkchain2"), responding("resp_sdkchain3"), responding("resp_sdkconv02", **kept))
    second = client.responses.create(model=ALIAS, input="x", previous_response_id=first.id)
    third = client.responses.create(model=ALIAS, input="x", previous_response_id=second.id)
    talked = client.responses.create(model=ALIAS, input="x", conversation=conversation.id)
    assert [each.model for each in (second, third, talked)] == [OLD] * 3
    assert client.responses.create(model=ALIAS, input="x").model == NEW
    with pytest.raises(openai.ConflictError) as caught:
        client.responses.create(model=ALIAS, input="x", previous_response_id="resp_before_the_gateway")
    assert caught.value.code == "run_stamp_missing"
