"""The Responses envelope: what a request is routed, bound and digested by, cut from the bytes as sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.dialect.responses.envelope import ResponseEnvelope, read
from gateway.core.dialect.routes import Operation
from gateway.core.dialect.splice import splice

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "responses"
REQUESTS = sorted(GOLDEN.glob("*.request.json"))


def asked(**members: Any) -> ResponseEnvelope:
    """The envelope of a request."""
    envelope = read(Operation.RESPONSES, json.dumps({"model": "m", **members}).encode())
    assert isinstance(envelope, ResponseEnvelope)
    return envelope


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.name.removesuffix(".request.json"))
def test_golden_requests(path: Path) -> None:
    """Each request is read as its file says; prompt and tools are its own bytes."""
    wanted = json.loads((path.parent / path.name.replace(".request.", ".envelope.")).read_text(encoding="utf-8"))
    envelope = read(Operation(wanted.pop("operation")), path.read_bytes())
    got = {
        "model": envelope.model,
        "stream": envelope.stream,
        "results": list(envelope.results),
        "state_id": envelope.state_id,
        "has_tools": envelope.has_tools,
        "system": envelope.system().decode(),
        "toolset": envelope.toolset().decode(),
        "opening": envelope.opening().decode(),
        "prompt": envelope.prompt(),
    }
    assert got == wanted
    for part in (envelope.system(), envelope.toolset(), envelope.opening()):
        assert not part or json.loads(part)


@pytest.mark.parametrize(
    ("members", "state"),
    [
        ({"previous_response_id": "resp_1"}, "resp_1"),
        ({"conversation": "conv_1"}, "conv_1"),
        ({"conversation": {"id": "conv_1", "x": [1]}}, "conv_1"),
        ({"previous_response_id": None, "conversation": None}, ""),
        ({"conversation": {}}, ""),
        ({"conversation": {"id": 5}}, ""),
        ({"conversation": [1]}, ""),
        ({"previous_response_id": 5}, ""),
        ({}, ""),
    ],
)
def test_provider_state(members: dict[str, Any], state: str) -> None:
    """A response or a conversation that goes on; what is neither is the provider's to refuse."""
    assert asked(**members).state_id == state


INPUTS: list[dict[str, Any]] = [
    {"input": "Hi"},
    {"instructions": "Old.", "input": [{"role": "system", "content": "s"}]},
    {"instructions": None, "input": [{"role": "user", "content": "u"}]},
    {"input": [{"role": "system", "content": "Old.", "x": 1.0}, {"role": "user", "content": "u"}]},
    {"input": [{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Old."}]}]},
    {"input": [{"role": "developer", "content": [{"type": "input_image", "image_url": "x"}]}]},
    {"input": [{"role": "system", "content": "Old." * 2000}, {"role": "user", "content": "u"}]},
    {},
]


@pytest.mark.parametrize("members", INPUTS)
def test_a_prompt_that_is_put_in_is_read_again(members: dict[str, Any]) -> None:
    """`instructions` where they are, the first leading message where that is the prompt, else `instructions` are added."""
    envelope = asked(**members, top=1.0)
    edit = envelope.prompt_edit('New "one".')
    again = read(Operation.RESPONSES, splice(envelope.members, edit))
    assert isinstance(again, ResponseEnvelope)
    assert again.prompt() == 'New "one".'
    assert set(edit) == (
        {"input"} if envelope.prompt() is not None and "instructions" not in members else {"instructions"}
    )
    sent = json.loads(again.members.body)
    for item, before in zip(sent.get("input", ""), members.get("input", ""), strict=True):
        if item != before:
            assert {k: v for k, v in item.items() if k != "content"} == {
                k: v for k, v in before.items() if k != "content"
            }


def test_a_message_with_two_contents_is_refused() -> None:
    """Two parsers would read two prompts."""
    envelope = read(Operation.RESPONSES, b'{"input":[{"role":"system","content":"a","content":"b"}]}')
    with pytest.raises(Fault) as caught:
        envelope.prompt_edit("x")
    assert caught.value.code == "duplicate_key"


def test_tools_as_sent() -> None:
    """White space inside an empty array does not make it hold anything; an array of anything does."""
    for tools, some in ((b"[ \n]", False), (b"[ {}]", True), (b"[1]", True), (b"[]", False), (b'"[1]"', False)):
        envelope = read(Operation.RESPONSES, b'{"tools":%b}' % tools)
        assert (envelope.has_tools, envelope.toolset()) == (some, tools if some else b"")


def test_two_states_are_refused() -> None:
    """Of a response and a conversation only one can say whose run it is; a member that is null names nothing."""
    with pytest.raises(Fault, match="ambiguous_state"):
        _ = asked(previous_response_id="resp_1", conversation={"id": "conv_1"}).state_id
    assert asked(previous_response_id="resp_1", conversation=None).state_id == "resp_1"
    assert asked(previous_response_id=None, conversation="conv_1").state_id == "conv_1"


def test_refusals() -> None:
    """A model that is no string, and members that choose the host, are refused; pass-through bodies may have odd models."""
    for body, code in ((b'{"model":[]}', "invalid_model"), (b'{"model":"m","base_url":"x"}', "forbidden_field")):
        for operation in (Operation.RESPONSES, Operation.COMPACT, Operation.COUNT_TOKENS, Operation.STORED):
            with pytest.raises(Fault) as caught:
                read(operation, body)
            assert caught.value.code == code
    assert read(None, b'{"model":[]}').model is None
