"""The official anthropic SDK against a gateway process: everything it does works as against the provider itself."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from pydantic import BaseModel

from tests.anthropic_answers import error_body, event, message, message_body, message_events, tool_use
from tests.faults.load import promote
from tests.gateway_process import Gateway, running
from tests.provider import Provider, answer, hang, raw, stream

KEY, PLAIN_KEY = "tk-claude-key-0123456789abcdef", "tk-claude-plain-key-0123456789"
MODEL, OTHER_MODEL = "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"
ALIAS, MOVING, SERVED = "assistant", "moving", "served"
HELLO: Any = {"max_tokens": 64, "messages": [{"role": "user", "content": "Hello?"}]}
TOOLS: list[Any] = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
SERVED_TOOLS: list[Any] = [
    {"name": "refund", "description": "Pays back.", "parameters": {"type": "object", "properties": {"order": {}}}}
]
SESSION = "x-claude-code-session-id"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """The provider behind it."""
    with Provider(message()) as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the module, with aliases and keys, and an OpenAI provider that nobody listens for."""
    folder = tmp_path_factory.mktemp("legs")
    (folder / "prompt.md").write_text("You help {{customer}}. {{app}}\n")
    (folder / "tools.json").write_text(json.dumps(SERVED_TOOLS))
    keys = [
        {"sha256": sha256(KEY.encode()).hexdigest(), "tenant": "sdk", "rights": ["pass-through"]},
        {"sha256": sha256(PLAIN_KEY.encode()).hexdigest(), "tenant": "plain", "aliases": {"sonnet": ALIAS}},
    ]
    first = {"first_release": {"model": f"anthropic/{MODEL}"}}
    legs = {
        "prompt": {"file": str(folder / "prompt.md"), "mode": "serve"},
        "tools": {"file": str(folder / "tools.json"), "mode": "serve"},
    }
    served = {"first_release": {**first["first_release"], **legs}}
    retry = {"budget": 0, "minimum": 0, "breaker_failures": 1000}
    sources = ["x-trivet-run", SESSION, "metadata.session_id", "state", "tool_calls"]
    with running(
        {"anthropic": provider.url, "openai": "http://127.0.0.1:9"},
        auth="keys",
        keys=keys,
        aliases={ALIAS: first, MOVING: first, SERVED: served},
        unmanaged="pass",
        retry=retry,
        runs={"sources": sources},
    ) as gateway:
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    """The SDK as a user makes it: a base URL and a key."""
    with Anthropic(base_url=gateway.base, api_key=KEY, max_retries=0) as client:
        yield client


def test_message(client: Anthropic, provider: Provider) -> None:
    """A message names the alias and is answered by its pinned model; the provider gets its own key and the API's version."""
    got = client.messages.with_raw_response.create(model=ALIAS, **HELLO)
    said = got.parse()
    assert (said.content[0].text, said.model) == ("Hello.", MODEL)  # type: ignore[union-attr]
    assert got.headers["x-trivet-model"] == f"anthropic/{MODEL}"
    assert got.headers["x-trivet-release"].startswith("rel_")
    sent = provider.requests[-1]
    assert (sent.target, sent.json["model"]) == ("/v1/messages", MODEL)
    assert sent.fields["x-api-key"] == "sk-provider-test-key"
    assert sent.fields["anthropic-version"] == client.default_headers["anthropic-version"]
    assert "authorization" not in sent.fields


def test_bearer_keys_and_the_providers_own_path(gateway: Gateway, provider: Provider) -> None:
    """`auth_token` works as well as `api_key`, and so does the provider's name in the base URL."""
    with Anthropic(base_url=gateway.base + "/anthropic", auth_token=KEY, max_retries=0) as client:
        got = client.messages.with_raw_response.create(model=ALIAS, **HELLO)
        assert got.headers["x-trivet-alias"] == ALIAS
        said = client.beta.messages.create(model=ALIAS, betas=["context-1m-2025-08-07"], **HELLO)
    assert said.model == MODEL
    sent = provider.requests[-1]
    assert (sent.target, sent.fields["anthropic-beta"]) == ("/v1/messages", "context-1m-2025-08-07")
    assert sent.fields["x-api-key"] == "sk-provider-test-key"


def test_streaming(client: Anthropic, provider: Provider) -> None:
    """A stream arrives piece by piece, with its usage and its stop reason."""
    read, said = threading.Event(), ""
    provider.then(stream(message_events(["One ", "two ", "three."], MODEL), until=(b"One ", read)))
    with client.messages.stream(model=ALIAS, **HELLO) as answered:
        for text in answered.text_stream:
            said += text
            read.set()  # the provider sends the rest only now
        final = answered.get_final_message()
    assert said == "One two three."
    assert (final.stop_reason, final.usage.output_tokens, final.model) == ("end_turn", 3, MODEL)


def test_async(gateway: Gateway, provider: Provider) -> None:
    """The async client: many at once, whole and streaming."""

    async def work() -> None:
        async with AsyncAnthropic(base_url=gateway.base, api_key=KEY, max_retries=0) as client:
            answers = await asyncio.gather(*(client.messages.create(model=ALIAS, **HELLO) for _ in range(20)))
            assert {a.content[0].text for a in answers} == {"Hello."}  # type: ignore[union-attr]
            provider.then(stream(message_events(["a", "b"], MODEL)))
            async with client.messages.stream(model=ALIAS, **HELLO) as answered:
                assert "".join([text async for text in answered.text_stream]) == "ab"

    asyncio.run(work())


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_keeps_its_triple_over_a_pointer_flip(
    gateway: Gateway, client: Anthropic, provider: Provider, streamed: bool
) -> None:
    """Without any run header: the requests that bring results belong to the run that asked for them, whatever is promoted
    in between, and so does a count of their tokens; a new conversation gets the new release."""
    if streamed:
        promote(gateway, f"anthropic/{MODEL}", MOVING)
    calls = [tool_use(f"toolu_loop{streamed}000{n}", place=n) for n in range(3)]
    messages: list[Any] = list(HELLO["messages"])
    runs, models = set(), []
    for call in [*calls, None]:
        asked = [] if call is None else [call]
        if streamed:
            provider.then(stream(message_events(["Hm. "], MODEL, *asked)))
            manager = client.messages.stream(model=MOVING, max_tokens=64, messages=messages, tools=TOOLS)
            with manager as answered:
                said = answered.get_final_message()
                headers = answered.response.headers
        else:
            provider.then(message("Hm. ", None, *asked))
            got = client.messages.with_raw_response.create(model=MOVING, max_tokens=64, messages=messages, tools=TOOLS)
            said, headers = got.parse(), got.headers
        runs.add(headers["x-trivet-run"])
        models.append(provider.requests[-1].json["model"])
        if call is None:
            break
        assert said.content[-1].input == call["input"]  # type: ignore[union-attr]
        if call is calls[0]:
            promote(gateway, f"anthropic/{OTHER_MODEL}", MOVING)
        messages.append({"role": "assistant", "content": said.content})
        messages.append(
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "x"}]}
        )
    assert (len(runs), models) == (1, [MODEL] * 4)
    provider.then(answer({"input_tokens": 7}))
    count = client.messages.with_raw_response.count_tokens(model=MOVING, messages=messages, tools=TOOLS)
    assert (count.headers["x-trivet-run"], provider.requests[-1].json["model"]) == (runs.pop(), MODEL)
    fresh = client.messages.with_raw_response.create(model=MOVING, **HELLO)
    assert fresh.headers["x-trivet-model"] == f"anthropic/{OTHER_MODEL}"


def test_server_tools_keep_the_run(client: Anthropic, provider: Provider) -> None:
    """A paused turn of the provider's own tool goes on in its run: the ids come back in the history."""
    use = {"type": "server_tool_use", "id": "srvtoolu_01sdk000001", "name": "web_search", "input": {"query": "x"}}
    found = {"type": "web_search_tool_result", "tool_use_id": use["id"], "content": []}
    provider.then(answer(message_body("", MODEL, use, found, stop_reason="pause_turn")))
    first = client.messages.with_raw_response.create(model=ALIAS, **HELLO)
    turn: list[Any] = [*HELLO["messages"], {"role": "assistant", "content": first.parse().content}]
    second = client.messages.with_raw_response.create(model=ALIAS, max_tokens=64, messages=turn)
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert (first.headers["x-trivet-bound"], second.headers["x-trivet-bound"]) == ("new", "resumed")


@pytest.mark.parametrize(
    ("session", "said"),
    [
        ("5e55-10", {"extra_headers": {SESSION: "5e55-10"}}),
        ("5e55-11", {"metadata": {"user_id": f"user_{'0' * 64}_account_{'1' * 36}_session_5e55-11"}}),
    ],
)
def test_claude_codes_session_is_the_run(client: Anthropic, session: str, said: Any) -> None:
    """Where `runs.sources` names it, all requests of a session are one run, the first and a side question alike."""
    for _ in range(2):
        got = client.messages.with_raw_response.create(model=ALIAS, **HELLO, **said)
        assert got.headers["x-trivet-run"] == session
    assert got.headers["x-trivet-bound"] == "resumed"


@pytest.mark.parametrize("counted", [False, True])
def test_served_legs(client: Anthropic, provider: Provider, counted: bool) -> None:
    """Prompt and tools of the release are put in, in Anthropic's own form; cache marks and later blocks stay. A count of
    tokens counts what will be served."""
    mark = {"type": "ephemeral"}
    system: list[Any] = [
        {"type": "text", "text": "Be brief.", "cache_control": mark},
        {"type": "text", "text": "Later."},
    ]
    asked: Any = {"model": SERVED, "messages": HELLO["messages"], "system": system, "tools": TOOLS}
    asked["extra_body"] = {"trivet": {"vars": {"customer": "Ann"}}}
    if counted:
        provider.then(answer({"input_tokens": 7}))
        client.messages.count_tokens(**asked)
    else:
        client.messages.create(max_tokens=64, **asked)
    sent = provider.requests[-1].json
    first = {"type": "text", "text": "You help Ann. Be brief.", "cache_control": mark}
    assert sent["system"] == [first, system[1]]
    (tool,) = SERVED_TOOLS
    assert sent["tools"] == [
        {"name": "refund", "description": "Pays back.", "input_schema": tool["parameters"]},
    ]
    assert "trivet" not in sent


class Weather(BaseModel):
    """What the model is asked to answer."""

    city: str
    degrees: float


def test_structured_output(client: Anthropic, provider: Provider) -> None:
    """`parse` with a model class: the schema goes to the provider as it is, the answer comes back typed."""
    provider.then(message('{"city": "Oslo", "degrees": -3.5}'))
    got = client.messages.parse(model=ALIAS, output_format=Weather, **HELLO)
    assert got.parsed_output == Weather(city="Oslo", degrees=-3.5)
    assert provider.requests[-1].json["output_config"]["format"]["schema"]["required"] == ["city", "degrees"]


def test_count_tokens(client: Anthropic, provider: Provider) -> None:
    """A count is asked of the release's own model, with the body as sent."""
    provider.then(answer({"input_tokens": 2095}))
    got = client.messages.count_tokens(model=ALIAS, messages=HELLO["messages"], system="Be brief.")
    assert got.input_tokens == 2095
    sent = provider.requests[-1]
    assert (sent.target, sent.json["model"], sent.json["system"]) == ("/v1/messages/count_tokens", MODEL, "Be brief.")


def test_models(client: Anthropic, provider: Provider) -> None:
    """The list is Anthropic's, with the aliases in its shape in front, on the first page only; an alias can be looked up."""
    entry = {"type": "model", "id": MODEL, "display_name": "Claude", "created_at": "2025-09-29T00:00:00Z"}
    page = {"data": [entry], "has_more": True, "first_id": MODEL, "last_id": MODEL}
    provider.then(answer(page), answer({**page, "data": [{**entry, "id": "older"}], "has_more": False}))
    assert [model.id for model in client.models.list()] == [ALIAS, MOVING, SERVED, MODEL, "older"]
    assert provider.requests[-1].target == f"/v1/models?after_id={MODEL}"
    one = client.models.retrieve(ALIAS)
    assert (one.id, one.type, one.display_name) == (ALIAS, "model", ALIAS)
    provider.then(answer(entry))
    assert client.models.retrieve(MODEL).display_name == "Claude"


def test_batches_need_rights(client: Anthropic, gateway: Gateway, provider: Provider) -> None:
    """The batches API passes byte for byte with the right to pass; a batch by its id needs the right to state as well."""
    calls = len(provider.requests)
    batch = {
        "id": "msgbatch_01sdk0000001",
        "type": "message_batch",
        "processing_status": "in_progress",
        "request_counts": {},
        "created_at": "2025-01-01T00:00:00Z",
        "expires_at": "2025-01-02T00:00:00Z",
    }
    provider.then(answer({"data": [batch], "has_more": False}))
    assert [each.id for each in client.messages.batches.list()] == [batch["id"]]
    assert provider.requests[-1].target == "/v1/messages/batches"
    with pytest.raises(anthropic.PermissionDeniedError):
        client.messages.batches.retrieve("msgbatch_01of0others01")
    with (
        Anthropic(base_url=gateway.base, api_key=PLAIN_KEY, max_retries=0) as plain,
        pytest.raises(anthropic.PermissionDeniedError),
    ):
        plain.messages.batches.list()
    assert len(provider.requests) == calls + 1


ERRORS = [
    (400, "invalid_request_error", anthropic.BadRequestError),
    (401, "authentication_error", anthropic.AuthenticationError),
    (403, "permission_error", anthropic.PermissionDeniedError),
    (404, "not_found_error", anthropic.NotFoundError),
    (413, "request_too_large", anthropic.RequestTooLargeError),
    (429, "rate_limit_error", anthropic.RateLimitError),
    (500, "api_error", anthropic.InternalServerError),
    (529, "overloaded_error", anthropic.OverloadedError),
]


@pytest.mark.parametrize(("status", "word", "kind"), ERRORS)
def test_provider_errors(
    client: Anthropic, provider: Provider, status: int, word: str, kind: type[anthropic.APIStatusError]
) -> None:
    """A provider's error is raised as its own class with the provider's own words."""
    provider.then(answer(error_body(word), status))
    with pytest.raises(kind) as caught:
        client.messages.create(model=ALIAS, **HELLO)
    assert (caught.value.status_code, caught.value.body) == (status, error_body(word))


def test_retries_meet_one_layer(gateway: Gateway, provider: Provider) -> None:
    """With the SDK's default retries an overloaded provider is called three times, not nine."""
    before = len(provider.requests)
    provider.then(*[answer(error_body("overloaded_error"), 529, {"retry-after-ms": "1"})] * 9)
    with Anthropic(base_url=gateway.base, api_key=KEY) as client, pytest.raises(anthropic.OverloadedError):
        client.messages.create(model=ALIAS, **HELLO)
    provider.queued.clear()
    assert len(provider.requests) == before + 3


def test_gateway_errors(gateway: Gateway, provider: Provider) -> None:
    """The gateway's own refusals are raised as the classes a user expects, with a request id to ask about."""
    calls = len(provider.requests)

    def caught(kind: type[anthropic.APIStatusError], key: str = KEY, **asked: Any) -> str:
        with Anthropic(base_url=gateway.base, api_key=key) as client, pytest.raises(kind) as error:
            client.messages.create(**{"model": ALIAS, **HELLO, **asked})
        body: Any = error.value.body
        assert body["type"] == "error"
        assert body["request_id"] == error.value.request_id
        assert body["request_id"].startswith("req_")
        return str(body["error"]["message"]).partition(":")[0]

    assert caught(anthropic.AuthenticationError, "sk-wrong") == "invalid_api_key"
    assert caught(anthropic.NotFoundError, extra_headers={"x-trivet-alias": "none"}) == "model_not_found"
    assert caught(anthropic.BadRequestError, extra_body={"api_base": "http://x"}) == "forbidden_field"
    assert caught(anthropic.BadRequestError, extra_headers={"x-trivet-run": "a b"}) == "bad_run_id"
    assert caught(anthropic.PermissionDeniedError, extra_headers={"x-trivet-ticket": "v1.x"}) == "stamp_invalid"
    resume = {"x-trivet-run": "unseen", "x-trivet-resume": "required"}
    assert caught(anthropic.ConflictError, extra_headers=resume) == "run_stamp_missing"
    assert len(provider.requests) == calls


@pytest.mark.parametrize("end", ["cut", "reset", "no-end", "half"])
def test_cut_stream_raises(client: Anthropic, provider: Provider, end: str) -> None:
    """A stream that breaks off raises, after everything that came: it never passes for a short answer."""
    pieces = message_events(["One ", "two "], MODEL)[:5]
    if end == "half":
        pieces.append(b'event: content_block_delta\ndata: {"type":"content_blo')
    provider.then(stream(pieces, end="clean" if end == "no-end" else "cut" if end == "half" else end))
    said = ""
    with (
        pytest.raises(anthropic.APIStatusError, match="upstream_cut") as caught,
        client.messages.stream(model=ALIAS, **HELLO) as answered,
    ):
        for text in answered.text_stream:
            said += text
    assert said == "One two "
    assert caught.value.body["error"]["type"] == "api_error"  # type: ignore[index]


def test_an_error_event_of_the_provider_raises(client: Anthropic, provider: Provider) -> None:
    """It is relayed as it came, and is the end, whatever the provider does afterwards."""
    failed = error_body("overloaded_error", "Overloaded")
    sent = [*message_events(["One "], MODEL)[:4], event("error", **failed)]
    provider.then(stream(sent, end="hang"))
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded") as caught,
        client.messages.create(model=ALIAS, stream=True, **HELLO) as answered,
    ):
        list(answered)
    assert caught.value.body == failed


def test_cut_body_raises(client: Anthropic, provider: Provider) -> None:
    """A body that breaks off is an error, never half an answer."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    provider.then(raw(head + json.dumps(message_body("x", MODEL)).encode()[:60], close=True))
    with pytest.raises(anthropic.InternalServerError, match="upstream_cut"):
        client.messages.create(model=ALIAS, **HELLO)


def test_leaving_ends_the_call(client: Anthropic, provider: Provider) -> None:
    """A client that stops waiting ends the provider's call at once."""
    provider.then(hang)
    before = len(provider.requests)
    with pytest.raises(anthropic.APITimeoutError):
        client.with_options(timeout=0.2).messages.create(model=ALIAS, **HELLO)
    assert provider.wait_for(before + 1)[before].gone.wait(2)


def test_an_alias_of_the_key_is_used(gateway: Gateway, provider: Provider) -> None:
    """The names that agents have hard-wired are mapped by their key."""
    with Anthropic(base_url=gateway.base, api_key=PLAIN_KEY, max_retries=0) as client:
        got = client.messages.with_raw_response.create(model="sonnet", **HELLO)
    assert (got.headers["x-trivet-alias"], provider.requests[-1].json["model"]) == (ALIAS, MODEL)
