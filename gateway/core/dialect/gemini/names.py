"""One name for each member of a request: proto JSON takes `systemInstruction` and `system_instruction` for the same field.

The rule: both spellings mean the same here too, and a body that uses both of one field is refused, for nobody can know which
of them the provider reads.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.core.contract.fault import Fault, Kind
from gateway.core.dialect.splice import Members

_joint = re.compile(r"_+([a-zA-Z0-9])").sub


def camel(name: str) -> str:
    """The spelling that Google's documentation uses: `system_instruction` is `systemInstruction`."""
    return _joint(lambda found: found[1].upper(), name) if "_" in name else name


class Fields(Members):
    """Members that are filed under their camel-case names, and found by either spelling; the bytes stay as sent."""

    __slots__ = ()

    def __init__(self, members: Members) -> None:
        """Raises Fault 400 `duplicate_key` for a field that stands in both spellings."""
        self.body, self.open, self.close = members.body, members.open, members.close
        self.spans = spans = members.spans
        if "_" not in "".join(spans):
            return
        self.spans = {}
        for name, span in spans.items():
            plain = camel(name)
            if plain in self.spans:
                raise twice(plain)
            self.spans[plain] = span

    def get(self, name: str) -> bytes | None:
        """See `Members.get`."""
        return super().get(camel(name))


def respelled(edits: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """Edits of top-level members under the names that `Fields` files them by, so that none is written beside another spelling."""
    return {camel(name): value for name, value in edits.items()}


def twice(name: str) -> Fault:
    """The refusal of a field that stands in both spellings."""
    return Fault(
        Kind.BAD_REQUEST,
        "duplicate_key",
        f"`{name}` stands twice in the request body, once in snake case. Send one of the two.",
        param=name,
        reason="json_dup",
    )
