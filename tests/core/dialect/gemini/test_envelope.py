"""The Gemini envelope: what a request is routed, bound and digested by, cut from the bytes as sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.contract.fault import Fault
from gateway.core.dialect.gemini import envelope as module
from gateway.core.dialect.gemini.envelope import GenerateEnvelope, read
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "gemini"
REQUESTS = sorted(GOLDEN.glob("*.request.json"))
PARAMS: dict[str, bytes | None] = {"tool_config": b"{}", "generationConfig": b'{"temperature":0}', "labels": None}


def generate(**members: Any) -> GenerateEnvelope:
    """The envelope of a request for content."""
    envelope = read(Operation.GENERATE, json.dumps(members).encode())
    assert isinstance(envelope, GenerateEnvelope)
    return envelope


def result(identifier: Any, name: str = "functionResponse") -> dict[str, Any]:
    """A content that brings one function's result."""
    return {"role": "user", "parts": [{name: {"id": identifier, "name": "look", "response": {"a": [1]}}}]}


def told(envelope: GenerateEnvelope) -> dict[str, Any]:
    """Everything that is read of a request."""
    return {
        "stream": envelope.stream,
        "results": list(envelope.results),
        "has_tools": envelope.has_tools,
        "held": envelope.held,
        "prompt": envelope.prompt(),
        "system": envelope.system().decode(),
        "toolset": envelope.toolset().decode(),
        "opening": envelope.opening().decode(),
    }


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name.removesuffix(".request.json"))
def test_golden_requests(path: Path) -> None:
    """Each request is read as its file says; prompt and tools are its own bytes."""
    wanted = json.loads((path.parent / path.name.replace(".request.", ".envelope.")).read_text(encoding="utf-8"))
    envelope = read(Operation(wanted.pop("operation")), path.read_bytes())
    assert isinstance(envelope, GenerateEnvelope)
    assert told(envelope) == wanted
    for part in (envelope.system(), envelope.toolset(), envelope.opening()):
        assert not part or json.loads(part)


def snaky(value: Any) -> Any:
    """The same request in the other spelling."""
    if isinstance(value, list):
        return [snaky(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = {"systemInstruction": "system_instruction", "functionResponse": "function_response",
             "cachedContent": "cached_content", "toolConfig": "tool_config"}  # fmt: skip
    return {names.get(name, name): snaky(each) for name, each in value.items()}


def test_both_spellings_are_read_alike() -> None:
    """Proto JSON takes either, so neither hides a prompt, a result or a cache; a body with both is refused."""
    body = {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [{"parts": [{"text": "u"}]}, result("call-1")],
        "cachedContent": "cachedContents/c",
        "toolConfig": {},
    }
    plain, snake = generate(**body), generate(**snaky(body))
    assert plain.system() == snake.system() == b'{"parts": [{"text": "s"}]}'
    assert plain.results == snake.results == ("call-1",)
    assert plain.held == snake.held == "cachedContents/c"
    edits = snake.fitted({**snake.prompt_edit("n"), **PARAMS}, "x")
    assert json.loads(splice(snake.members, edits)) == {
        "system_instruction": {"parts": [{"text": "n"}]},
        "contents": snaky(body["contents"]),
        "cached_content": "cachedContents/c",
        "tool_config": {},
        "generationConfig": {"temperature": 0},
    }
    with pytest.raises(Fault) as caught:
        generate(**body, system_instruction={})
    assert caught.value.code == "duplicate_key"


def test_one_object_stands_for_an_array_of_one() -> None:
    """As Google's own examples write it: contents, parts and tools."""
    one = {"role": "user", "parts": {"functionResponse": {"id": "call-1"}}}
    envelope = generate(contents=one, tools={"functionDeclarations": []}, systemInstruction={"parts": {"text": "s"}})
    assert envelope.results == ("call-1",)
    assert (envelope.has_tools, json.loads(envelope.toolset())) == (True, [{"functionDeclarations": []}])
    assert envelope.prompt() == "s"
    assert json.loads(envelope.opening()) == [{"parts": {"text": "s"}}, one]


def test_the_path_says_whether_it_streams() -> None:
    """Whatever the body says."""
    for stream in ("true", "false"):
        body = b'{"stream":%b}' % stream.encode()
        assert read(Operation.GENERATE_STREAM, body).stream is True
        assert read(Operation.GENERATE, body).stream is False
        assert read(Operation.COUNT_TOKENS, body).stream is False


def test_results_of_all_turns_count_newest_first() -> None:
    """Also within one content, in both spellings, each id once and no more than a bounded number."""
    both = {"parts": [*result("b")["parts"], *result("c", "function_response")["parts"]]}
    assert generate(contents=[result("a"), both, {"parts": [{"text": "x"}]}, result("a")]).results == ("a", "c", "b")
    many = [result(f"call-{n}") for n in range(40)]
    assert generate(contents=many).results == tuple(f"call-{n}" for n in range(39, 39 - module.LINKING, -1))


def test_without_ids_there_is_no_link() -> None:
    """Gemini's own API often gives none; what only quotes a result brings none either."""
    nameless = {"parts": [{"functionResponse": {"name": "look", "response": {"functionResponse": {"id": "no"}}}}]}
    quoting = {"parts": [{"text": json.dumps(result("no"))}]}
    assert generate(contents=[nameless, quoting, result(""), result(None)]).results == ()
    assert generate(contents=[result(5)]).results == ()


@pytest.mark.parametrize("contents", [None, "functionResponse", [], [5, "functionResponse"], {"functionResponse": "x"}])
def test_odd_contents_are_the_providers_to_refuse(contents: Any) -> None:
    """Contents of an unknown shape have no parts, and are no error here."""
    envelope = generate(contents=contents, systemInstruction=None)
    assert (envelope.results, envelope.system(), envelope.prompt()) == ((), b"", None)


def test_a_cache_may_hold_tools() -> None:
    """What the model can call is not in sight then, so it counts as given some."""
    assert generate(cachedContent="cachedContents/c").has_tools
    for tools in ([], None, {}, "x"):
        assert not generate(tools=tools).has_tools


@pytest.mark.parametrize(
    ("body", "rest"),
    [
        (b'{"contents":[1.0] ,"x":2}', {"x": 2}),
        (b'{ "generate_content_request": {"model":"models/a", "contents":[1.0]} }', {}),
    ],
)
def test_counting_counts_what_the_release_puts_in(body: bytes, rest: dict[str, Any]) -> None:
    """countTokens takes prompt, tools and params only within a whole request, which must name the model."""
    envelope = read(Operation.COUNT_TOKENS, body)
    envelope.check_model("a")
    edits = {**envelope.prompt_edit("p"), **PARAMS}
    fitted = envelope.fitted(edits, "x")
    assert fitted == envelope.fitted(fitted, "x")
    sent = json.loads(splice(envelope.members, fitted))
    request = sent.pop("generateContentRequest", None) or sent.pop("generate_content_request")
    assert sent == rest
    assert request == {
        "contents": [1.0],
        "model": "models/x",
        "systemInstruction": {"parts": [{"text": "p"}]},
        "toolConfig": {},
        "generationConfig": {"temperature": 0},
    }


def test_counting_without_legs_keeps_its_shape() -> None:
    """Only the model is pinned; what is dropped is dropped; prompt and tools are those of the request that is counted."""
    body = {"contents": [], "systemInstruction": {"parts": [{"text": "s"}]}, "tools": [{}], "model": "models/a"}
    envelope = read(Operation.COUNT_TOKENS, json.dumps({"generateContentRequest": body, "labels": 1}).encode())
    assert (envelope.prompt(), envelope.toolset(), envelope.has_tools) == ("s", b"[{}]", True)
    assert envelope.system() and envelope.opening()
    fitted = envelope.fitted({"labels": None}, "x")
    assert json.loads(splice(envelope.members, fitted)) == {"generateContentRequest": {**body, "model": "models/x"}}
    assert read(Operation.COUNT_TOKENS, b"{}").prompt() is None


def test_embedding_takes_params_and_no_prompt() -> None:
    """Under either spelling of their names."""
    envelope = read(Operation.EMBEDDINGS, b'{"content":{"parts":[]}}')
    assert envelope.fitted({"output_dimensionality": b"2"}, "x") == {"outputDimensionality": b"2"}
    assert envelope.opening() == b'{"parts":[]}'
    assert envelope.prompt_edit("x") == {}


def test_very_many_contents_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body made to cost an object per few bytes passes unread instead."""
    monkeypatch.setattr(module, "LONG_BYTES", 100)
    monkeypatch.setattr(module, "MOST_COMMAS", 100)
    lines = [result("call-1")] * 40
    assert generate(contents=lines).results == ()
    assert generate(contents=lines[:10]).results == ("call-1",)


def test_deep_contents_are_read() -> None:
    """Faults row B2: nesting up to the bound does not hide a result or the first content."""
    deep = b"[" * 1015 + b"]" * 1015
    pad = b'{"role":"user","parts":[{"text":"%b"}]}' % (b"x" * 5000)
    body = b'{"contents":[{"x":%b},%b,{"x":%b,"parts":[{"functionResponse":{"id":"c"}}]}]}' % (deep, pad, deep)
    envelope = read(Operation.GENERATE, body)
    assert envelope.results == ("c",)
    assert envelope.opening() == b'[{"x":' + deep + b"}]"


def test_long_histories_are_not_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a history as SDKs write it, the opening and newest ids are found without an object for every content."""
    monkeypatch.setattr(GenerateEnvelope, "_items", lambda _self: pytest.fail("contents were cut"))
    text = 'x "quoted" {"a": [1]} ' * 20
    contents: list[dict[str, Any]] = [{"role": "user", "parts": [{"text": text}] * 3}]
    for number in range(40):
        contents += [{"role": "model", "parts": [{"text": text}]}, result(f"call-{number}")]
    envelope = generate(contents=contents)
    assert envelope.results == tuple(f"call-{n}" for n in range(39, 39 - module.LINKING, -1))
    assert json.loads(envelope.opening()) == contents[:1]


def test_refusals() -> None:
    """A model that is no string, and members that choose the host, are refused; pass-through bodies may have odd models."""
    for body, code in ((b'{"model":[]}', "invalid_model"), (b'{"model":"m","base_url":"x"}', "forbidden_field")):
        for operation in (Operation.GENERATE, Operation.GENERATE_STREAM, Operation.COUNT_TOKENS, Operation.EMBEDDINGS):
            with pytest.raises(Fault) as caught:
                read(operation, body)
            assert caught.value.code == code
    assert read(None, b'{"model":[]}').model is None
    assert read(None, b'{"model":"models/m"}').model == "m"


texts = st.sampled_from(["x", '"functionResponse"', '"functionResponse', '{"', '},{"', "]}]},{", "\\", "ä"])
results = st.fixed_dictionaries({}, optional={"id": st.sampled_from(["a1", "b2", "c3", "", 5]), "response": texts})
parts = st.lists(
    st.dictionaries(st.sampled_from(["text", "x"]), texts, max_size=2)
    | st.fixed_dictionaries({"functionResponse": results})
    | st.fixed_dictionaries({"function_response": results})
    | st.fixed_dictionaries({"functionCall": st.fixed_dictionaries({"args": st.dictionaries(texts, results)})}),
    max_size=3,
)
contents = st.fixed_dictionaries({}, optional={"role": texts, "parts": parts | results, "{": texts})


@settings(max_examples=150, deadline=None)
@given(
    st.lists(contents | texts | st.none(), max_size=20),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " :")]),
)
def test_long_contents_are_read_like_short_ones(found: list[Any], separators: tuple[str, str]) -> None:
    """Reading only the first and last contents finds what cutting all apart finds, whatever texts look like contents."""
    body = json.dumps({"contents": found, "user": "u"}, separators=separators, ensure_ascii=False).encode()
    read_as = []
    for short in (1 << 30, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "SHORT_BYTES", short)
            envelope = read(Operation.GENERATE, body)
            read_as.append((envelope.results, envelope.opening()))
    assert read_as[0] == read_as[1]
