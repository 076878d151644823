"""Legs are parsed once, kept within a bound, and known by every digest their toolset goes by."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.core.contract.artifact import digest
from gateway.core.dialect.legs import UNREADABLE
from gateway.live import legs as module
from tests.live.gateway import LiveGateway
from tests.live.legs import chat_tool, made, served, stored, toolset
from tests.provider import Provider


def test_legs_are_kept_with_the_view(shared: LiveGateway) -> None:
    """The second request of a release finds its legs, and the edit of its tools, ready."""
    kept = made("Be kind.", toolset("look"))
    served(shared, "kept", kept)
    shared.chat("kept")
    first: Any = shared.worker.view.legs[kept[0].id]
    edits = dict(first.edits)
    shared.chat("kept")
    assert shared.worker.view.legs[kept[0].id] is first
    assert len(edits) == 1
    assert all(first.edits[which] is edit for which, edit in edits.items())


def test_what_is_kept_is_bounded(shared: LiveGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many releases and toolsets there are, a worker keeps some."""
    monkeypatch.setattr(module, "LEGS_KEPT", 2)
    monkeypatch.setattr(module, "TOOLSETS_KEPT", 2)
    served(shared, "tooled", made(tools=toolset("look", "pay")))
    for number in range(4):
        served(shared, f"many-{number}", made(f"Be {number}."))
        assert shared.chat(f"many-{number}").status == 200
        shared.chat("tooled", {"x-trivet-tools": "a@1"}, tools=[chat_tool(f"t{number}")])
    assert len(shared.worker.view.legs) <= 2
    assert len(shared.worker.view.toolsets) <= 2


def test_a_toolset_of_an_older_version_is_served(shared: LiveGateway, upstream: Provider) -> None:
    """A toolset that is stored as a request carries it goes by its own digest and by the neutral one."""
    older = b'[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}}]'
    kept = made(tools=older)
    served(shared, "older", kept)
    assert shared.chat("older").status == 200
    assert upstream.requests[-1].json["tools"][0]["function"]["name"] == "look"
    legs: Any = shared.worker.view.legs[kept[0].id]
    neutral = b'[{"name":"look","parameters":{"type":"object","properties":{}}}]'
    assert legs.toolset == {digest(older), digest(neutral)}


def test_an_artifact_of_a_newer_form_is_409(shared: LiveGateway) -> None:
    """What this version cannot read is refused with a reason, not served in part."""
    served(shared, "newer", made(tools=b'{"v":2}'))
    got = shared.chat("newer")
    assert (got.status, got.json["error"]["code"]) == (409, "artifact_unreadable")


def test_an_unreadable_toolset_has_no_digest(shared: LiveGateway) -> None:
    """Tools that cannot be read are remembered as such, once."""
    stored(shared, made("Be kind."))
    served(shared, "odd", made(tools=toolset("look")))
    shared.chat("odd", {"x-trivet-tools": f"{digest(toolset('look'))}"}, tools=[{"type": "function"}])
    assert UNREADABLE in shared.worker.view.toolsets.values() or shared.worker.view.toolsets == {}
