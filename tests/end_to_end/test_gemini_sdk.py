"""The official google-genai SDK against a gateway process: everything it does works as against Google itself."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.faults.load import promote
from tests.gateway_process import Gateway, running
from tests.provider import Provider, answer, hang, raw, stream

pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
KEY, PLAIN_KEY = "tk-gemini-key-0123456789abcdef", "tk-gemini-plain-key-0123456789"
OLD, NEW, ALIAS = "gemini-2.5-flash-001", "gemini-2.5-flash-002", "team/helper"
TUNED = "tunedModels/own-1"
LOOK = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="look", description="Look it up.", parameters_json_schema={"type": "object", "properties": {}}
        )
    ]
)
JSON = {"content-type": "application/json"}
SCHEMA = {"type": "object", "properties": {"what": {"type": "string"}}}
CLIENTS: list[genai.Client] = []
MANUAL = types.AutomaticFunctionCallingConfig(disable=True)
CALL = {"functionCall": {"id": "gcall-sdk00001", "name": "look", "args": {"a": 1}}}


def body(*parts: dict[str, Any], model: str = OLD, finish: str | None = "STOP") -> dict[str, Any]:
    """An answer of one candidate, or a chunk of it."""
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": 0}
    usage = {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "resp-1"}


def said(*texts: str) -> list[bytes]:
    """The events of a stream that says these texts."""
    made = [body({"text": text}, finish=None) for text in texts[:-1]] + [body({"text": texts[-1]})]
    return [b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in made]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    """The provider behind it."""
    with Provider(answer(body({"text": "Hello."}))) as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for the module, with aliases and keys."""
    folder = tmp_path_factory.mktemp("legs")
    (folder / "prompt.md").write_text("Be brief.\n")
    (folder / "tools.json").write_text(json.dumps([{"name": "find", "parameters": SCHEMA}, {"googleSearch": {}}]))
    served = {
        "model": f"gemini/{OLD}",
        "prompt": {"file": str(folder / "prompt.md"), "mode": "serve"},
        "tools": {"file": str(folder / "tools.json"), "mode": "serve"},
        "params": {"set": {"generation_config": {"temperature": 0}}, "drop": ["labels"]},
    }
    rights = ["pass-through", "provider-state", "pin-release"]
    keys = [
        {"sha256": sha256(KEY.encode()).hexdigest(), "tenant": "sdk", "rights": rights},
        {"sha256": sha256(PLAIN_KEY.encode()).hexdigest(), "tenant": "plain", "aliases": {"fast": ALIAS}},
    ]
    aliases = {
        ALIAS: {"first_release": {"model": f"gemini/{OLD}"}},
        "tuned": {"first_release": {"model": f"gemini/{TUNED}"}, "stakes": "low"},
        "served": {"first_release": served},
        "elsewhere": {"first_release": {"model": "anthropic/claude-sonnet-4-5-20250929"}},
    }
    retry = {"budget": 0, "minimum": 0, "breaker_failures": 1000}
    with running(
        {"gemini": provider.url, "anthropic": provider.url},
        auth="keys",
        keys=keys,
        aliases=aliases,
        unmanaged="pass",
        retry=retry,
    ) as gateway:
        yield gateway


def made(gateway: Gateway, key: str = KEY, path: str = "", **options: Any) -> genai.Client:
    """The SDK as a user makes it: a base URL and a key. Kept, for one that nobody holds closes in mid-call."""
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=gateway.base + path, **options))
    CLIENTS.append(client)
    return client


@pytest.fixture(autouse=True)
def _closed(provider: Provider) -> Iterator[None]:
    """Nothing that a test did not use is left for the next."""
    yield
    assert not provider.queued
    provider.queued.clear()
    for client in CLIENTS:
        client.close()
    CLIENTS.clear()


@pytest.fixture
def client(gateway: Gateway) -> genai.Client:
    """A client without options."""
    return made(gateway)


def told(answered: Any) -> dict[str, str]:
    """The headers of an answer."""
    assert answered.sdk_http_response is not None
    return {name.lower(): value for name, value in answered.sdk_http_response.headers.items()}


@pytest.mark.parametrize("version", [None, "v1", "v1alpha", "v1beta"])
def test_content(gateway: Gateway, provider: Provider, version: str | None) -> None:
    """The alias stands in the path, with its slash, and the pinned model goes upstream in its place."""
    options = {"api_version": version} if version else {}
    got = made(gateway, **options).models.generate_content(
        model=ALIAS,
        contents="Hello?",
        config=types.GenerateContentConfig(system_instruction="Be kind.", temperature=0.5),
    )
    assert got.text == "Hello."
    assert got.usage_metadata is not None and got.usage_metadata.total_token_count == 8
    assert told(got)["x-trivet-model"] == f"gemini/{OLD}"
    sent = provider.requests[-1]
    assert sent.target == f"/{version or 'v1'}/models/{OLD}:generateContent"
    assert sent.fields["x-goog-api-key"] == "sk-provider-test-key"
    assert KEY not in str(sent.headers)
    assert sent.json["systemInstruction"]["parts"] == [{"text": "Be kind."}]


def test_streaming(client: genai.Client, provider: Provider) -> None:
    """A stream arrives piece by piece."""
    read, text = threading.Event(), ""
    provider.then(stream(said("One ", "two ", "three."), until=(b"One ", read)))
    for chunk in client.models.generate_content_stream(model=ALIAS, contents="Hello?"):
        text += chunk.text or ""
        read.set()  # the provider sends the rest only now
    assert text == "One two three."
    assert provider.requests[-1].target == f"/v1/models/{OLD}:streamGenerateContent?alt=sse"


def test_async(client: genai.Client, provider: Provider) -> None:
    """The async client: many at once, whole and streaming."""

    async def work() -> None:
        answers = await asyncio.gather(
            *(client.aio.models.generate_content(model=ALIAS, contents="Hello?") for _ in range(10))
        )
        assert {each.text for each in answers} == {"Hello."}
        provider.then(stream(said("a", "b")))
        chunks = await client.aio.models.generate_content_stream(model=ALIAS, contents="Hello?")
        assert "".join([chunk.text or "" async for chunk in chunks]) == "ab"
        await client.aio.aclose()

    asyncio.run(work())


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_keep_the_run(client: genai.Client, provider: Provider, streamed: bool) -> None:
    """A tool turn without any run header: the request that brings the result belongs to the run that asked for it."""
    call = json.loads(json.dumps(CALL).replace("00001", f"0002{streamed:d}"))
    config = types.GenerateContentConfig(tools=[LOOK], automatic_function_calling=MANUAL)
    if streamed:
        provider.then(stream([b"data: " + json.dumps(body(call)).encode() + b"\r\n\r\n"]))
        (first,) = client.models.generate_content_stream(model=ALIAS, contents="Hello?", config=config)
    else:
        provider.then(answer(body(call)))
        first = client.models.generate_content(model=ALIAS, contents="Hello?", config=config)
    assert first.function_calls is not None and first.candidates is not None
    asked, content = first.function_calls[0], first.candidates[0].content
    assert (asked.name, asked.args, asked.id) == ("look", {"a": 1}, call["functionCall"]["id"])
    assert provider.requests[-1].json["tools"][0]["functionDeclarations"][0]["name"] == "look"
    result = types.Part(function_response=types.FunctionResponse(id=asked.id, name="look", response={"seen": True}))
    history: list[Any] = ["Hello?", content, types.Content(role="user", parts=[result])]
    second = client.models.generate_content(model=ALIAS, contents=history, config=config)
    assert told(second)["x-trivet-run"] == told(first)["x-trivet-run"]
    assert (told(first)["x-trivet-bound"], told(second)["x-trivet-bound"]) == ("new", "resumed")


class Weather(BaseModel):
    """What the model is asked to answer."""

    city: str
    degrees: float


def test_structured_output(client: genai.Client, provider: Provider) -> None:
    """The schema goes to the provider as it is, the answer comes back typed."""
    provider.then(answer(body({"text": '{"city": "Oslo", "degrees": -3.5}'})))
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Weather)
    got = client.models.generate_content(model=ALIAS, contents="Hello?", config=config)
    assert got.parsed == Weather(city="Oslo", degrees=-3.5)
    assert "responseSchema" in provider.requests[-1].json["generationConfig"]


def test_counting_and_embedding(client: genai.Client, provider: Provider) -> None:
    """Every place that names the model gets the pinned one, in the path and in the body."""
    provider.then(answer({"totalTokens": 31}), answer({"embeddings": [{"values": [0.5, 1.0]}]}))
    assert client.models.count_tokens(model=ALIAS, contents="Hello?").total_tokens == 31
    assert provider.requests[-1].target == f"/v1/models/{OLD}:countTokens"
    got = client.models.embed_content(model=ALIAS, contents="x")
    assert got.embeddings is not None and got.embeddings[0].values == [0.5, 1.0]
    sent = provider.requests[-1]
    assert sent.target == f"/v1/models/{OLD}:batchEmbedContents"
    assert [each["model"] for each in sent.json["requests"]] == [f"models/{OLD}"]


@pytest.mark.parametrize(
    "names", [("systemInstruction", "generationConfig"), ("system_instruction", "generation_config")]
)
def test_a_release_carries_prompt_tools_and_params(
    gateway: Gateway, client: genai.Client, provider: Provider, names: tuple[str, str]
) -> None:
    """Whatever the agent sent in their place, in whichever spelling; its other parts stay, and a count counts the same."""
    contents = [{"parts": [{"text": "Hello?"}], "role": "user"}]
    instruction = {"parts": [{"text": "Mine."}, {"text": "Too."}]}
    sent = {names[0]: instruction, names[1]: {"topK": 1}, "labels": {"a": "b"}, "tools": [{}], "contents": contents}
    url, fields = f"{gateway.base}/v1beta/models/served:generateContent", {"x-goog-api-key": KEY, **JSON}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(sent).encode(), fields), timeout=10) as got:
        assert got.status == 200
    tools = [{"functionDeclarations": [{"name": "find", "parametersJsonSchema": SCHEMA}]}, {"googleSearch": {}}]
    wanted = {names[0]: {"parts": [{"text": "Be brief."}, {"text": "Too."}]}, names[1]: {"temperature": 0}}
    assert provider.requests[-1].json == {**wanted, "tools": tools, "contents": contents}
    provider.then(answer({"totalTokens": 7}))
    assert client.models.count_tokens(model="served", contents="Hello?").total_tokens == 7
    counted = provider.requests[-1].json["generateContentRequest"]
    assert counted == {
        "model": f"models/{OLD}",
        "contents": contents,
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"temperature": 0},
        "tools": tools,
    }


def test_tuned_models_and_unmanaged_ones(client: genai.Client, provider: Provider) -> None:
    """A tuned model goes to its own collection, by its name or by an alias of it."""
    for name, path in (("tuned", TUNED), (TUNED, TUNED), ("models/gemini-x", "models/gemini-x")):
        assert client.models.generate_content(model=name, contents="Hello?").text == "Hello."
        assert provider.requests[-1].target == f"/v1/{path}:generateContent"


def test_models(client: genai.Client, provider: Provider) -> None:
    """The list has the provider's models and the aliases; an alias can be looked up; a later page has no alias again."""
    theirs = {"models": [{"name": "models/gemini-x", "version": "1"}]}
    provider.then(answer({**theirs, "nextPageToken": "t"}), answer(theirs), answer(theirs["models"][0]))
    names = [model.name for model in client.models.list()]
    assert sorted(names) == sorted(
        ["models/gemini-x"] * 2 + [f"models/{a}" for a in (ALIAS, "elsewhere", "served", "tuned")]
    )
    calls = len(provider.requests)
    assert client.models.get(model=ALIAS).name == f"models/{ALIAS}"
    assert len(provider.requests) == calls
    assert client.models.get(model="gemini-x").version == "1"


def test_pass_through(gateway: Gateway, provider: Provider) -> None:
    """Under the provider's name everything works too, and pins hold; caches pass, and belong to who made them."""
    named = made(gateway, path="/gemini", api_version="v1beta")
    assert named.models.generate_content(model=ALIAS, contents="Hello?").text == "Hello."
    assert provider.requests[-1].target == f"/v1beta/models/{OLD}:generateContent"
    provider.then(answer({"name": "cachedContents/c-1", "model": f"models/{OLD}"}))
    config = types.CreateCachedContentConfig(contents=["x" * 100])
    assert named.caches.create(model=ALIAS, config=config).name == "cachedContents/c-1"
    assert (provider.requests[-1].target, provider.requests[-1].json["model"]) == (
        "/v1beta/cachedContents",
        f"models/{OLD}",
    )
    cached = types.GenerateContentConfig(cached_content="cachedContents/c-1")
    assert named.models.generate_content(model=ALIAS, contents="Hello?", config=cached).text == "Hello."
    with pytest.raises(errors.ClientError) as caught:
        made(gateway, PLAIN_KEY).models.generate_content(model="fast", contents="Hello?", config=cached)
    assert reason(caught.value) == "missing_right"


def reason(error: errors.APIError) -> str:
    """The gateway's own code within an error."""
    return str(error.details["error"]["details"][0]["reason"])


ERRORS = [(400, errors.ClientError), (403, errors.ClientError), (404, errors.ClientError), (429, errors.ClientError),
          (500, errors.ServerError), (503, errors.ServerError), (504, errors.ServerError)]  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("status", "kind"), ERRORS)
def test_provider_errors(
    client: genai.Client, provider: Provider, status: int, kind: type[errors.APIError], streamed: bool
) -> None:
    """A provider's error is raised as its own class with the provider's own words."""
    theirs = {"error": {"code": status, "message": "No, thanks.", "status": "OWN_WORD"}}
    provider.then(answer(theirs, status))
    with pytest.raises(kind) as caught:
        if streamed:
            list(client.models.generate_content_stream(model=ALIAS, contents="Hello?"))
        else:
            client.models.generate_content(model=ALIAS, contents="Hello?")
    assert (caught.value.code, caught.value.message, caught.value.status) == (status, "No, thanks.", "OWN_WORD")


def test_gateway_errors(gateway: Gateway, provider: Provider) -> None:
    """The gateway's own refusals are raised as the classes a user expects, with Google's word and our code."""
    calls = len(provider.requests)

    def caught(code: int, word: str, key: str = KEY, model: str = ALIAS, **options: Any) -> str:
        with pytest.raises(errors.ClientError) as error:
            made(gateway, key, **options).models.generate_content(model=model, contents="Hello?")
        assert (error.value.code, error.value.status) == (code, word)
        return reason(error.value)

    assert caught(401, "UNAUTHENTICATED", "wrong") == "invalid_api_key"
    assert caught(404, "NOT_FOUND", headers={"x-trivet-alias": "none"}) == "model_not_found"
    assert caught(400, "INVALID_ARGUMENT", extra_body={"api_base": "http://x"}) == "forbidden_field"
    assert caught(400, "INVALID_ARGUMENT", extra_body={"model": "models/other"}) == "invalid_model"
    assert caught(400, "INVALID_ARGUMENT", extra_body={"tool_config": {}, "toolConfig": {}}) == "duplicate_key"
    assert caught(400, "INVALID_ARGUMENT", headers={"x-trivet-run": "a b"}) == "bad_run_id"
    assert caught(400, "INVALID_ARGUMENT", model="elsewhere") == "wrong_dialect"
    assert caught(403, "PERMISSION_DENIED", PLAIN_KEY, "rel_0123456789abcdef") == "missing_right"
    assert len(provider.requests) == calls


@pytest.mark.parametrize("end", ["cut", "reset", "no-end", "within"])
def test_cut_stream_raises(client: genai.Client, provider: Provider, end: str) -> None:
    """E1 to E3: a stream that breaks off raises, after everything that came: it never passes for a short answer."""
    pieces = said("One ", "two ", "three")[:2]
    if end == "within":
        pieces.append(b'data: {"candidates": [{"con')
    provider.then(stream(pieces, end={"no-end": "clean", "within": "cut"}.get(end, end)))
    text = ""
    with pytest.raises(errors.ServerError) as caught:
        for chunk in client.models.generate_content_stream(model=ALIAS, contents="Hello?"):
            text += chunk.text or ""
    assert text == "One two "
    assert (caught.value.code, caught.value.status, reason(caught.value)) == (503, "UNAVAILABLE", "upstream_cut")


def test_cut_stream_raises_async(client: genai.Client, provider: Provider) -> None:
    """E1, in the async client; and E4, the provider's own error within a stream."""
    error = b'data: {"error": {"code": 500, "message": "Boom.", "status": "INTERNAL"}}\r\n\r\n'

    async def work() -> list[tuple[Any, Any]]:
        found = []
        for pieces, end in ((said("One ", "two")[:1], "cut"), ([said("One ", "two")[0], error], "clean")):
            provider.then(stream(pieces, end=end))
            with pytest.raises(errors.ServerError) as caught:
                async for _ in await client.aio.models.generate_content_stream(model=ALIAS, contents="Hello?"):
                    pass
            found.append((caught.value.code, caught.value.status))
        await client.aio.aclose()
        return found

    assert asyncio.run(work()) == [(503, "UNAVAILABLE"), (500, "INTERNAL")]


def test_cut_body_raises(client: genai.Client, provider: Provider) -> None:
    """A body that breaks off is an error, never half an answer."""
    provider.then(
        raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"cand', close=True)
    )
    with pytest.raises(errors.ServerError) as caught:
        client.models.generate_content(model=ALIAS, contents="Hello?")
    assert reason(caught.value) == "upstream_cut"


def test_leaving_ends_the_call(gateway: Gateway, provider: Provider) -> None:
    """E5: a client that stops waiting ends the provider's call at once."""
    provider.then(hang)
    before = len(provider.requests)
    with pytest.raises(Exception, match=r"(?i)time"):
        made(gateway, timeout=300).models.generate_content(model=ALIAS, contents="Hello?")
    assert provider.wait_for(before + 1)[before].gone.wait(2)


def test_a_key_in_the_query(gateway: Gateway, provider: Provider) -> None:
    """It is a key like any other, and neither the provider nor a log gets to see it; two keys are refused."""

    def ask(query: str, **headers: str) -> tuple[int, Any]:
        url = f"{gateway.base}/v1beta/models/{ALIAS}:generateContent?{query}"
        request = urllib.request.Request(url, b"{}", {"content-type": "application/json", **headers})
        try:
            with urllib.request.urlopen(request, timeout=10) as got:
                return got.status, json.load(got)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    assert ask(f"alt=json&key={KEY}&x=1")[0] == 200
    assert provider.requests[-1].target == f"/v1beta/models/{OLD}:generateContent?alt=json&x=1"
    assert ask(f"k%65y={KEY}")[0] == 200
    assert provider.requests[-1].target == f"/v1beta/models/{OLD}:generateContent"
    assert ask(f"key={KEY}", **{"x-goog-api-key": PLAIN_KEY})[0] == 400
    assert ask("key=wrong-key-in-query")[0] == 401
    for secret in (KEY, "wrong-key-in-query"):
        assert secret not in gateway.log


def test_a_run_keeps_its_triple_across_a_pointer_flip(gateway: Gateway, provider: Provider) -> None:
    """An agent that names its run is served by the release it began with; a new run has the new one."""
    named, fresh = (made(gateway, headers={"x-trivet-run": run}) for run in ("flip-1", "flip-2"))
    first = named.models.generate_content(model=ALIAS, contents="Hello?")
    created = promote(gateway, f"gemini/{NEW}", quote(ALIAS, safe=""))
    later = named.models.generate_content(model=ALIAS, contents="Hello?")
    assert told(later)["x-trivet-release"] == told(first)["x-trivet-release"] != created
    assert provider.requests[-1].target == f"/v1/models/{OLD}:generateContent"
    assert told(fresh.models.generate_content(model=ALIAS, contents="Hello?"))["x-trivet-release"] == created
    assert provider.requests[-1].target == f"/v1/models/{NEW}:generateContent"
