"""A release's request out of a client's: one function, for live and for whoever repeats it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.contract.artifact import digest
from gateway.core.contract.fault import Fault, Kind
from gateway.core.contract.prompt import parse
from gateway.core.contract.release import Leg, Mode, Params, Release, Triple
from gateway.core.dialect import carry
from gateway.core.dialect.carry import AS_SENT, NO_PARAMS, params_edits
from gateway.core.dialect.legs import Legs, neutral
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import find
from gateway.core.dialect.splice import scan, splice
from gateway.core.dialect.toolset import read

TOOLS = b'[{"name":"look","parameters":{"type":"object","properties":{}}}]'
SENT = {
    "openai": ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
    "responses": ("/v1/responses", {"model": "m", "input": "Hi"}),
    "anthropic": ("/v1/messages", {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
}


def legs(prompt: str = "Be {{how}}.", *, mode: Mode = Mode.SERVE) -> Legs:
    """Legs with a prompt and one tool."""
    triple = Triple("p/m", Leg(mode, digest(prompt.encode())), Leg(mode, digest(TOOLS)))
    return Legs(Release("rel_1", triple), parse(prompt), read(TOOLS))


def made(name: str, extra: dict[str, Any], values: dict[str, Any], given: Legs, params: Params = NO_PARAMS) -> Any:
    """The body as it leaves, for the model `snap`."""
    path, body = SENT[name]
    dialect, route = DIALECTS[name], find(path, ())
    envelope = dialect.read(route.operation, json.dumps({**body, **extra}).encode())
    sent = neutral(envelope.toolset()) if given.compares else ""
    found = carry.leg_edits(given, dialect, route, envelope, values, sent, lambda _digest: ("look-tools@v1",))
    return json.loads(
        splice(envelope.members, carry.edits(envelope, dialect.model_edit("snap"), "snap", params, found))
    )


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_model_prompt_tools_and_params_are_put_in_and_our_member_taken_out(name: str) -> None:
    """In every dialect the provider gets the release's request, and nothing of ours."""
    body = made(name, {"trivet": {"vars": {"how": "kind"}}}, {"how": "kind"}, legs(), Params(set={"seed": 7}))
    assert (body.get("model"), body["seed"]) == (None if name == "gemini" else "snap", 7)
    assert "Be kind." in json.dumps(body) and "look" in json.dumps(body["tools"]) and "trivet" not in body


def test_nothing_to_change_is_no_edit() -> None:
    """A request that names the model by its own name, of a release without legs or params, keeps its bytes."""
    dialect = DIALECTS["openai"]
    envelope = dialect.read(None, b'{"model": "snap"}')
    assert carry.edits(envelope, dialect.model_edit("snap"), "snap", NO_PARAMS, AS_SENT) == {}


@pytest.mark.parametrize(
    ("mode", "extra", "values", "code"),
    [
        (Mode.SERVE, {}, {}, "missing_variable"),
        (Mode.VERIFY, {"system": "Be rude."}, {"how": "kind"}, "prompt_mismatch"),
        (Mode.VERIFY, {}, {"how": "kind"}, "prompt_mismatch"),
        (Mode.VERIFY, {"system": "Be kind."}, {"how": "kind"}, "tools_mismatch"),
        (
            Mode.VERIFY,
            {"system": "Be kind.", "tools": [{"name": "pay", "input_schema": {}}]},
            {"how": "kind"},
            "tools_mismatch",
        ),
    ],
)
def test_what_cannot_be_carried_says_what_differs(
    mode: Mode, extra: dict[str, Any], values: dict[str, Any], code: str
) -> None:
    """An error names the release, never the prompt's words."""
    with pytest.raises(Fault, match=code) as caught:
        made("anthropic", extra, values, legs(mode=mode))
    assert "rel_1" in caught.value.message and "Be " not in caught.value.message


@pytest.mark.parametrize("mode", [Mode.SERVE, Mode.VERIFY])
def test_a_template_of_the_providers_does_not_pass_by_a_released_prompt(mode: Mode) -> None:
    """What the provider puts in of its own is text that nobody compared: 409 while the release brings a prompt."""
    given = legs("Be kind.", mode=mode)
    with pytest.raises(Fault, match="prompt_mismatch") as caught:
        made("responses", {"instructions": "Be kind.", "prompt": {"id": "pmpt_1"}}, {}, given)
    assert caught.value.kind is Kind.CONFLICT
    tools = [{"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}]
    made("responses", {"instructions": "Be kind.", "prompt": None, "tools": tools}, {}, given)


def test_what_matches_changes_nothing_but_the_model() -> None:
    """A release that only verifies leaves prompt and tools as they were sent."""
    tools = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
    body = made("anthropic", {"system": "Be kind.", "tools": tools}, {"how": "kind"}, legs(mode=Mode.VERIFY))
    assert body == {**SENT["anthropic"][1], "model": "snap", "system": "Be kind.", "tools": tools}


def test_an_operation_without_a_place_is_400() -> None:
    """A release that brings a prompt is not served where none is read."""
    dialect, route = DIALECTS["openai"], find("/v1/embeddings", ())
    envelope = dialect.read(route.operation, b'{"model":"m","input":"x"}')
    with pytest.raises(Fault, match="leg_unserved"):
        carry.leg_edits(legs("Be."), dialect, route, envelope, {}, "", lambda _digest: ())


def test_set_wins_over_what_is_renamed_to_it() -> None:
    """Drop, then rename, then set: the release's own value is the last word, and what is absent is not renamed."""
    members = scan(b'{"a":1,"b":2,"c":3}')
    params = Params(set={"x": 9}, drop=("a",), rename={"a": "y", "b": "x", "absent": "z"})
    assert params_edits(params, members) == {"a": None, "b": None, "x": b"9"}


def test_a_key_in_a_query_is_taken_out() -> None:
    """Google's clients may send it there."""
    assert carry.without_key("alt=sse&key=AIza&k%65y=AIza&x=1") == "alt=sse&x=1" and carry.without_key("") == ""
