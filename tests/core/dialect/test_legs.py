"""Legs are parsed from artifacts, whole or not at all."""

from __future__ import annotations

import pytest

from gateway.core.contract.artifact import digest
from gateway.core.contract.release import Leg, Mode, Release, Triple
from gateway.core.dialect.legs import UNREADABLE, as_sent, neutral, parsed
from gateway.core.dialect.registry import DIALECTS
from gateway.core.dialect.routes import Operation

TOOLS = b'[{"name":"look","parameters":{"type":"object","properties":{}}}]'


def test_legs_are_parsed_and_their_edit_made_once() -> None:
    """Prompt and tools come from the bytes of their digests; the splice of the tools is kept."""
    triple = Triple("p/m", Leg(Mode.VERIFY, "p"), Leg(Mode.SERVE, digest(TOOLS)))
    found = parsed(Release("rel_1", triple), {"p": b"Be {{how}}.", digest(TOOLS): TOOLS}.get)
    assert found.template is not None and found.template.variables == {"how"}
    assert found.toolset == {digest(TOOLS)} and not found.compares
    edit = found.tools_edit(DIALECTS["openai"], Operation.CHAT)
    assert edit["tools"] and found.tools_edit(DIALECTS["openai"], Operation.CHAT) is edit


def test_as_sent_has_no_legs() -> None:
    """Only a release without both passes as sent."""
    assert as_sent(Release("rel_1", Triple("p/m")))
    assert not as_sent(Release("rel_1", Triple("p/m", tools=Leg(Mode.VERIFY, "t"))))


def test_what_cannot_be_read_is_an_error() -> None:
    """An artifact of another form, or none, never becomes an empty leg."""
    triple = Triple("p/m", tools=Leg(Mode.SERVE, "t"))
    with pytest.raises(ValueError):
        parsed(Release("rel_1", triple), {"t": b'{"v":2}'}.get)


def test_the_neutral_digest_of_what_was_sent() -> None:
    """The same tools in another dialect's shape have the same digest; unreadable ones have none that a release has."""
    chat = b'[{"type":"function","function":{"name":"look","parameters":{"type":"object","properties":{}}}}]'
    assert neutral(chat) == digest(TOOLS) and neutral(b"") == "" and neutral(b"[1]") == UNREADABLE
