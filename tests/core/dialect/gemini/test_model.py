"""No body gets around the model that its path names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.dialect.gemini.model import check, edits, in_path
from gateway.core.dialect.gemini.names import Fields
from gateway.core.dialect.splice import scan, splice


def fields(body: dict[str, Any]) -> Fields:
    """The members of a body."""
    return Fields(scan(json.dumps(body).encode()))


BODIES: list[Any] = [
    {"model": "%s"},
    {"generateContentRequest": {"contents": [], "model": "%s"}},
    {"generate_content_request": {"model": "%s"}},
    {"requests": [{"model": "%s", "content": {}}, {"content": {"x": [1.0]}}, {"model": "%s"}]},
    {"requests": {"model": "%s"}},
    {"model": "%s", "requests": [{"model": "%s"}]},
]


@pytest.mark.parametrize("written", ["models/a/b", "a/b"])
@pytest.mark.parametrize("body", BODIES)
def test_a_repeated_model_is_pinned_everywhere(body: Any, written: str) -> None:
    """Each place gets the new name, written as the old one was, and nothing else changes."""
    sent = json.loads(json.dumps(body).replace("%s", written))
    found = fields(sent)
    check(found, "a/b")
    check(found, "models/a/b")
    new = "models/x-1" if written.startswith("models/") else "x-1"
    assert splice(found, edits(found, "x-1")) == json.dumps(body).replace("%s", new).encode()


@pytest.mark.parametrize("other", ["c", "models/c", "models/a/bc", "tunedModels/a/b", "", 5, None, ["a/b"]])
@pytest.mark.parametrize("body", BODIES)
def test_another_model_is_refused(body: Any, other: Any) -> None:
    """A provider that went by the body would serve what is not pinned; so would one that reads what we cannot."""
    sent = json.loads(json.dumps(body).replace('"%s"', json.dumps(other)))
    with pytest.raises(Fault) as caught:
        check(fields(sent), "a/b")
    assert (caught.value.status, caught.value.code) == (400, "invalid_model")


def test_a_body_without_models_is_left_alone() -> None:
    """No edit, and requests of any shape are the provider's to refuse."""
    for body in ({}, {"contents": [{"model": "x"}]}, {"requests": [5, {}]}, {"requests": "x"}):
        found = fields(body)
        check(found, "m")
        assert edits(found, "x") == {}


def test_the_model_in_a_path() -> None:
    """A tuned model brings its collection; nothing in a name can end it or reach another path."""
    path = "/v1beta/models/{model}:generateContent"
    assert in_path(path, "gemini-2.5-pro@1") == "/v1beta/models/gemini-2.5-pro@1:generateContent"
    assert in_path(path, "tunedModels/t-1") == "/v1beta/tunedModels/t-1:generateContent"
    assert in_path(path, "a:b/../c?d") == "/v1beta/models/a%3Ab%2F..%2Fc%3Fd:generateContent"
    assert in_path(path, "tunedModels/../x") == "/v1beta/tunedModels/..%2Fx:generateContent"
    assert in_path("/v1/chat/completions", "m") == "/v1/chat/completions"
