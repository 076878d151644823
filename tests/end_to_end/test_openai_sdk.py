"""The official openai SDK against a gateway process: everything it does works as against the provider itself."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.gateway_process import Gateway, running
from tests.provider import (
    Provider,
    Received,
    Reply,
    answer,
    chat_body,
    completion,
    events,
    hang,
    raw,
    stream,
    tool_call,
)

KEY, PLAIN_KEY = "tk-sdk-key-0123456789abcdef", "tk-sdk-plain-key-0123456789"
MODEL, ALIAS = "gpt-4o-2024-08-06", "assistant"
HELLO: list[Any] = [{"role": "user", "content": "Hello?"}]
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """The provider behind it."""
    with Provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(provider: Provider) -> Iterator[Gateway]:
    """One gateway for the module, with an alias and keys."""
    keys = [
        {"sha256": sha256(KEY.encode()).hexdigest(), "tenant": "sdk", "rights": ["pass-through", "provider-state"]},
        {"sha256": sha256(PLAIN_KEY.encode()).hexdigest(), "tenant": "plain", "aliases": {"gpt-4o": ALIAS}},
    ]
    aliases = {ALIAS: {"first_release": {"model": f"openai/{MODEL}"}}}
    retry = {"budget": 0, "minimum": 0, "breaker_failures": 1000}
    with running(
        {"openai": provider.url}, auth="keys", keys=keys, aliases=aliases, unmanaged="pass", retry=retry
    ) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    """The SDK as a user makes it: a base URL and a key."""
    with OpenAI(base_url=f"{gateway.base}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def test_completion(client: OpenAI, provider: Provider) -> None:
    """A chat completion names the alias and is answered by its pinned model."""
    got = client.chat.completions.with_raw_response.create(model=ALIAS, messages=HELLO)
    assert got.parse().choices[0].message.content == "Hello."
    assert got.headers["x-trivet-model"] == f"openai/{MODEL}"
    assert got.headers["x-trivet-release"].startswith("rel_")
    sent = provider.requests[-1]
    assert sent.json["model"] == MODEL
    assert sent.fields["authorization"] == "Bearer sk-provider-test-key"
    assert sent.fields["x-stainless-lang"] == "python"


def test_streaming(client: OpenAI, provider: Provider) -> None:
    """A stream arrives piece by piece, with its usage."""
    read = threading.Event()
    provider.then(stream(events(["One ", "two ", "three."], MODEL), until=(b"One ", read)))
    said = ""
    usage = None
    for chunk in client.chat.completions.create(
        model=ALIAS, messages=HELLO, stream=True, stream_options={"include_usage": True}
    ):
        usage = chunk.usage or usage
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        if said:
            read.set()  # the provider sends the rest only now
    assert said == "One two three."
    assert usage is not None
    assert usage.total_tokens == 8


def test_async(gateway: Gateway, provider: Provider) -> None:
    """The async client: many at once, whole and streaming."""

    async def work() -> None:
        async with AsyncOpenAI(base_url=f"{gateway.base}/v1", api_key=KEY, max_retries=0) as client:
            answers = await asyncio.gather(
                *(client.chat.completions.create(model=ALIAS, messages=HELLO) for _ in range(20))
            )
            assert {a.choices[0].message.content for a in answers} == {"Hello."}
            provider.then(stream(events(["a", "b"], MODEL)))
            chunks = await client.chat.completions.create(model=ALIAS, messages=HELLO, stream=True)
            assert "".join([c.choices[0].delta.content or "" async for c in chunks if c.choices]) == "ab"

    asyncio.run(work())


def test_tools_keep_the_run(client: OpenAI, provider: Provider) -> None:
    """A tool turn without any run header: the request that brings the result belongs to the run that asked for it."""
    provider.then(completion("", tool_calls=[tool_call("call_sdk00001", arguments='{"a": 1}')]))
    first = client.chat.completions.with_raw_response.create(model=ALIAS, messages=HELLO, tools=TOOLS)
    message = first.parse().choices[0].message
    assert message.tool_calls is not None
    assert message.tool_calls[0].id == "call_sdk00001"
    turn: list[Any] = [
        *HELLO,
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": "call_sdk00001", "content": "seen"},
    ]
    second = client.chat.completions.with_raw_response.create(model=ALIAS, messages=turn, tools=TOOLS)
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert (first.headers["x-trivet-bound"], second.headers["x-trivet-bound"]) == ("new", "resumed")


def test_streamed_tools_keep_the_run(client: OpenAI, provider: Provider) -> None:
    """The same when the tool call came in a stream."""
    delta = {"tool_calls": [{"index": 0, **tool_call("call_sdk00002", arguments="")}]}
    chunk = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    provider.then(stream([b"data: " + json.dumps(chunk).encode() + b"\n\n", *events([], MODEL)]))
    first = client.chat.completions.with_raw_response.create(model=ALIAS, messages=HELLO, tools=TOOLS, stream=True)
    calls = [c.choices[0].delta.tool_calls for c in first.parse() if c.choices and c.choices[0].delta.tool_calls]
    assert calls[0][0].id == "call_sdk00002"
    turn: list[Any] = [
        *HELLO,
        {"role": "assistant", "tool_calls": [tool_call("call_sdk00002")]},
        {"role": "tool", "tool_call_id": "call_sdk00002", "content": "seen"},
    ]
    second = client.chat.completions.with_raw_response.create(model=ALIAS, messages=turn, tools=TOOLS)
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]


class Weather(BaseModel):
    """What the model is asked to answer."""

    city: str
    degrees: float


def test_structured_output(client: OpenAI, provider: Provider) -> None:
    """`parse` with a model class: the schema goes to the provider as it is, the answer comes back typed."""
    provider.then(completion('{"city": "Oslo", "degrees": -3.5}'))
    got = client.chat.completions.parse(model=ALIAS, messages=HELLO, response_format=Weather)
    assert got.choices[0].message.parsed == Weather(city="Oslo", degrees=-3.5)
    assert provider.requests[-1].json["response_format"]["json_schema"]["name"] == "Weather"


def test_embeddings(client: OpenAI, provider: Provider) -> None:
    """Embeddings, base64 as the SDK asks for them."""
    data = [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}]
    provider.then(
        answer(
            {
                "object": "list",
                "data": data,
                "model": "text-embedding-3-small",
                "usage": {"prompt_tokens": 1, "total_tokens": 1},
            }
        )
    )
    got = client.embeddings.create(model="text-embedding-3-small", input=["x"])
    assert list(got.data[0].embedding) == [1.0, 2.0]
    assert provider.requests[-1].target == "/v1/embeddings"


def test_completions(client: OpenAI, provider: Provider) -> None:
    """The older text completions, whole and streaming."""
    body = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "Once", "finish_reason": "stop", "logprobs": None}],
    }
    provider.then(answer(body), stream([b"data: " + json.dumps(body).encode() + b"\n\n", b"data: [DONE]\n\n"]))
    assert client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x").choices[0].text == "Once"
    assert [
        c.choices[0].text for c in client.completions.create(model="gpt-3.5-turbo-instruct", prompt="x", stream=True)
    ] == ["Once"]
    assert provider.requests[-1].target == "/v1/completions"


def test_models(client: OpenAI, provider: Provider) -> None:
    """The model list has the provider's models and the aliases; an alias can be looked up."""
    provider.then(
        answer({"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"}]})
    )
    assert {model.id for model in client.models.list()} == {"gpt-4o", ALIAS}
    assert client.models.retrieve(ALIAS).id == ALIAS


ERRORS = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (409, openai.ConflictError),
    (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError),
    (500, openai.InternalServerError),
    (503, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_provider_errors(client: OpenAI, provider: Provider, status: int, kind: type[openai.APIStatusError]) -> None:
    """A provider's error is raised as its own class with the provider's own words."""
    provider.then(answer({"error": {"message": "No, thanks.", "type": "x", "param": None, "code": "own_code"}}, status))
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=ALIAS, messages=HELLO)
    assert caught.value.status_code == status
    assert caught.value.code == "own_code"
    assert caught.value.body == {"message": "No, thanks.", "type": "x", "param": None, "code": "own_code"}


def test_gateway_errors(gateway: Gateway, provider: Provider) -> None:
    """The gateway's own refusals are raised as the classes a user expects, with a request id to ask about."""
    calls = len(provider.requests)

    def caught(kind: type[openai.APIStatusError], key: str = KEY, **asked: Any) -> openai.APIStatusError:
        with OpenAI(base_url=f"{gateway.base}/v1", api_key=key, max_retries=2) as client, pytest.raises(kind) as error:
            client.chat.completions.create(**{"model": ALIAS, "messages": HELLO, **asked})
        assert error.value.request_id is not None
        assert error.value.request_id.startswith("req_")
        return error.value

    assert caught(openai.AuthenticationError, "sk-wrong").code == "invalid_api_key"
    assert caught(openai.NotFoundError, extra_headers={"x-trivet-alias": "none"}).code == "model_not_found"
    assert caught(openai.BadRequestError, extra_body={"api_base": "http://x"}).code == "forbidden_field"
    assert caught(openai.BadRequestError, extra_headers={"x-trivet-run": "a b"}).code == "bad_run_id"
    assert caught(openai.PermissionDeniedError, extra_headers={"x-trivet-ticket": "v1.x"}).code == "stamp_invalid"
    assert (
        caught(openai.ConflictError, extra_headers={"x-trivet-run": "unseen", "x-trivet-resume": "required"}).code
        == "run_stamp_missing"
    )
    assert caught(openai.PermissionDeniedError, PLAIN_KEY, model="rel_0123456789abcdef").code == "missing_right"
    assert len(provider.requests) == calls


@pytest.mark.parametrize("end", ["cut", "reset", "no-end"])
def test_cut_stream_raises(client: OpenAI, provider: Provider, end: str) -> None:
    """A stream that breaks off raises, after everything that came: it never passes for a short answer."""
    pieces = events(["One ", "two "], MODEL)[:3]
    provider.then(stream(pieces, end="clean" if end == "no-end" else end))
    said = ""
    with pytest.raises(openai.APIError) as caught:
        for chunk in client.chat.completions.create(model=ALIAS, messages=HELLO, stream=True):
            said += chunk.choices[0].delta.content or ""
    assert said == "One two "
    assert caught.value.code == "upstream_cut"


def test_cut_body_raises(client: OpenAI, provider: Provider) -> None:
    """A body that breaks off is an error, never half an answer."""
    provider.then(
        raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":', close=True)
    )
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model=ALIAS, messages=HELLO)
    assert caught.value.code == "upstream_cut"


def test_leaving_ends_the_call(client: OpenAI, provider: Provider) -> None:
    """A client that stops waiting ends the provider's call at once."""
    provider.then(hang)
    before = len(provider.requests)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).chat.completions.create(model=ALIAS, messages=HELLO)
    received = provider.wait_for(before + 1)[before]
    assert received.gone.wait(2)


def test_retries_meet_one_layer(gateway: Gateway, provider: Provider) -> None:
    """With the SDK's default retries a failing provider is called three times, not nine."""
    before = len(provider.requests)
    provider.then(*[answer({"error": {"message": "x", "type": "x", "param": None, "code": "x"}}, 500)] * 3)
    with OpenAI(base_url=f"{gateway.base}/v1", api_key=KEY) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=ALIAS, messages=HELLO)
    assert len(provider.requests) == before + 3


async def file_server(received: Received, reply: Reply) -> None:
    """The files API: says what came, and gives a download back."""
    if received.method == "GET":
        await answer(bytes(range(256)) * 500, headers={"content-type": "application/octet-stream", "x-own": "1"})(
            received, reply
        )
    else:
        body = {
            "id": "file-1",
            "object": "file",
            "bytes": len(received.body),
            "created_at": 1,
            "filename": "x",
            "purpose": "batch",
            "status": "processed",
        }
        await answer(body)(received, reply)


@pytest.mark.parametrize("route", ["/v1", "/openai/v1"])
def test_files(gateway: Gateway, provider: Provider, route: str) -> None:
    """Multipart uploads and downloads pass byte for byte, on the default route and under the provider's name."""
    content = bytes(range(256)) * 2000
    provider.then(file_server, file_server)
    with OpenAI(base_url=gateway.base + route, api_key=KEY, max_retries=0) as client:
        made = client.files.create(file=("data.bin", io.BytesIO(content)), purpose="batch")
        sent = provider.requests[-1]
        assert (sent.target, made.bytes) == ("/v1/files", len(sent.body))
        boundary = sent.fields["content-type"].partition("boundary=")[2].encode()
        assert content in sent.body
        assert sent.body.startswith(b"--" + boundary)
        assert sent.body.rstrip().endswith(boundary + b"--")
        assert client.files.content("file-1").content == bytes(range(256)) * 500
        assert provider.requests[-1].target == "/v1/files/file-1/content"


def test_files_need_a_right(gateway: Gateway, provider: Provider) -> None:
    """A key without the right does not reach the files API, and its alias map works."""
    calls = len(provider.requests)
    with OpenAI(base_url=f"{gateway.base}/v1", api_key=PLAIN_KEY, max_retries=0) as client:
        with pytest.raises(openai.PermissionDeniedError):
            client.files.list()
        assert len(provider.requests) == calls
        got = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HELLO)
        assert (got.headers["x-trivet-alias"], provider.requests[-1].json["model"]) == (ALIAS, MODEL)


def test_azure_client(gateway: Gateway, provider: Provider) -> None:
    """The SDK's Azure client: the deployment in the path is the alias."""
    provider.then(answer(chat_body("Hello.", MODEL)))
    with openai.AzureOpenAI(
        azure_endpoint=gateway.base, api_key=KEY, api_version="2024-10-21", max_retries=0
    ) as client:
        got = client.chat.completions.with_raw_response.create(model=ALIAS, messages=HELLO)
    assert got.parse().choices[0].message.content == "Hello."
    assert got.headers["x-trivet-alias"] == ALIAS
    assert provider.requests[-1].json["model"] == MODEL
