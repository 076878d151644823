"""The words of a whole answer."""

from __future__ import annotations

import msgspec

from gateway.core.contract.exchange import Observed
from gateway.core.contract.reply import Message, Reply, ToolCall


def test_a_reply_survives_being_stored() -> None:
    """What is written as JSON reads back equal, parts without a word of their own included."""
    call = ToolCall("look", '{"a": 1', id="call_1")
    reply = Reply(
        Observed(model="m", terminal=True), (Message("Hi", tool_calls=(call,), others=('{"type":"image"}',)),)
    )
    assert msgspec.json.decode(msgspec.json.encode(reply), type=Reply) == reply
