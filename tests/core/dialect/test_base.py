"""The base envelope: what is read of any JSON body, whatever its dialect."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.dialect.base import FORBIDDEN, Envelope, refuse_odd_model
from gateway.core.dialect.splice import scan


def of(body: bytes) -> Envelope:
    """The base envelope of a body."""
    return Envelope.of_members(scan(body))


def test_model_and_stream() -> None:
    """`model` only when it is a string, `stream` only when it is true."""
    assert of(b'{"model":"g\\u0070t","stream":true}').model == "gpt"
    assert of(b'{"model":5}').model is None
    assert of(b"{}").model is None
    assert [of(b'{"stream":%b}' % value).stream for value in (b"true", b"false", b'"true"', b"1", b"null")] == [
        True
    ] + [False] * 4


def test_metadata() -> None:
    """Strings of `metadata` by name; anything else is none."""
    envelope = of(b'{"metadata": {"run": "r\\u002d1", "n": 5, "o": {"run": "x"}}}')
    assert envelope.metadata("run") == "r-1"
    assert envelope.metadata("n") is None
    assert envelope.metadata("x") is None
    assert of(b'{"metadata":["run"]}').metadata("run") is None
    assert of(b"{}").metadata("run") is None
    assert of(b'{"metadata":{"run":"r","d":' + b"[" * 1020 + b"]" * 1020 + b"}}").metadata("run") == "r"


def test_the_user_is_who_the_client_says() -> None:
    """`user`, else `safety_identifier`; nobody where neither is a string."""
    assert of(b'{"user":"ann","safety_identifier":"h"}').user() == "ann"
    assert of(b'{"safety_identifier":"h","user":5}').user() == "h"
    assert of(b'{"metadata":{"user_id":"x"}}').user() == ""


def test_the_rest_is_empty() -> None:
    """A body of no known dialect has no tools, results, state, system prompt or opening."""
    envelope = of(b'{"tools":[1],"messages":[2]}')
    assert (envelope.results, envelope.state_id, envelope.has_tools) == ((), "", False)
    assert (envelope.system(), envelope.toolset(), envelope.opening()) == (b"", b"", b"")


@pytest.mark.parametrize("name", sorted(FORBIDDEN))
def test_routing_members_are_refused(name: str) -> None:
    """Faults row B6: hosts and keys are never the client's to choose, however the name is escaped; deeper ones are not ours."""
    escaped = "".join(f"\\u{ord(c):04x}" for c in name)
    for spelled in (name, escaped):
        with pytest.raises(Fault) as caught:
            of(f'{{"model":"m","{spelled}":"https://elsewhere.example"}}'.encode())
        fault = caught.value
        assert (fault.code, fault.param, fault.reason, fault.status) == ("forbidden_field", name, "routing_field", 400)
        assert "elsewhere" not in fault.message
    of(f'{{"metadata":{{"{name}":1}}}}'.encode())


def test_odd_models_are_refused() -> None:
    """A model that is no string could mean something to a provider that it does not mean here."""
    for value in (b"1", b"true", b"[]", b'{"id":"x"}', b"false"):
        with pytest.raises(Fault) as caught:
            refuse_odd_model(scan(b'{"model":%b}' % value))
        assert (caught.value.code, caught.value.param, caught.value.reason) == ("invalid_model", "model", "model")
    for body in (b'{"model":"m"}', b'{"model":null}', b"{}"):
        refuse_odd_model(scan(body))
