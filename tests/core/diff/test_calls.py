"""Tool calls compared, and checked against their release's schemas."""

from __future__ import annotations

import msgspec

from gateway.core.contract.artifact import Tool
from gateway.core.contract.pair import Dimension
from gateway.core.contract.reply import ToolCall
from gateway.core.diff.calls import Toolset, between


def call(name: str, **members: object) -> ToolCall:
    """A call with these arguments."""
    return ToolCall(name, msgspec.json.encode(members).decode())


def test_calls_side_by_side_are_matched_by_likeness() -> None:
    """Three calls of one tool in another order, one with another argument: that one argument is the only finding but order."""
    one = [call("f", a=1, b=1), call("f", a=2, b=2), call("f", a=3, b=3)]
    other = [call("f", a=3, b=4), call("f", a=1, b=1), call("f", a=2, b=2)]
    assert [(d.dimension, d.path) for d in between(one, other, None, None)] == [(Dimension.ARGUMENTS, "$.calls[2].f.b")]


def test_each_side_is_held_to_its_own_release() -> None:
    """A tool that only the candidate's release has is no unknown tool when the candidate calls it."""
    own, theirs = Toolset.of([Tool("old")]), Toolset.of([Tool("old"), Tool("new")])
    found = {d.dimension for d in between([call("old")], [call("new")], own, theirs)}
    assert found == {Dimension.TOOL_NAMES}
    found = {d.dimension for d in between([call("old")], [call("new")], own, own)}
    assert found == {Dimension.TOOL_NAMES, Dimension.UNKNOWN_TOOL}


def test_a_schema_that_is_none_checks_nothing() -> None:
    """A broken schema of a release is not a candidate's fault; no arguments at all are an empty object."""
    tools = Toolset.of([Tool("f", parameters=msgspec.Raw(b'{"type":"nonsense"}')), Tool("g")])
    assert tools.fault(call("f", x=1)) is None
    assert tools.fault(ToolCall("g", "")) is None
    assert tools.fault(ToolCall("g", "[1]")) == (Dimension.INVALID_ARGUMENTS, "$")


def test_arguments_that_are_no_json() -> None:
    """Two broken texts are compared as texts."""
    one, other = ToolCall("f", '{"a": '), ToolCall("f", '{"b": ')
    assert between([one], [one], None, None) == []
    assert [d.dimension for d in between([one], [other], None, None)] == [Dimension.ARGUMENTS]
