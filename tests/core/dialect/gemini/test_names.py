"""Both spellings of a member are one member."""

from __future__ import annotations

import pytest

from gateway.core.contract.fault import Fault
from gateway.core.dialect.gemini.names import Fields, camel, respelled, twice
from gateway.core.dialect.splice import scan, splice


def test_a_member_is_found_by_either_spelling_and_keeps_its_own() -> None:
    """Filed under its camel-case name; what is spliced replaces the value behind the name as sent."""
    fields = Fields(scan(b'{"system_instruction": {} ,"toolConfig":1}'))
    assert list(fields) == ["systemInstruction", "toolConfig"]
    assert fields.get("system_instruction") == fields.get("systemInstruction") == b"{}"
    assert fields.get("tool_config") == b"1"
    edits = respelled({"tool_config": None, "system_instruction": b"5", "generation_config": b"{}"})
    assert splice(fields, edits) == b'{"system_instruction": 5 ,"generationConfig":{}}'


@pytest.mark.parametrize("body", [b'{"toolConfig":1,"tool_config":2}', b'{"tool_config":1,"toolConfig":1}'])
def test_a_body_with_both_is_refused(body: bytes) -> None:
    """Nobody can know which of them the provider reads, so even equal ones are refused."""
    with pytest.raises(Fault) as caught:
        Fields(scan(body))
    assert (caught.value.code, caught.value.param) == ("duplicate_key", "toolConfig")


def test_spellings() -> None:
    """What has no joint is as it was."""
    assert [camel(name) for name in ("a_b_c", "aB", "a_1", "_a", "a_", "")] == ["aBC", "aB", "a1", "A", "a_", ""]
    assert twice("aB").status == 400
