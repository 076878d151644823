"""Which alias and which run a request belongs to."""

from __future__ import annotations

import msgspec
import pytest

from gateway.core.contract.alias import Lane
from gateway.live.identify import is_json
from tests.live.gateway import LiveGateway, release
from tests.provider import Provider, completion, events, stream, tool_call

PINNED = release("openai/gpt-4o-2024-08-06")
NEXT = release("openai/gpt-4o-2024-11-20")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/x+json", True),
        (b"text/plain", False),
    ],
)
def test_json_is_told_by_its_type_alone(kind: bytes, says: bool) -> None:
    """Parameters and case do not matter."""
    assert is_json(kind) is says


def test_the_alias_header_comes_before_the_model(gateway: LiveGateway) -> None:
    """`x-trivet-alias` names the alias whatever the body asks for; an unknown one is 404."""
    gateway.alias("support", PINNED)
    assert gateway.chat("whatever", {"x-trivet-alias": "support"}).headers["x-trivet-release"] == PINNED.id
    assert gateway.chat("whatever", {"x-trivet-alias": "nobody"}).status == 404


def test_azures_path_names_the_alias(gateway: LiveGateway, provider: Provider) -> None:
    """`/openai/deployments/{alias}/…` works without a model in the body, and keeps the query out of other providers."""
    gateway.alias("support", PINNED)
    got = gateway.request(
        "POST", "/openai/deployments/support/chat/completions?api-version=2025-01-01", {"messages": []}
    )
    assert got.status == 200
    assert got.headers["x-trivet-alias"] == "support"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "a/b", "é"])
def test_a_run_id_outside_the_grammar_is_refused(gateway: LiveGateway, bad: str) -> None:
    """The run header must fit its grammar; nothing is guessed."""
    gateway.alias("gpt-4o", PINNED)
    got = gateway.chat("gpt-4o", {"x-trivet-run": bad})
    assert (got.status, got.json["error"]["code"]) == (400, "bad_run_id")


def test_tool_results_belong_to_the_run_that_handed_out_the_call(gateway: LiveGateway, provider: Provider) -> None:
    """An agent that names no run keeps its run by the tool-call ids it brings back, streamed or not."""
    gateway.alias("gpt-4o", PINNED)
    provider.then(completion("", tool_calls=[tool_call("call_first0001")]))
    first = gateway.chat("gpt-4o")
    back = [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "tool_calls": [tool_call("call_first0001")]},
        {"role": "tool", "tool_call_id": "call_first0001", "content": "42"},
    ]
    second = gateway.chat("gpt-4o", messages=back)
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert second.headers["x-trivet-bound"] == "resumed"


def test_requests_without_any_mark_are_runs_of_their_own(gateway: LiveGateway) -> None:
    """Two nameless requests have two runs, and leave no run key."""
    gateway.alias("gpt-4o", PINNED)
    one, two = gateway.chat("gpt-4o"), gateway.chat("gpt-4o")
    assert one.headers["x-trivet-run"] != two.headers["x-trivet-run"]
    assert one.headers["x-trivet-bound"] == two.headers["x-trivet-bound"] == "new"


def test_ticket_and_run_header_must_agree(gateway: LiveGateway) -> None:
    """A ticket of another run than the header's is refused."""
    gateway.alias("gpt-4o", PINNED)
    ticket = gateway.chat("gpt-4o", {"x-trivet-run": "one"}).headers["x-trivet-ticket"]
    got = gateway.chat("gpt-4o", {"x-trivet-run": "two", "x-trivet-ticket": ticket})
    assert (got.status, got.json["error"]["code"]) == (400, "ambiguous_run")
    assert gateway.chat("gpt-4o", {"x-trivet-ticket": ticket}).headers["x-trivet-run"] == "one"


def test_a_streams_tool_calls_link_too(gateway: LiveGateway, provider: Provider) -> None:
    """The ids of a streamed answer are known before the client can use them."""
    gateway.alias("gpt-4o", PINNED)
    chunk = (
        b'data: {"id":"c","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"tool_calls":'
        b'[{"index":0,"id":"call_streamed01","type":"function","function":{"name":"look","arguments":""}}]},"finish_reason":null}]}\n\n'
    )
    provider.then(stream([chunk, *events(["x"])]))
    first = gateway.chat("gpt-4o", stream=True)
    second = gateway.chat("gpt-4o", messages=[{"role": "tool", "tool_call_id": "call_streamed01", "content": "1"}])
    assert second.headers["x-trivet-run"] == first.headers["x-trivet-run"]


def test_a_users_next_turn_keeps_the_run_of_the_tool_calls_in_its_history(
    gateway: LiveGateway, provider: Provider
) -> None:
    """A nameless agent keeps its run and its release after an answer in words, though the pointer has moved meanwhile."""
    state = gateway.alias("gpt-4o", PINNED)
    provider.then(completion("", tool_calls=[tool_call("call_history01")]))
    first = gateway.chat("gpt-4o")
    gateway.move(msgspec.structs.replace(state, version=2, lanes={"*": Lane(NEXT.id, (PINNED.id,))}), NEXT)
    history = [
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "tool_calls": [tool_call("call_history01")]},
        {"role": "tool", "tool_call_id": "call_history01", "content": "42"},
        {"role": "assistant", "content": "It is 42."},
        {"role": "user", "content": "And now?"},
    ]
    later = gateway.chat("gpt-4o", messages=history)
    assert later.headers["x-trivet-run"] == first.headers["x-trivet-run"]
    assert later.headers["x-trivet-release"] == PINNED.id
    assert gateway.chat("gpt-4o").headers["x-trivet-release"] == NEXT.id
