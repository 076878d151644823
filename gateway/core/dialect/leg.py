"""A file of a prompt or toolset as the artifact of a leg: the bytes that are stored and addressed, checked for its mode."""

from __future__ import annotations

from gateway.core.contract.artifact import canonical_prompt
from gateway.core.contract.prompt import parse
from gateway.core.contract.release import Mode
from gateway.core.dialect.toolset import canonical, read_file


def leg_artifact(part: str, mode: Mode, text: str) -> bytes:
    """The canonical bytes of a leg's file; `part` is `prompt` or `tools`.

    Raises ValueError that says what is wrong: an empty prompt or toolset, braces that begin no variable, a tool without a name.
    """
    if part == "tools":
        return canonical(read_file(text))
    data = canonical_prompt(text)
    if parse(data.decode()).uses_app and mode is Mode.VERIFY:
        raise ValueError("`{{app}}` stands for what the request sends, so there is nothing to verify: use mode `serve`")
    return data
